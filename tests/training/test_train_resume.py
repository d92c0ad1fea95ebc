"""Training that was interrupted is resumed, and ends as if it had not been."""
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
#: Augmentation, dropout, moving averages, two slots per variable and a learning rate that falls.
FLAGS = ['--model_name=cifarnet', '--dataset_dir=pic', '--dataset_name=pic', '--batch_size=5',
         '--optimizer=adam', '--opt_epsilon=0.01', '--learning_rate=0.003', '--num_epochs_per_decay=0.3',
         '--seed=5', '--moving_average_decay=0.9', '--log_every_n_steps=1', '--num_readers=2',
         '--num_preprocessing_threads=2']


@pytest.fixture(scope='module')
def place(trained, tmp_path_factory):
    """A folder: `pic` has the records, `whole` is a train folder of 24 steps without interruption."""
    folder = tmp_path_factory.mktemp('resume')
    shutil.copytree(str(trained / 'pic'), str(folder / 'pic'))
    assert wait(start(folder, 'whole', 24))[0] == 0
    return folder


@pytest.fixture
def run(place, pic):
    """A copy of `whole`, to resume from on the records in `pic`: its name."""
    shutil.copytree(str(place / 'whole'), str(pic.parent / 'run'))
    return 'run'


def start(folder, train_dir, steps, *more):
    """Starts a training in `folder`, without an end where `steps` is None; returns its process."""
    words = [SLIMTUNE, 'train', f'--train_dir={train_dir}', *FLAGS, *more]
    if steps:
        words.append(f'--max_number_of_steps={steps}')
    return subprocess.Popen(
        words, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding='utf-8', env=dict(os.environ, PYTHONUNBUFFERED='1'))


def wait_for_step(process, step):
    """Waits until a training has printed the line of this step."""
    for line in process.stdout:
        if line.startswith(f'global step {step}:'):
            return
    raise AssertionError(f'training ended before step {step}')


def wait(process):
    """Waits for the end of a process: (exit code, what else it printed)."""
    printed = process.communicate(timeout=300)[0]
    assert 'Traceback' not in printed, printed
    return process.returncode, printed


def assert_equal_checkpoints(values, one, other):
    """Asserts that every variable of two train folders has the same bits."""
    one, other = values(one), values(other)
    assert set(one) == set(other)
    different = sorted(name for name in one if not np.array_equal(one[name], other[name]))
    assert not different, different


@pytest.mark.slow
def test_training_that_signals_stopped_ends_with_the_bits_of_one_that_was_not_stopped(place, values):
    # Ctrl-C, in an endless run
    process = start(place, 'parts', None)
    wait_for_step(process, 3)
    process.send_signal(signal.SIGINT)
    code, printed = wait(process)
    assert code == 130 and 'goes on from here' in printed, printed
    stopped = values(place / 'parts')['global_step']
    assert 3 <= stopped < 24 and f'Saved step {stopped}' in printed

    # SIGTERM; then the terminal is closed, and nothing can be printed any more
    for number, steps in ((signal.SIGTERM, 2), (signal.SIGHUP, 2)):
        process = start(place, 'parts', 24)
        wait_for_step(process, stopped + steps)
        process.send_signal(number)
        if number == signal.SIGHUP:
            process.stdout.close()
            process.wait(timeout=300)
        else:
            wait(process)
        assert process.returncode not in (0, 1), process.returncode
        before, stopped = stopped, values(place / 'parts')['global_step']
        assert before + steps <= stopped < 24

    # kill -9: at most the steps since the last checkpoint are lost
    process = start(place, 'parts', 24, '--save_interval_secs=0')
    wait_for_step(process, stopped + 3)
    process.kill()
    process.communicate()
    killed = values(place / 'parts')['global_step']
    assert killed >= stopped + 2

    code, printed = wait(start(place, 'parts', 24))
    assert code == 0 and f'Resuming from parts/model.ckpt-{killed}' in printed and 'global step 24' in printed
    assert values(place / 'parts')['global_step'] == 24
    assert_equal_checkpoints(values, place / 'parts', place / 'whole')


@pytest.mark.slow
def test_a_net_with_some_batch_norm_layers_frozen_is_resumed_with_the_same_bits(pic, here, values):
    flags = FLAGS + ['--model_name=mobilenet_v1_025', '--train_image_size=32', '--moving_average_decay=0',
                     '--optimizer=momentum',
                     '--trainable_scopes=MobilenetV1/Logits,MobilenetV1/Conv2d_13_pointwise']
    for train_dir, steps in (('once', 4), ('twice', 2), ('twice', 4)):
        here('train', f'--train_dir={train_dir}', f'--max_number_of_steps={steps}', *flags)
    assert_equal_checkpoints(values, 'once', 'twice')


@pytest.fixture
def resume(run, here):
    """resume(steps, *flags, code=0) trains `run` to this step; returns what was printed."""
    return lambda steps, *flags, code=0: here(
        'train', f'--train_dir={run}', f'--max_number_of_steps={steps}', *FLAGS, *flags, code=code)


def test_a_checkpoint_path_that_resuming_does_not_use_is_reported(resume):
    printed = resume(25, '--checkpoint_path=some/weights.ckpt')
    assert ('Resuming from run/model.ckpt-24, step 24, ignoring some/weights.ckpt (--restart starts over)'
            in printed)


def test_a_train_folder_that_was_moved_is_resumed_from_its_own_checkpoint(resume):
    with open('run/checkpoint', 'w') as f:
        f.write('model_checkpoint_path: "/gone/model.ckpt-24"\n'
                'all_model_checkpoint_paths: "/gone/model.ckpt-24"\n')
    assert 'from run/model.ckpt-24' in resume(25)
    os.remove('run/checkpoint')
    assert 'from run/model.ckpt-25' in resume(26)


def test_an_incomplete_checkpoint_is_not_resumed_from(resume):
    os.remove('run/model.ckpt-24.data-00000-of-00001')
    assert 'from run/model.ckpt-0, step 0' in resume(1)


def test_a_damaged_checkpoint_is_named(resume):
    with open('run/model.ckpt-24.data-00000-of-00001', 'r+b') as f:
        f.truncate(1000)
    assert 'run/model.ckpt-24 is damaged' in resume(25, code=1)


def test_the_slots_of_another_optimizer_start_over(resume):
    printed = resume(25, '--optimizer=momentum')
    assert 'initialized: ' in printed and '/Momentum' in printed


def test_a_train_folder_of_other_classes_is_not_resumed(resume):
    for name in ('dataset.json', 'labels.txt'):
        os.remove(f'pic/{name}')
    with open('pic/label.txt', 'w') as f:
        f.write('one\ntwo\nnought\n')
    printed = resume(26, code=1)
    assert 'other classes (one, two, zero)' in printed and '--restart' in printed


def test_a_train_folder_of_another_net_is_not_resumed(resume):
    printed = resume(25, '--model_name=lenet', code=1)
    assert 'run/model.ckpt-24 holds cifarnet, not lenet: add --model cifarnet' in printed
