"""Training that is interrupted goes on as if it never had been."""
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
#: Augmentation, dropout, moving averages, two slots a variable and a rate that falls.
FLAGS = ['--model_name=cifarnet', '--dataset_dir=pic', '--dataset_name=pic', '--batch_size=5',
         '--optimizer=adam', '--opt_epsilon=0.01', '--learning_rate=0.003', '--num_epochs_per_decay=0.3', '--seed=5',
         '--moving_average_decay=0.9', '--log_every_n_steps=1', '--num_readers=2', '--num_preprocessing_threads=2']


@pytest.fixture(scope='module')
def place(trained, tmp_path_factory):
    """A folder with the records in `pic`, and in `whole` what 24 steps without a stop left."""
    folder = tmp_path_factory.mktemp('resume')
    shutil.copytree(str(trained / 'pic'), str(folder / 'pic'))
    assert ended(begin(folder, 'whole', 24))[0] == 0
    return folder


def begin(folder, train_dir, steps, *more):
    """Starts a training in `folder`."""
    words = [SLIMTUNE, 'train', '--train_dir=' + train_dir] + FLAGS + list(more)
    if steps:
        words.append('--max_number_of_steps=%d' % steps)
    return subprocess.Popen(words, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, encoding='utf-8', env=dict(os.environ, PYTHONUNBUFFERED='1'))


def after_step(process, step):
    """Waits until a training has said that it did this step."""
    for line in process.stdout:
        if line.startswith('global step %d:' % step):
            return
    raise AssertionError('it ended before step %d' % step)


def ended(process):
    """(exit code, what else it said) of a process, when it has ended."""
    said = process.communicate(timeout=300)[0]
    assert 'Traceback' not in said, said
    return process.returncode, said


def assert_the_same(values, one, other):
    """Every variable of two train folders is equal bit for bit."""
    one, other = values(one), values(other)
    assert set(one) == set(other)
    different = sorted(name for name in one if not np.array_equal(one[name], other[name]))
    assert not different, different


@pytest.mark.slow
def test_stopped_by_every_signal_and_killed_it_ends_as_if_never_interrupted(place, values):
    # Ctrl-C, in an endless run
    process = begin(place, 'there', None)
    after_step(process, 3)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130 and 'goes on from here' in said, said
    stopped = values(place / 'there')['global_step']
    assert 3 <= stopped < 24 and 'Saved step %d' % stopped in said

    # SIGTERM; the terminal is closed, so that nothing can be printed any more
    for number, steps in ((signal.SIGTERM, 2), (signal.SIGHUP, 2)):
        process = begin(place, 'there', 24)
        after_step(process, stopped + steps)
        process.send_signal(number)
        if number == signal.SIGHUP:
            process.stdout.close()
            process.wait(timeout=300)
        else:
            ended(process)
        assert process.returncode not in (0, 1), process.returncode
        before, stopped = stopped, values(place / 'there')['global_step']
        assert before + steps <= stopped < 24

    # kill -9: at most the steps since the last checkpoint are lost
    process = begin(place, 'there', 24, '--save_interval_secs=0')
    after_step(process, stopped + 3)
    process.kill()
    process.communicate()
    killed = values(place / 'there')['global_step']
    assert killed >= stopped + 2

    code, said = ended(begin(place, 'there', 24))
    assert code == 0 and 'Resuming from there/model.ckpt-%d' % killed in said and 'global step 24' in said
    assert values(place / 'there')['global_step'] == 24
    assert_the_same(values, place / 'there', place / 'whole')


@pytest.mark.slow
def test_batch_norm_partly_frozen_goes_on_too(place, here, values):
    shutil.copytree(str(place / 'pic'), 'pic')
    flags = FLAGS + ['--model_name=mobilenet_v1_025', '--train_image_size=32', '--moving_average_decay=0', '--optimizer=momentum',
                     '--trainable_scopes=MobilenetV1/Logits,MobilenetV1/Conv2d_13_pointwise']
    for train_dir, steps in (('once', 4), ('twice', 2), ('twice', 4)):
        here('train', '--train_dir=' + train_dir, '--max_number_of_steps=%d' % steps, *flags)
    assert_the_same(values, 'once', 'twice')


def test_a_checkpoint_path_is_not_silently_ignored_when_resuming(place, here):
    shutil.copytree(str(place / 'pic'), 'pic')
    shutil.copytree(str(place / 'whole'), 'there')
    said = here('train', '--train_dir=there', '--checkpoint_path=some/weights.ckpt', '--max_number_of_steps=25', *FLAGS)
    assert 'Resuming from there/model.ckpt-24, step 24, ignoring some/weights.ckpt (--restart starts over)' in said


def test_a_folder_that_was_moved_resumes_from_its_own_checkpoint_and_not_from_where_it_was(place, here, values):
    shutil.copytree(str(place / 'pic'), 'pic')
    shutil.copytree(str(place / 'whole'), 'there')
    with open('there/checkpoint', 'w') as f:
        f.write('model_checkpoint_path: "/gone/model.ckpt-24"\nall_model_checkpoint_paths: "/gone/model.ckpt-24"\n')
    assert 'from there/model.ckpt-24' in here('train', '--train_dir=there', '--max_number_of_steps=25', *FLAGS)
    os.remove('there/checkpoint')
    assert 'from there/model.ckpt-25' in here('train', '--train_dir=there', '--max_number_of_steps=26', *FLAGS)


def test_a_torn_checkpoint_is_passed_over(place, here):
    shutil.copytree(str(place / 'pic'), 'pic')
    shutil.copytree(str(place / 'whole'), 'there')
    os.remove('there/model.ckpt-24.data-00000-of-00001')
    assert 'from there/model.ckpt-0, step 0' in here('train', '--train_dir=there', '--max_number_of_steps=1', *FLAGS)
    shutil.copytree(str(place / 'whole'), 'cut')
    with open('cut/model.ckpt-24.data-00000-of-00001', 'r+b') as f:
        f.truncate(1000)
    said = here('train', '--train_dir=cut', '--max_number_of_steps=25', *FLAGS, code=1)
    assert 'cut/model.ckpt-24 is damaged' in said


def test_other_classes_are_refused_and_another_optimizer_begins_afresh(place, here):
    shutil.copytree(str(place / 'pic'), 'pic')
    shutil.copytree(str(place / 'whole'), 'there')
    said = here('train', '--train_dir=there', '--max_number_of_steps=25', *FLAGS, '--optimizer=momentum')
    assert 'started afresh: ' in said and '/Momentum' in said
    for name in ('dataset.json', 'labels.txt'):
        os.remove('pic/' + name)
    with open('pic/label.txt', 'w') as f:
        f.write('one\ntwo\nnought\n')
    said = here('train', '--train_dir=there', '--max_number_of_steps=26', *FLAGS, code=1)
    assert 'other classes (one, two, zero)' in said and '--restart' in said


def test_another_net_in_the_same_folder_is_refused_by_name(place, here):
    shutil.copytree(str(place / 'pic'), 'pic')
    said = here('train', '--train_dir=%s' % (place / 'whole'), '--max_number_of_steps=25', *FLAGS, '--model_name=lenet', code=1)
    assert 'model.ckpt-24 is a cifarnet checkpoint' in said
