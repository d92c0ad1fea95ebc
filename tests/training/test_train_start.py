"""Where training starts from: what is read from a checkpoint, what is left out, and what stays frozen."""
import os
import shutil

import numpy as np
import pytest

FLAGS = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--batch_size=4', '--max_number_of_steps=2', '--seed=1',
         '--log_every_n_steps=1']
LENET = FLAGS + ['--model_name=lenet']
MOBILENET = FLAGS + ['--model_name=mobilenet_v1_025', '--train_image_size=32']


@pytest.fixture(autouse=True)
def place(trained, tmp_path):
    """`pic` holds the records, `pic_lenet` a lenet trained on them."""
    for name in ('pic', 'pic_lenet'):
        shutil.copytree(str(trained / name), str(tmp_path / name))


@pytest.fixture
def published(weights_of, save_variables, tmp_path):
    """published(net, classes, without=scopes, layer=its shape): writes net.ckpt, random weights, and returns {name: array}."""
    def write(net, classes, v1=False, without=(), **other_shapes):
        weights = {name: np.zeros(other_shapes[name.split('/')[1]], np.float32) if name.split('/')[1] in other_shapes else value
                   for name, value in weights_of(net, classes).items() if not name.startswith(tuple(without))}
        save_variables(weights, tmp_path / (net + '.ckpt'), v1)
        return weights
    return write


def changed(before, after):
    """The names of the variables that both hold with other values."""
    return {name for name in before if name in after and not np.array_equal(before[name], after[name])}


@pytest.mark.parametrize('cache', [[], ['--feature_cache=off']])
def test_what_is_frozen_keeps_its_bits_statistics_included(here, published, values, cache):
    before = published('mobilenet_v1_025', 1001)
    said = here(*MOBILENET + cache + ['--train_dir=there', '--checkpoint_path=mobilenet_v1_025.ckpt', '--batch_norm=frozen',
                                      '--trainable_scopes=MobilenetV1/Logits', '--checkpoint_exclude_scopes=MobilenetV1/Logits'])
    assert 'Not read from mobilenet_v1_025.ckpt: MobilenetV1/Logits, 2 variables' in said
    assert '2 of 83 variables trained (MobilenetV1/Logits)' in said
    after = values('there')
    head = {'MobilenetV1/Logits/Conv2d_1c_1x1/' + part for part in ('weights', 'biases')}
    assert len(set(before) & set(after)) == 137 and changed(before, after) == head


@pytest.mark.slow
def test_batch_norm_update_moves_statistics_as_slim_does_and_nothing_else(here, published, values):
    before = published('mobilenet_v1_025', 3)
    here(*MOBILENET + ['--train_dir=there', '--checkpoint_path=mobilenet_v1_025.ckpt', '--batch-norm', 'update',
                       '--trainable_scopes=MobilenetV1/Logits'])
    moved = changed(before, values('there'))
    assert {name for name in moved if 'moving_' not in name} == {'MobilenetV1/Logits/Conv2d_1c_1x1/weights',
                                                                 'MobilenetV1/Logits/Conv2d_1c_1x1/biases'}
    assert len([name for name in moved if 'moving_' in name]) == 54


@pytest.mark.slow
def test_a_layer_that_is_trained_moves_its_own_statistics_only(here, published, values):
    before = published('mobilenet_v1_025', 3)
    said = here(*MOBILENET + ['--train_dir=there', '--checkpoint_path=mobilenet_v1_025.ckpt',
                              '--optimizer=adam', '--opt_epsilon=1e-8',
                              '--trainable_scopes=MobilenetV1/Conv2d_13, MobilenetV1/Conv2d_13_pointwise,'])
    assert '6 of 83 variables trained' in said          # two scopes that overlap, each variable once
    assert changed(before, values('there')) == {name for name in before if '/Conv2d_13' in name}


def test_the_head_is_left_out_where_classes_differ_and_kept_where_they_are_the_same(here, published, values, tmp_path):
    before = published('lenet', 7)
    said = here(*LENET + ['--train_dir=a', '--checkpoint_path=lenet.ckpt', '--learning_rate=0'])
    assert ('The head is not read from lenet.ckpt, because its shapes differ: LeNet/fc4/biases, LeNet/fc4/weights') in said
    assert changed(before, values('a')) == {'LeNet/fc4/biases', 'LeNet/fc4/weights'}

    before = values('pic_lenet')        # the same classes: its head goes on
    said = here(*LENET + ['--train_dir=b', '--checkpoint_path=pic_lenet', '--learning_rate=0'])
    assert 'not read' not in said
    after = values('b')
    assert not changed({name: before[name] for name in before if name.startswith('LeNet/')}, after)
    assert after['global_step'] == 2

    run = tmp_path / 'pic_lenet/run.json'       # as many classes, but others
    run.write_text(run.read_text().replace('"two"', '"nine"'))
    said = here(*LENET + ['--train_dir=c', '--checkpoint_path=pic_lenet/model.ckpt-60.index'])
    assert 'The head is not read from pic_lenet/model.ckpt-60, because its classes differ: LeNet/fc4/biases' in said


@pytest.mark.slow
def test_the_wrong_net_is_recognised_and_named(here, published):
    published('mobilenet_v1_025', 5)
    said = here(*LENET + ['--train_dir=a', '--checkpoint_path=mobilenet_v1_025.ckpt'], code=1)
    assert 'mobilenet_v1_025.ckpt holds mobilenet_v1_025, not lenet: add --model mobilenet_v1_025' in said
    assert not os.path.exists('a')
    said = here(*MOBILENET + ['--model_name=mobilenet_v1_050', '--checkpoint_path=mobilenet_v1_025.ckpt', '--train_dir=a'],
                code=1)
    assert '--model-name mobilenet_v1_025' in said


def test_shapes_that_differ_outside_the_head_are_an_error_with_the_first_names(here, published):
    published('lenet', 3, fc3=[5], conv1=[1, 1, 1, 4], conv2=[2])
    said = here(*LENET + ['--train_dir=a', '--checkpoint_path=lenet.ckpt'], code=1)
    assert 'lenet.ckpt has other shapes of 6 variables of lenet: LeNet/conv1/' in said and said.count('LeNet/') == 5
    assert said.endswith(', …\n')


def test_missing_variables_are_an_error_unless_told_to_ignore_them(here, published, values):
    before = published('lenet', 3, without=['LeNet/conv2'])
    words = LENET + ['--train_dir=a', '--checkpoint_path=lenet.ckpt', '--learning_rate=0']
    said = here(*words, code=1)
    assert 'lenet.ckpt lacks 2 variables of lenet: LeNet/conv2/' in said
    said = here(*words + ['--ignore_missing_vars'])
    assert '2 variables are not in lenet.ckpt and start at random: LeNet/conv2/' in said
    assert not changed(before, values('a'))


def test_a_scope_with_a_typo_is_an_error_with_the_nearest(here):
    said = here(*LENET + ['--train_dir=a', '--trainable_scopes=LeNet/fc5'], code=1)
    assert 'no trainable variable in scope LeNet/fc5: did you mean LeNet/fc' in said
    said = here(*LENET + ['--train_dir=a', '--checkpoint_path=pic_lenet', '--checkpoint_exclude_scopes=LeNet/fc4,LeNet/Fc3'],
                code=1)
    assert 'no variable in --checkpoint-exclude-scopes LeNet/Fc3: did you mean LeNet/fc' in said
    assert 'no regular expression' in here(*LENET + ['--train_dir=a', '--trainable_scopes=LeNet/(fc4'], code=1)
    # What slim does: a trainable scope is a regular expression from the start, and needs not end at a `/`.
    said = here(*LENET + ['--train_dir=a', '--trainable_scopes=.*fc[34]/w'])
    assert '2 of 8 variables trained' in said
    assert not os.path.exists('b')


@pytest.mark.slow
def test_moving_averages_are_kept_of_all_model_variables_and_begin_at_the_checkpoints(here, values):
    before = values('pic_lenet')
    words = LENET + ['--checkpoint_path=pic_lenet', '--learning_rate=0', '--train_dir=a']
    here(*words + ['--moving_average_decay=0.9999', '--optimizer=sgd'])
    after = values('a')
    averages = {name for name in after if name.endswith('/ExponentialMovingAverage')}
    assert len(averages) == 8
    assert all(np.allclose(after[name], before[name.rsplit('/', 1)[0]], rtol=1e-6) for name in averages)
    # Asked for later on, they begin at the weights too, not at random.
    here(*[word for word in words if word != '--train_dir=a'] + ['--train_dir=b', '--optimizer=sgd'])
    here(*words[:-1] + ['--train_dir=b', '--moving_average_decay=0.9999', '--optimizer=sgd', '--max_number_of_steps=3'])
    after = values('b')
    assert all(np.allclose(after[name], before[name.rsplit('/', 1)[0]], rtol=1e-6) for name in averages)


@pytest.mark.parametrize('named', ['pic_lenet', 'pic_lenet/', 'pic_lenet/model.ckpt-60', 'pic_lenet/model.ckpt-60.meta',
                                   'pic_lenet/model.ckpt-60.data-00000-of-00001', 'lenet.ckpt', 'moved', '$HERE/pic_lenet'])
def test_a_checkpoint_may_be_named_by_anything_of_it(here, published, values, monkeypatch, named):
    monkeypatch.setenv('HERE', os.getcwd())
    if named == 'lenet.ckpt':
        published('lenet', 3, v1=True)
        assert os.path.isfile('lenet.ckpt')
    if named == 'moved':
        os.mkdir('moved')
        for ending in ('index', 'data-00000-of-00001'):
            os.rename('pic_lenet/model.ckpt-60.' + ending, 'moved/weights.ckpt.' + ending)
    before = values(os.path.expandvars(named))
    here(*LENET + ['--train_dir=a', '--learning_rate=0', '--checkpoint_path=' + named])
    after = values('a')
    assert not changed({name: before[name] for name in before if name.startswith('LeNet/') and name in after}, after)


def test_a_checkpoint_that_is_not_there_or_no_checkpoint_is_an_error(here):
    os.mkdir('empty')
    with open('text.ckpt', 'w') as f:
        f.write('no checkpoint')
    os.remove('pic_lenet/model.ckpt-60.data-00000-of-00001')
    for named, why in (('empty', 'no checkpoint in empty'), ('gone.ckpt', 'no checkpoint at gone.ckpt'),
                       ('text.ckpt', 'text.ckpt is not a checkpoint, or damaged'),
                       ('pic_lenet/model.ckpt-60', 'an incomplete checkpoint at pic_lenet/model.ckpt-60')):
        assert why in here(*LENET + ['--train_dir=a', '--checkpoint_path=' + named], code=1)
        assert not os.path.exists('a')


def test_what_slim_itself_left_is_resumed_and_started_from(here, real_data, values, tmp_path):
    for name, step, optimizer, slots in (('head_rmsprop', 600, 'rmsprop', 'RMSProp'),
                                         ('all_momentum_ema', 200, 'momentum', 'Momentum')):
        shutil.copytree(os.path.join(real_data, 'slim_train_dirs', name), name)
        flags = ['train', '--model_name=mobilenet_v1_025', '--train_image_size=128', '--dataset_dir=flowers',
                 '--dataset_name=flowers', '--batch_size=2', '--optimizer=' + optimizer, '--learning_rate=0.0001']
        if not os.path.exists('flowers'):
            os.mkdir('flowers')
            shutil.copyfile(os.path.join(real_data, 'slim_train_dirs/label.txt'), 'flowers/label.txt')
            here('convert', '-t', os.path.join(real_data, 'flowers'), '--output-dir', 'flowers', '--dataset-name', 'flowers',
                 '--quiet')
        before = values(name)
        if optimizer == 'momentum':
            flags += ['--moving_average_decay=0.95']
        else:
            flags += ['--trainable_scopes=MobilenetV1/Logits']
        said = here(*flags + ['--train_dir=' + name, '--max_number_of_steps=%d' % (step + 1)])
        assert 'step %d' % step in said and 'started afresh' not in said      # every slot and average is found
        after = values(name)
        assert set(before) == set(after) and after['global_step'] == step + 1
        assert any(slots in variable for variable in changed(before, after))
        assert not any('BatchNorm' in variable for variable in changed(before, after)) or optimizer == 'momentum'
    said = here(*flags + ['--train_dir=a', '--max_number_of_steps=1', '--checkpoint_path=' + os.path.join(
        real_data, 'slim_train_dirs/head_rmsprop_v1_format.ckpt')])
    assert 'Saved step 1' in said and 'not read' not in said
