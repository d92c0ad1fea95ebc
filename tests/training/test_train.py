"""`slimtune train` as a user meets it: the tutorial's command, the folder form, what it says and what it leaves behind."""
import json
import os
import re
import shutil

import numpy as np
import pytest

from slimtune.runtime import tf


@pytest.fixture
def pic(digits, tmp_path):
    """Images in class folders: tmp_path / 'pic'."""
    return shutil.copytree(str(digits), str(tmp_path / 'pic')) and tmp_path / 'pic'


@pytest.fixture
def records(trained, tmp_path):
    """Their records, converted already, under slim's names: the words that name them."""
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    return ['--dataset_dir=pic', '--dataset_name=pic', '--dataset_split_name=train']


def scalars(folder):
    """What the event files of a folder hold: {tag: {step: value}}."""
    found = {}
    for name in sorted(os.listdir(str(folder))):
        if name.startswith('events.'):
            for event in tf.train.summary_iterator(os.path.join(str(folder), name)):
                for value in event.summary.value:
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.mark.slow
def test_the_tutorials_command_trains_inception_v3_from_a_checkpoint_of_2016(digits, slimtune, tmp_path, values,
                                                                            weights_of, save_variables):
    slimtune('convert', '-t', digits, '--train-shards', 2, '--validation-shards', 2, '--num-threads', 2, '--dataset-name',
             'guangdong', '--output-dir', tmp_path / 'guangdong/data', '--quiet')
    published = tmp_path / 'guangdong/pretrained/inception_v3.ckpt'
    published.parent.mkdir()
    weights = weights_of('inception_v3', 7)
    save_variables(weights, published, v1=True)
    assert published.is_file() and not published.with_suffix('.ckpt.index').exists()

    said = slimtune(
        'train', '--train_dir=guangdong/train_dir', '--dataset_name=guangdong', '--dataset_split_name=train',
        '--dataset_dir=guangdong/data', '--model_name=inception_v3',
        '--checkpoint_path=guangdong/pretrained/inception_v3.ckpt',
        '--checkpoint_exclude_scopes=InceptionV3/Logits,InceptionV3/AuxLogits',
        '--trainable_scopes=InceptionV3/Logits,InceptionV3/AuxLogits', '--max_number_of_steps=2', '--batch_size=2',
        '--learning_rate=0.001', '--learning_rate_decay_type=fixed', '--save_interval_secs=300', '--save_summaries_secs=2',
        '--log_every_n_steps=1', '--optimizer=rmsprop', '--weight_decay=0.00004')
    assert re.search(r'^global step 2: loss = \d+\.\d{4} \(\d+\.\d{3} sec/step\)$', said.output, re.M), said.output
    after = values(tmp_path / 'guangdong/train_dir')
    assert after['global_step'] == 2
    assert after['InceptionV3/Logits/Conv2d_1c_1x1/biases'].shape == (3,)
    backbone = [name for name in weights if not re.match('InceptionV3/(Aux)?Logits/', name)]
    assert len(backbone) == 376 and all(np.array_equal(after[name], weights[name]) for name in backbone)
    slots = {name for name in after if 'RMSProp' in name}
    assert slots and all(re.fullmatch(r'InceptionV3/(Aux)?Logits/.*/RMSProp(_1)?', name) for name in slots)


def test_a_folder_that_was_removed_is_trained_anew_in_the_same_process_with_its_event_file(records, here):
    """As in a notebook."""
    for steps in (2, 3):
        here('train', '--train_dir=run', '--model_name=lenet', '--batch_size=4', '--max_number_of_steps=%d' % steps, *records)
        assert scalars('run')['total_loss'], steps
        shutil.rmtree('run')


def test_a_folder_of_images_is_converted_once_and_trained_whole(pic, here):
    said = here('train', 'pic', '--model', 'lenet', '--max-number', 25, '--batch', 8)
    assert 'images of 3 classes' in said              # it was converted
    assert '8 of 8 variables trained' in said           # no checkpoint: never a head on a random backbone
    assert 'Saved step 25: pic_lenet/model.ckpt-25' in said and 'slimtune eval pic_lenet' in said
    written = {path.name: path.stat().st_mtime_ns for path in pic.glob('*.tfrecord')}
    assert len(written) == 4

    files = {re.sub(r'tfevents.*', 'tfevents', name) for name in os.listdir('pic_lenet')}
    assert files == {'checkpoint', 'events.out.tfevents', 'graph.pbtxt', 'label.txt', 'labels.txt', 'run.json'} | {
        'model.ckpt-%d.%s' % (step, part) for step in (0, 25) for part in ('index', 'meta', 'data-00000-of-00001')}
    with open('pic_lenet/labels.txt') as f:
        assert f.read() == '0:one\n1:two\n2:zero\n'
    with open('pic_lenet/run.json') as f:
        run = json.load(f)
    assert run['classes'] == ['one', 'two', 'zero'] and run['image_size'] == 28 and run['channels'] == 1
    assert run['options']['model_name'] == 'lenet' and run['options']['optimizer'] == 'adam'
    assert os.path.samefile(run['options']['dataset_dir'], str(pic))

    tags = scalars('pic_lenet')
    assert {'learning_rate', 'total_loss', 'global_step/sec'} <= set(tags)
    assert set(tags['learning_rate'].values()) == {np.float32(0.001)}
    assert all(rate > 0 for rate in tags['global_step/sec'].values())

    said = here('train', 'pic', '--model', 'lenet', '--max-number', 25)
    assert 'pic_lenet is trained: step 25 of 25' in said
    said = here('train', 'pic', '--model', 'lenet', '--max-number', 26)
    assert 'Resuming from pic_lenet/model.ckpt-25, step 25' in said and '8 of 8 variables trained' in said
    assert {path.name: path.stat().st_mtime_ns for path in pic.glob('*.tfrecord')} == written


def test_images_are_converted_under_the_name_that_is_asked_for(pic, here):
    said = here('train', 'pic', '--dataset-name', 'guangdong', '--model', 'lenet', '--max-number', 1)
    assert 'pic/guangdong_*.tfrecord' in said and 'Saved step 1: pic_lenet/model.ckpt-1' in said
    assert 'tfrecord' not in here('train', 'pic', '--dataset-name', 'guangdong', '--model', 'lenet', '--max-number', 2)
    said = here('train', 'pic', '--dataset-name', 'other', '--model', 'lenet', code=1)
    assert 'holds the data set guangdong, not other' in said


def test_a_folder_with_a_checkpoint_trains_its_head_alone(trained, here, tmp_path, values):
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    said = here('train', 'pic', '--model', 'lenet', '--checkpoint-path', trained / 'pic_lenet', '--max-number', 3)
    assert '2 of 8 variables trained (LeNet/fc4)' in said
    before, after = values(trained / 'pic_lenet'), values('pic_lenet')
    changed = {name for name in before if name in after and not np.array_equal(before[name], after[name])}
    assert {name for name in changed if '/Adam' not in name} == {
        'LeNet/fc4/weights', 'LeNet/fc4/biases', 'beta1_power', 'beta2_power', 'global_step'}
    # Resumed without naming the checkpoint again, it is still the head alone.
    assert '2 of 8 variables trained' in here('train', 'pic', '--model', 'lenet', '--max-number', 4)
    said = here('train', 'pic', '--model', 'lenet', '--max-number', 5, '--trainable-scopes', 'all')
    assert '8 of 8 variables trained' in said


def test_a_seed_repeats_a_run_and_another_does_not(records, here, values):
    words = ['train', '--model=cifarnet', '--max_number_of_steps=3', '--batch_size=4'] + records
    for folder, seed in (('a', 7), ('b', 7), ('c', 8)):
        here(*words + ['--seed=%d' % seed, '--train_dir=' + folder])
    a, b, c = (values(folder) for folder in 'abc')
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a['CifarNet/conv1/weights'], c['CifarNet/conv1/weights'])


def test_lines_come_as_often_as_asked_and_quiet_says_nothing(records, here):
    words = ['train', '--model=lenet', '--batch_size=2', '--train_dir=there'] + records
    said = here(*words + ['--max_number_of_steps=6', '--log_every_n_steps=2'])
    assert re.findall(r'global step (\d+): loss', said) == ['2', '4', '6']
    assert here(*words + ['--max_number_of_steps=7', '--quiet']) == ''


def test_the_last_five_checkpoints_remain_over_several_runs_in_a_folder_that_moved(records, here, tmp_path):
    words = ['train', '--model=lenet', '--batch_size=2', '--train_dir=%s' % (tmp_path / 'first')] + records
    for steps in (1, 2, 3):
        here(*words + ['--max_number_of_steps=%d' % steps])
    shutil.copytree('first', 'second')
    shutil.copyfile('first/model.ckpt-1.index', 'second/weights.ckpt.index')        # the user's own stays
    for steps in (4, 5, 6):
        here(*words + ['--max_number_of_steps=%d' % steps, '--train_dir=second/'])
    kept = {name for name in os.listdir('second') if name.endswith('.index')}
    assert kept == {'model.ckpt-%d.index' % step for step in (2, 3, 4, 5, 6)} | {'weights.ckpt.index'}
    assert {name for name in os.listdir('first') if name.endswith('.index')} == {
        'model.ckpt-%d.index' % step for step in (0, 1, 2, 3)}


def test_slims_defaults_for_many_machines_train(records, here):
    words = ['train', '--model=lenet', '--batch_size=2', '--train_dir=there', '--max_number_of_steps=1'] + records
    said = here(*words + ['--num_clones=1', '--worker_replicas=1', '--num_ps_tasks=0', '--task=0', '--master=',
                          '--sync_replicas=False', '--replicas_to_aggregate=1', '--quantize_delay=-1',
                          '--clone_on_cpu=True', '--num_readers=4', '--num_preprocessing_threads=4',
                          '--ignore_missing_vars=False', '--labels_offset=0', '--label_smoothing=0.0'])
    assert 'Saved step 1' in said


@pytest.mark.slow
def test_nan_stops_at_once_and_the_last_good_checkpoint_stays(records, here, values):
    words = ['train', '--model=lenet', '--train_dir=there', '--optimizer=sgd', '--batch_size=4',
             '--learning_rate_decay_type=fixed'] + records
    here(*words + ['--max_number_of_steps=2', '--learning_rate=0.001'])
    good = values('there')
    for extra in ([], ['--histograms']):
        said = here(*words + ['--max_number_of_steps=500', '--learning_rate=1e6', '--weight_decay=1e4'] + extra, code=1)
        assert re.search(r'not finite at step [3-9]: lower --learning-rate \(1e\+06\)', said) and 'there/model.ckpt-2' in said
        assert all(np.array_equal(value, good[name]) for name, value in values('there').items())
    assert 'Saved step 4' in here(*words + ['--max_number_of_steps=4', '--learning_rate=0.001'])
    here(*words + ['--max_number_of_steps=500', '--learning_rate=1e6', '--weight_decay=1e4', '--save_interval_secs=0'],
         code=1)
    assert all(np.isfinite(value).all() for value in values('there').values())


def test_real_flowers_are_told_apart_after_the_tutorials_kind_of_training(real_data, slimtune, tmp_path, values):
    slimtune('convert', '-t', os.path.join(real_data, 'flowers'), '--dataset-name', 'flowers', '--output-dir', 'flowers',
             '--quiet')
    published = os.path.join(real_data, 'weights/mobilenet_v1_0.25_128.ckpt')
    slimtune('train', '--train_dir=there', '--dataset_name=flowers', '--dataset_split_name=train', '--dataset_dir=flowers',
             '--model_name=mobilenet_v1_025', '--checkpoint_path=' + published, '--preprocessing_name=inception_v1',
             '--checkpoint_exclude_scopes=MobilenetV1/Logits', '--trainable_scopes=MobilenetV1/Logits',
             '--train_image_size=128', '--optimizer=rmsprop', '--learning_rate=0.01', '--batch_size=32',
             '--max_number_of_steps=300', '--log_every_n_steps=100', '--seed=1')
    before, after = values(published), values(tmp_path / 'there')
    backbone = [name for name in before if not name.startswith('MobilenetV1/Logits')]
    assert len([name for name in backbone if name.endswith('moving_variance')]) == 27
    assert all(np.array_equal(before[name], after[name]) for name in backbone if name in after)
    slimtune('eval', 'there')
    with open(str(tmp_path / 'there/eval/metrics.json')) as f:
        metrics = json.load(f)
    assert metrics['n'] == 200
    assert metrics['accuracy'] >= 0.70, metrics['accuracy']     # slim with moving statistics after 1000 steps: 0.66
