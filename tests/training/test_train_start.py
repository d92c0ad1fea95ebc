"""Where training starts: what is read from a checkpoint, what is not, and what stays frozen."""
import os
import shutil

import numpy as np
import pytest

FLAGS = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--batch_size=4', '--max_number_of_steps=2',
         '--seed=1', '--log_every_n_steps=1', '--train_dir=run']
LENET = FLAGS + ['--model_name=lenet']
MOBILENET = FLAGS + ['--model_name=mobilenet_v1_025', '--train_image_size=32']


@pytest.fixture(autouse=True)
def pic_lenet(pic, trained, tmp_path):
    """A lenet trained on the records in `pic`: tmp_path / 'pic_lenet'."""
    return shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'pic_lenet'))


@pytest.fixture
def published(weights_of, save_variables, tmp_path):
    """published(net, num_classes, v1=False, without=scopes, layer=shape) writes random weights to NET.ckpt.

    without: scopes that are left out. layer: the shape of its variables, of zeros. Returns {name: array}.
    """
    def write(net, num_classes, v1=False, without=(), **other_shapes):
        weights = {name: value for name, value in weights_of(net, num_classes).items()
                   if not name.startswith(tuple(without))}
        for name in weights:
            layer = name.split('/')[1]
            if layer in other_shapes:
                weights[name] = np.zeros(other_shapes[layer], np.float32)
        save_variables(weights, tmp_path / f'{net}.ckpt', v1)
        return weights
    return write


def changed(before, after):
    """The names of the variables that are in both, with different values."""
    return {name for name in before if name in after and not np.array_equal(before[name], after[name])}


@pytest.mark.parametrize('cache', ['on', 'off'])
def test_frozen_layers_keep_their_bits_statistics_included(here, published, values, cache):
    before = published('mobilenet_v1_025', 1001)
    printed = here(*MOBILENET, '--checkpoint_path=mobilenet_v1_025.ckpt', '--batch_norm=frozen',
                   '--trainable_scopes=MobilenetV1/Logits', f'--feature_cache={cache}',
                   '--checkpoint_exclude_scopes=MobilenetV1/Logits')
    assert 'Not read from mobilenet_v1_025.ckpt: MobilenetV1/Logits, 2 variables' in printed
    assert '2 of 83 variables trained (MobilenetV1/Logits)' in printed
    after = values('run')
    head = {f'MobilenetV1/Logits/Conv2d_1c_1x1/{part}' for part in ('weights', 'biases')}
    assert len(set(before) & set(after)) == 137 and changed(before, after) == head


@pytest.mark.slow
def test_batch_norm_update_changes_the_statistics_of_frozen_layers_as_slim_does(here, published, values):
    before = published('mobilenet_v1_025', 3)
    here(*MOBILENET, '--checkpoint_path=mobilenet_v1_025.ckpt', '--batch-norm', 'update',
         '--trainable_scopes=MobilenetV1/Logits')
    different = changed(before, values('run'))
    statistics = {name for name in different if 'moving_' in name}
    assert len(statistics) == 54
    head = {f'MobilenetV1/Logits/Conv2d_1c_1x1/{part}' for part in ('weights', 'biases')}
    assert different - statistics == head


@pytest.mark.slow
def test_training_a_layer_changes_the_statistics_of_that_layer_alone(here, published, values):
    before = published('mobilenet_v1_025', 3)
    printed = here(*MOBILENET, '--checkpoint_path=mobilenet_v1_025.ckpt', '--optimizer=adam',
                   '--opt_epsilon=1e-8',
                   '--trainable_scopes=MobilenetV1/Conv2d_13, MobilenetV1/Conv2d_13_pointwise,')
    assert '6 of 83 variables trained' in printed       # the scopes overlap: each variable counts once
    assert changed(before, values('run')) == {name for name in before if '/Conv2d_13' in name}


def test_the_head_of_another_number_of_classes_is_not_read(here, published, values):
    before = published('lenet', 7)
    printed = here(*LENET, '--checkpoint_path=lenet.ckpt', '--learning_rate=0')
    why = 'because its shapes differ: LeNet/fc4/biases, LeNet/fc4/weights'
    assert f'The head is not read from lenet.ckpt, {why}' in printed
    assert changed(before, values('run')) == {'LeNet/fc4/biases', 'LeNet/fc4/weights'}


def test_the_head_of_the_same_classes_is_read(here, values):
    before = values('pic_lenet')
    printed = here(*LENET, '--checkpoint_path=pic_lenet', '--learning_rate=0')
    assert 'not read' not in printed
    after = values('run')
    assert not changed({name: before[name] for name in before if name.startswith('LeNet/')}, after)
    assert after['global_step'] == 2


def test_the_head_of_as_many_other_classes_is_not_read(here, tmp_path):
    run = tmp_path / 'pic_lenet/run.json'
    run.write_text(run.read_text().replace('"two"', '"nine"'))
    printed = here(*LENET, '--checkpoint_path=pic_lenet/model.ckpt-60.index')
    why = 'because its classes differ: LeNet/fc4/biases'
    assert f'The head is not read from pic_lenet/model.ckpt-60, {why}' in printed


@pytest.mark.slow
def test_a_checkpoint_of_another_net_is_an_error_that_names_it(here, published):
    published('mobilenet_v1_025', 5)
    printed = here(*LENET, '--checkpoint_path=mobilenet_v1_025.ckpt', code=1)
    assert 'mobilenet_v1_025.ckpt holds mobilenet_v1_025, not lenet: add --model mobilenet_v1_025' in printed
    assert not os.path.exists('run')
    printed = here(*MOBILENET, '--model_name=mobilenet_v1_050', '--checkpoint_path=mobilenet_v1_025.ckpt',
                   code=1)
    assert 'holds mobilenet_v1_025, not mobilenet_v1_050: add --model mobilenet_v1_025' in printed


def test_other_shapes_outside_the_head_are_an_error_that_names_the_first_variables(here, published):
    published('lenet', 3, fc3=[5], conv1=[1, 1, 1, 4], conv2=[2])
    printed = here(*LENET, '--checkpoint_path=lenet.ckpt', code=1)
    assert 'lenet.ckpt has other shapes of 6 variables of lenet: LeNet/conv1/' in printed
    assert printed.count('LeNet/') == 5
    assert printed.endswith(', …: name another checkpoint\n')


def test_missing_variables_are_an_error_without_ignore_missing_vars(here, published, values):
    before = published('lenet', 3, without=['LeNet/conv2'])
    words = [*LENET, '--checkpoint_path=lenet.ckpt', '--learning_rate=0']
    assert 'lenet.ckpt lacks 2 variables of lenet: LeNet/conv2/' in here(*words, code=1)
    printed = here(*words, '--ignore_missing_vars')
    assert '2 variables are not in lenet.ckpt and start at random: LeNet/conv2/' in printed
    assert not changed(before, values('run'))


def test_a_scope_with_a_typo_is_an_error_that_names_the_nearest(here):
    printed = here(*LENET, '--trainable_scopes=LeNet/fc5', code=1)
    assert 'no trainable variable in scope LeNet/fc5: did you mean LeNet/fc' in printed
    printed = here(*LENET, '--checkpoint_path=pic_lenet',
                   '--checkpoint_exclude_scopes=LeNet/fc4,LeNet/Fc3', code=1)
    assert 'no variable in --checkpoint-exclude-scopes LeNet/Fc3: did you mean LeNet/fc' in printed
    assert 'no regular expression' in here(*LENET, '--trainable_scopes=LeNet/(fc4', code=1)
    assert not os.path.exists('run')


def test_a_trainable_scope_is_a_regular_expression_for_the_start_of_a_name(here):
    """As in slim: it may end within a part of the name."""
    assert '2 of 8 variables trained' in here(*LENET, '--trainable_scopes=.*fc[34]/w')


@pytest.mark.slow
@pytest.mark.parametrize('resumed', [False, True])
def test_moving_averages_of_all_model_variables_start_at_the_values_of_the_checkpoint(here, values, resumed):
    before = values('pic_lenet')
    words = [*LENET, '--checkpoint_path=pic_lenet', '--learning_rate=0', '--optimizer=sgd']
    if resumed:         # without averages so far
        here(*words)
    here(*words, '--moving_average_decay=0.9999', '--max_number_of_steps=3')
    after = values('run')
    averages = {name for name in after if name.endswith('/ExponentialMovingAverage')}
    assert len(averages) == 8
    assert all(np.allclose(after[name], before[name.rsplit('/', 1)[0]], rtol=1e-6) for name in averages)


def test_training_starts_from_a_single_file_checkpoint_of_2016(here, published, values):
    before = published('lenet', 3, v1=True)
    assert os.path.isfile('lenet.ckpt')
    here(*LENET, '--checkpoint_path=lenet.ckpt', '--learning_rate=0')
    after = values('run')
    assert set(before) <= set(after) and not changed(before, after)


@pytest.mark.parametrize('path, message', [
    ('gone.ckpt', 'no checkpoint at gone.ckpt'), ('pic', 'no checkpoint in pic'),
    ('pic/label.txt', 'pic/label.txt is not a checkpoint, or it is damaged')])
def test_a_path_without_a_checkpoint_is_an_error_that_leaves_no_train_folder(here, path, message):
    assert message in here(*LENET, f'--checkpoint_path={path}', code=1)
    assert not os.path.exists('run')
