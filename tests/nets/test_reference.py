"""Every net equals slim's: reference.json.xz holds what slim's own nets gave on TF 1.14, for seven classes.

The values of the weights and the image are computed from names and seeds (`weight`, `image`), so that
the file holds results only.
"""
import gc
import json
import lzma
import pathlib
import zlib

import numpy as np
import pytest

from slimtune.nets import nets_factory
from slimtune.runtime import session_config, slim, tf

FILE = pathlib.Path(__file__).with_name('reference.json.xz')
REFERENCE = json.loads(lzma.decompress(FILE.read_bytes()).decode())
CLASSES, WEIGHT_DECAY = 7, 4e-5


def weight(name, shape):
    """The value of the variable `name`: repeatable, and of a size that keeps the activations in range."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xffffffff)
    last = name.split('/')[-1]
    if last in ('biases', 'bias', 'beta', 'moving_mean'):
        return rng.normal(0, .1, shape)
    if last == 'gamma':
        return 1 + rng.normal(0, .1, shape)
    if last == 'moving_variance':
        return rng.uniform(.5, 1.5, shape)
    inputs = 1 if len(shape) == 2 else 2 if 'depthwise' in last else len(shape) - 1
    return rng.normal(0, np.sqrt(2. / np.prod(shape[:inputs])), shape)


def image(shape):
    return np.random.RandomState(1234).uniform(-1, 1, shape).astype(np.float32)


def session_with_weights():
    """A session on the current graph whose variables have the values of `weight`."""
    variables = tf.global_variables()
    session = tf.Session(config=session_config(once=True))
    session.run([v.initializer for v in variables],
                {v.initializer.inputs[1]: weight(v.op.name, v.shape.as_list()).astype(np.float32)
                 for v in variables})
    return session


def build(name, num_classes, is_training):
    """Builds the net into the current graph. Returns (images, logits, end_points)."""
    images = tf.placeholder(tf.float32, REFERENCE[name]['train_input_shape'], name='input')
    network_fn = nets_factory.get_network_fn(name, num_classes, WEIGHT_DECAY, is_training)
    return (images,) + network_fn(images)


def shapes(variables):
    return [[variable.op.name, variable.shape.as_list()] for variable in variables]


def number(constant):
    """The first value of a Const op, without float32's noise."""
    return round(float(tf.make_ndarray(constant.get_attr('value')).flat[0]), 7)


def constants(graph, suffix):
    """The different values of the graph's constants whose names end in `suffix`."""
    return sorted({number(op) for op in graph.get_operations()
                   if op.type == 'Const' and op.name.endswith(suffix)})


def decays(graph):
    """The different decays of batch norm: the factor of an update is 1 - decay."""
    rates = [op.inputs[1].op for op in graph.get_operations() if op.name.endswith('AssignMovingAvg/mul')]
    return sorted({number(rate.inputs[1].op) if rate.type == 'Sub' else round(1 - number(rate), 7)
                   for rate in rates})


def initializer(graph, variable):
    """[kind, standard deviation or limit] of a variable's initializer."""
    op = variable.initializer.inputs[1].op
    kind = op.name.split('/Initializer/')[1].split('/')[0]
    sizes = {'truncated_normal': '/stddev', 'random_uniform': '/max', 'Const': ''}
    return [kind, number(graph.get_operation_by_name(op.name + sizes[kind])) if kind in sizes else None]


def check_initializers(graph, variables, expected):
    for variable in variables:
        kind, value = initializer(graph, variable)
        assert kind == expected[variable.op.name][0], variable.op.name
        assert (value or 0) == pytest.approx(expected[variable.op.name][1] or 0, rel=1e-4), variable.op.name


def check_rates(graph, name, expected):
    """Batch norm's decay and epsilon and the dropout rate, in the graph and in the record."""
    record = nets_factory.NETS[name]
    found = {
        'batch_norm_decay': decays(graph),
        'batch_norm_epsilon': sorted(
            {op.get_attr('epsilon') for op in graph.get_operations() if 'FusedBatch' in op.type}
            | set(constants(graph, 'batchnorm_1/add/y'))),
        'dropout_rate': [1 - value for value in constants(graph, '/dropout/keep_prob')],
    }
    for key, values in found.items():       # 0.002: TensorFlow makes an epsilon of 1e-5 one of 1.001e-5
        assert values == pytest.approx([] if expected[key] is None else [expected[key]], rel=2e-3), key
    assert record.batch_norm_decay == expected['batch_norm_decay']
    assert record.batch_norm_epsilon == expected['batch_norm_epsilon']
    assert record.dropout == expected['dropout_rate']


def check_train_graph(name, expected):
    """What is built for training, and the value of the regularization loss."""
    with tf.Graph().as_default() as graph:
        _, _, end_points = build(name, CLASSES, is_training=True)
        assert shapes(tf.trainable_variables()) == expected['trainable_variables']
        assert sorted(v.op.name for v in slim.get_model_variables()) == sorted(expected['model_variables'])
        assert {key: end_points[key].shape.as_list() for key in end_points} == expected['train_end_points']
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == expected['update_ops']
        check_initializers(graph, tf.trainable_variables(), expected['initializers'])
        check_rates(graph, name, expected)
        losses = tf.losses.get_regularization_losses()
        assert len(losses) == expected['regularization_losses']
        with session_with_weights() as session:
            assert session.run(tf.add_n(losses)) == pytest.approx(expected['regularization_loss'], rel=1e-4)


def near(value, mean_and_std):
    """Whether a map has this mean and standard deviation, within 1e-3 of its size."""
    mean, std = mean_and_std['mean'], mean_and_std['std']
    return np.abs([value.mean() - mean, value.std() - std]).max() <= 1e-3 * max(abs(mean), std)


def check_eval_graph(name, expected):
    """What is built for evaluation, and what it gives. Returns the largest error of a logit, as a share."""
    with tf.Graph().as_default() as graph:
        images, logits, end_points = build(name, CLASSES, is_training=False)
        assert shapes(tf.global_variables()) == expected['eval_variables']
        parameters = sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables())
        assert parameters == expected['parameters']
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        graph.get_operation_by_name(nets_factory.NETS[name].output)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            features, _ = nets_factory.get_network_fn(name, None)(images)
        with session_with_weights() as session:
            results = session.run([logits, end_points, features], {images: image(images.shape.as_list())})
    logits, end_points, features = results
    assert {key: list(value.shape) for key, value in end_points.items()} == {
        key: value['shape'] for key, value in expected['eval_end_points'].items()}
    differing = [key for key, value in expected['eval_end_points'].items()
                 if not near(end_points[key], value)]
    assert differing == []
    if 'features' in expected:      # slim's video nets crash without classes; ours give features
        assert list(features.shape) == expected['features_shape']
        assert near(features, expected['features'])
    return np.abs(logits - np.array(expected['logits'])).max() / expected['scale']


#: One net of each family; the others run with the marker `slow`.
QUICK = ['lenet', 'inception_v1', 's3dg', 'resnet_v1_50', 'mobilenet_v1_025', 'mobilenet_v2', 'nasnet_cifar']


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in sorted(REFERENCE)])
def test_a_net_is_built_as_slims_and_gives_its_logits(name, record_property):
    expected = REFERENCE[name]
    assert nets_factory.NETS[name].image_size == expected['default_image_size']
    check_train_graph(name, expected)
    difference = check_eval_graph(name, expected)
    record_property('difference', float(difference))
    assert difference < 1e-3
    gc.collect()


def test_all_of_slims_nets_have_a_reference():
    assert sorted(nets_factory.NETS) == sorted(REFERENCE)
