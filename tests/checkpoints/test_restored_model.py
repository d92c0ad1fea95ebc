"""A checkpoint becomes a frozen net, or one line says why it does not fit and what to do."""
import dataclasses
import os
import shutil

import numpy as np
import pytest

from slimtune import options
from slimtune.checkpoints import restored_model
from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint
from slimtune.errors import UserError
from slimtune.inference import engines
from slimtune.options import Averages
from slimtune.runtime import tf

CLASSES = ['one', 'two', 'zero']
LENET, CIFARNET = options.Net('lenet'), options.Net('cifarnet')


@pytest.fixture
def saved(tmp_path, weights_of, save_variables):
    """saved(net, num_classes, without=scope, changed={variable: array}): the prefix of random weights."""
    def save(net, num_classes, without='nothing', changed=None, v1=False):
        variables = dict(weights_of(net, num_classes), **(changed or {}))
        variables = {name: value for name, value in variables.items() if not name.startswith(without)}
        return save_variables(variables, tmp_path / f'{net}.ckpt', v1)
    return save


def freeze(path, net_options, **kwargs):
    return restored_model.freeze(restored_model.load(path, net_options, **kwargs))


def test_end_points_are_outputs_of_the_frozen_net_where_they_are_wanted(saved):
    model = restored_model.load(saved('lenet', 3), LENET)
    images = np.random.RandomState(0).rand(2, 28, 28, 1).astype(np.float32)
    graph = restored_model.freeze(model, extra_outputs=['conv2', 'fc3'])
    outputs = ('logits:0', 'end_points/conv2:0', 'end_points/fc3:0')
    logits, conv2, fc3 = engines.load(graph, outputs=outputs).run(images)
    assert conv2.shape == (2, 14, 14, 64) and fc3.shape == (2, 1024)
    head = [model.checkpoint.value(f'LeNet/fc4/{part}') for part in ('weights', 'biases')]
    np.testing.assert_allclose(fc3 @ head[0] + head[1], logits, rtol=1e-4, atol=1e-5)
    assert not [node for node in restored_model.freeze(model).node if node.name.startswith('end_points/')]
    with pytest.raises(ValueError, match='lenet has no end point conv9: there are conv1, '):
        restored_model.freeze(model, extra_outputs=['conv9'])


@pytest.mark.parametrize('v1', [False, True])
def test_another_net_is_named(v1, saved):
    path = saved('lenet', 3, v1=v1)
    with pytest.raises(UserError, match='lenet.ckpt holds lenet, not cifarnet: add --model lenet'):
        freeze(path, CIFARNET)
    with pytest.raises(UserError, match='lenet.ckpt holds lenet, not cifarnet: add --model lenet'):
        freeze(path, CIFARNET, class_names=CLASSES)


@pytest.mark.parametrize('num_classes, kwargs, message', [
    (3, {'class_names': CLASSES[:2]}, 'lenet.ckpt has 3 classes, but the labels name 2: give the labels'),
    (3, {'averages': Averages.USE}, 'lenet.ckpt holds no moving averages: leave out --moving-average-decay'),
    (3, {'class_names': CLASSES, 'run': options.RunFile({}, classes=['a', 'b', 'c'], path='run.json')},
     'was trained on the classes a, b, c, but these are one, two, zero: give the data set or labels')])
def test_other_classes_and_missing_averages_are_named(num_classes, kwargs, message, saved):
    with pytest.raises(UserError, match=message):
        freeze(saved('lenet', num_classes), LENET, **kwargs)


@pytest.mark.parametrize('without, class_names, message', [
    ('LeNet/fc4', None, r'lenet.ckpt lacks 1 variable of lenet: LeNet/fc4: name another checkpoint'),
    ('LeNet/fc4', CLASSES, 'lenet.ckpt lacks 2 variables of lenet: LeNet/fc4/'),
    ('LeNet/conv1/biases', CLASSES, 'lenet.ckpt lacks 1 variable of lenet: LeNet/conv1/biases: name')])
def test_missing_variables_are_named(without, class_names, message, saved):
    with pytest.raises(UserError, match=message):
        freeze(saved('lenet', 3, without), LENET, class_names=class_names)


def test_a_variable_of_another_shape_is_named(saved):
    path = saved('lenet', 3, changed={'LeNet/conv2/biases': np.zeros(5, np.float32)})
    with pytest.raises(UserError, match='has other shapes of 1 variable of lenet: LeNet/conv2/biases: name'):
        freeze(path, LENET)


def test_a_part_of_a_checkpoint_is_an_incomplete_one(saved):
    path = saved('lenet', 3)
    os.remove(path + '.index')
    with pytest.raises(UserError, match='an incomplete checkpoint at .*: it needs lenet.ckpt.index and'):
        freeze(path, LENET)


def test_averages_are_used_ignored_or_used_where_present(saved, weights_of, save_variables, tmp_path):
    averages = {name + AVERAGE: value + 1 for name, value in weights_of('lenet', 3).items()}
    path = saved('lenet', 3, changed=averages)
    for wanted, used in ((Averages.USE, True), (Averages.IF_PRESENT, True), (Averages.IGNORE, False)):
        model = restored_model.load(path, LENET, averages=wanted)
        constants = {node.name: node.attr['value'].tensor for node in restored_model.freeze(model).node}
        expected = Checkpoint(path).value('LeNet/fc4/biases' + AVERAGE * used)
        assert model.averages == used
        np.testing.assert_array_equal(tf.make_ndarray(constants['LeNet/fc4/biases']), expected)


def test_a_train_folder_says_size_channels_and_classes(trained, tmp_path):
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'net'))
    run = options.load_run(str(tmp_path / 'net'))
    model = restored_model.load(str(tmp_path / 'net'), LENET, run)
    assert (model.class_names, model.inputs.size, model.inputs.channels) == (CLASSES, 28, 1)
    model = restored_model.load(str(tmp_path / 'net'), LENET, dataclasses.replace(run, classes=None))
    assert model.class_names == ['class 0', 'class 1', 'class 2']
