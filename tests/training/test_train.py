"""`slimtune train` as a user meets it: the tutorial's command, the folder form, its lines and its files."""
import json
import os
import re
import shutil

import numpy as np
import pytest

from slimtune.runtime import tf


@pytest.fixture
def class_folders(digits, tmp_path):
    """The digits before they are converted: tmp_path / 'pic'."""
    shutil.copytree(str(digits), str(tmp_path / 'pic'))
    return tmp_path / 'pic'


@pytest.fixture
def records(pic):
    """slim's flags that name the records of `pic`."""
    return ['--dataset_dir=pic', '--dataset_name=pic', '--dataset_split_name=train']


def scalars(folder):
    """The scalars in the event files of a folder: {tag: {step: value}}."""
    found = {}
    for name in sorted(os.listdir(str(folder))):
        if name.startswith('events.'):
            for event in tf.train.summary_iterator(os.path.join(str(folder), name)):
                for value in event.summary.value:
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.mark.slow
def test_the_tutorials_command_trains_inception_v3_from_a_checkpoint_of_2016(
        digits, slimtune, tmp_path, values, weights_of, save_variables):
    slimtune('convert', '-t', digits, '--train-shards', 2, '--validation-shards', 2, '--num-threads', 2,
             '--dataset-name', 'guangdong', '--output-dir', tmp_path / 'guangdong/data', '--quiet')
    published = tmp_path / 'guangdong/pretrained/inception_v3.ckpt'
    published.parent.mkdir()
    weights = weights_of('inception_v3', 7)
    save_variables(weights, published, v1=True)
    assert published.is_file() and not published.with_suffix('.ckpt.index').exists()

    printed = slimtune(
        'train', '--train_dir=guangdong/train_dir', '--dataset_name=guangdong', '--dataset_split_name=train',
        '--dataset_dir=guangdong/data', '--model_name=inception_v3',
        '--checkpoint_path=guangdong/pretrained/inception_v3.ckpt',
        '--checkpoint_exclude_scopes=InceptionV3/Logits,InceptionV3/AuxLogits',
        '--trainable_scopes=InceptionV3/Logits,InceptionV3/AuxLogits', '--max_number_of_steps=2',
        '--batch_size=2', '--learning_rate=0.001', '--learning_rate_decay_type=fixed',
        '--save_interval_secs=300', '--save_summaries_secs=2', '--log_every_n_steps=1', '--optimizer=rmsprop',
        '--weight_decay=0.00004').output
    line = r'^global step 2: loss = \d+\.\d{4} \(\d+\.\d{3} sec/step\)$'
    assert re.search(line, printed, re.M), printed
    after = values(tmp_path / 'guangdong/train_dir')
    assert after['global_step'] == 2
    assert after['InceptionV3/Logits/Conv2d_1c_1x1/biases'].shape == (3,)
    backbone = [name for name in weights if not re.match('InceptionV3/(Aux)?Logits/', name)]
    assert len(backbone) == 376 and all(np.array_equal(after[name], weights[name]) for name in backbone)
    slots = {name for name in after if 'RMSProp' in name}
    assert slots and all(re.fullmatch(r'InceptionV3/(Aux)?Logits/.*/RMSProp(_1)?', name) for name in slots)


def test_in_a_notebook_a_train_folder_that_was_removed_is_trained_again_and_has_its_event_file(records, here):
    for steps in (2, 3):
        here('train', '--train_dir=run', '--model_name=lenet', '--batch_size=4',
             f'--max_number_of_steps={steps}', *records)
        assert scalars('run')['total_loss'], steps
        shutil.rmtree('run')


def test_a_folder_of_images_is_converted_once_and_the_whole_net_is_trained(class_folders, here):
    printed = here('train', 'pic', '--model', 'lenet', '--max-number', 25, '--batch', 8)
    assert 'images of 3 classes' in printed             # converted
    assert '8 of 8 variables trained' in printed        # no checkpoint: not a head on a random backbone
    assert 'Saved step 25: pic_lenet/model.ckpt-25' in printed and 'slimtune eval pic_lenet' in printed
    times = {path.name: path.stat().st_mtime_ns for path in class_folders.glob('*.tfrecord')}
    assert len(times) == 4

    files = {re.sub(r'tfevents.*', 'tfevents', name) for name in os.listdir('pic_lenet')}
    checkpoints = {f'model.ckpt-{step}.{part}' for step in (0, 25)
                   for part in ('index', 'meta', 'data-00000-of-00001')}
    assert files == checkpoints | {'checkpoint', 'events.out.tfevents', 'graph.pbtxt', 'label.txt',
                                   'labels.txt', 'run.json'}
    with open('pic_lenet/labels.txt') as f:
        assert f.read() == '0:one\n1:two\n2:zero\n'
    with open('pic_lenet/run.json') as f:
        run = json.load(f)
    assert run['classes'] == ['one', 'two', 'zero'] and run['image_size'] == 28 and run['channels'] == 1
    assert run['options']['model_name'] == 'lenet' and run['options']['optimizer'] == 'adam'
    assert os.path.samefile(run['options']['dataset_dir'], str(class_folders))

    tags = scalars('pic_lenet')
    assert {'learning_rate', 'total_loss', 'global_step/sec'} <= set(tags)
    assert set(tags['learning_rate'].values()) == {np.float32(0.001)}
    assert all(rate > 0 for rate in tags['global_step/sec'].values())

    printed = here('train', 'pic', '--model', 'lenet', '--max-number', 25)
    assert 'pic_lenet is trained: step 25 of 25' in printed
    printed = here('train', 'pic', '--model', 'lenet', '--max-number', 26)
    assert 'Resuming from pic_lenet/model.ckpt-25, step 25' in printed
    assert '8 of 8 variables trained' in printed
    assert {path.name: path.stat().st_mtime_ns for path in class_folders.glob('*.tfrecord')} == times


def test_images_are_converted_under_the_name_that_was_typed(class_folders, here):
    printed = here('train', 'pic', '--dataset-name', 'guangdong', '--model', 'lenet', '--max-number', 1)
    assert 'pic/guangdong_*.tfrecord' in printed and 'Saved step 1: pic_lenet/model.ckpt-1' in printed
    printed = here('train', 'pic', '--dataset-name', 'guangdong', '--model', 'lenet', '--max-number', 2)
    assert 'tfrecord' not in printed
    printed = here('train', 'pic', '--dataset-name', 'other', '--model', 'lenet', code=1)
    assert 'holds the data set guangdong, not other' in printed


def test_the_folder_form_trains_the_head_alone_where_a_checkpoint_is_named(trained, pic, here, values):
    printed = here('train', 'pic', '--model', 'lenet', '--checkpoint-path', trained / 'pic_lenet',
                   '--max-number', 3)
    assert '2 of 8 variables trained (LeNet/fc4)' in printed
    before, after = values(trained / 'pic_lenet'), values('pic_lenet')
    changed = {name for name in before if name in after and not np.array_equal(before[name], after[name])}
    assert {name for name in changed if '/Adam' not in name} == {
        'LeNet/fc4/weights', 'LeNet/fc4/biases', 'beta1_power', 'beta2_power', 'global_step'}
    # The next command need not name the checkpoint again.
    assert '2 of 8 variables trained' in here('train', 'pic', '--model', 'lenet', '--max-number', 4)
    printed = here('train', 'pic', '--model', 'lenet', '--max-number', 5, '--trainable-scopes', 'all')
    assert '8 of 8 variables trained' in printed


def test_a_seed_repeats_a_run_and_another_does_not(records, here, values):
    words = ['train', '--model=cifarnet', '--max_number_of_steps=3', '--batch_size=4'] + records
    for folder, seed in (('a', 7), ('b', 7), ('c', 8)):
        here(*words, f'--seed={seed}', f'--train_dir={folder}')
    a, b, c = (values(folder) for folder in 'abc')
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a['CifarNet/conv1/weights'], c['CifarNet/conv1/weights'])


def test_a_line_is_printed_every_n_steps_and_none_with_quiet(records, here):
    words = ['train', '--model=lenet', '--batch_size=2', '--train_dir=run', *records]
    printed = here(*words, '--max_number_of_steps=6', '--log_every_n_steps=2')
    assert re.findall(r'global step (\d+): loss', printed) == ['2', '4', '6']
    assert here(*words, '--max_number_of_steps=7', '--quiet') == ''


def test_the_last_five_checkpoints_remain_over_several_runs_in_a_folder_that_moved(records, here, tmp_path):
    words = ['train', '--model=lenet', '--batch_size=2', f'--train_dir={tmp_path}/first', *records]
    for steps in (1, 2, 3):
        here(*words, f'--max_number_of_steps={steps}')
    shutil.copytree('first', 'second')
    shutil.copyfile('first/model.ckpt-1.index', 'second/weights.ckpt.index')        # the user's own
    for steps in (4, 5, 6):
        here(*words, f'--max_number_of_steps={steps}', '--train_dir=second/')
    checkpoints = lambda folder: {name for name in os.listdir(folder) if name.endswith('.index')}
    assert checkpoints('second') == {f'model.ckpt-{step}.index' for step in (2, 3, 4, 5, 6)} | {
        'weights.ckpt.index'}
    assert checkpoints('first') == {f'model.ckpt-{step}.index' for step in (0, 1, 2, 3)}


@pytest.mark.slow
def test_a_loss_of_nan_ends_training_at_once_and_leaves_the_last_good_checkpoint(records, here, values):
    words = ['train', '--model=lenet', '--train_dir=run', '--optimizer=sgd', '--batch_size=4',
             '--learning_rate_decay_type=fixed', *records]
    converging = ['--learning_rate=0.001']
    diverging = ['--max_number_of_steps=500', '--learning_rate=1e6', '--weight_decay=1e4']
    here(*words, *converging, '--max_number_of_steps=2')
    good = values('run')
    for extra in ([], ['--histograms']):
        printed = here(*words, *diverging, *extra, code=1)
        assert re.search(r'not finite at step [3-9]: lower --learning-rate \(1e\+06\)', printed)
        assert 'run/model.ckpt-2' in printed
        assert all(np.array_equal(value, good[name]) for name, value in values('run').items())
    assert 'Saved step 4' in here(*words, *converging, '--max_number_of_steps=4')
    here(*words, *diverging, '--save_interval_secs=0', code=1)
    assert all(np.isfinite(value).all() for value in values('run').values())


def test_a_head_trained_by_the_tutorials_flags_classifies_real_flowers(real_data, slimtune, tmp_path, values):
    slimtune('convert', '-t', os.path.join(real_data, 'flowers'), '--dataset-name', 'flowers',
             '--output-dir', 'flowers', '--quiet')
    published = os.path.join(real_data, 'weights/mobilenet_v1_0.25_128.ckpt')
    slimtune('train', '--train_dir=run', '--dataset_name=flowers', '--dataset_split_name=train',
             '--dataset_dir=flowers', '--model_name=mobilenet_v1_025', f'--checkpoint_path={published}',
             '--preprocessing_name=inception_v1', '--train_image_size=128',
             '--checkpoint_exclude_scopes=MobilenetV1/Logits', '--trainable_scopes=MobilenetV1/Logits',
             '--optimizer=rmsprop', '--learning_rate=0.01', '--batch_size=32', '--max_number_of_steps=300',
             '--log_every_n_steps=100', '--seed=1')
    before, after = values(published), values(tmp_path / 'run')
    backbone = [name for name in before if not name.startswith('MobilenetV1/Logits')]
    assert len([name for name in backbone if name.endswith('moving_variance')]) == 27
    assert all(np.array_equal(before[name], after[name]) for name in backbone if name in after)
    slimtune('eval', 'run')
    with open(str(tmp_path / 'run/eval/metrics.json')) as f:
        metrics = json.load(f)
    assert metrics['n'] == 200
    # slim, which changes the frozen layers' statistics too, has 0.66 after 1000 steps.
    assert metrics['accuracy'] >= 0.70, metrics['accuracy']
