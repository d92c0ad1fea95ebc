"""What can go wrong in a train folder: a full disk, a kill, two trainings, replaced records, Ctrl-C twice."""
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from slimtune.checkpoints import checkpoint
from slimtune.images import conversion
from slimtune.options.groups import Convert
from slimtune.terminal import stopping
from slimtune.training import loop, saver

WORDS = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--model_name=lenet', '--batch_size=2',
         '--train_dir=run']
pytestmark = pytest.mark.usefixtures('pic')


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(kilobytes) leaves so much free on the file system of 200 MB that is mounted at `run`.

    Skips where nothing can be mounted.
    """
    os.mkdir(str(tmp_path / 'run'))
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200m', 'tmpfs', str(tmp_path / 'run')],
                             stderr=subprocess.PIPE, check=False)
    if mounted.returncode:
        pytest.skip('needs the right to mount a small file system')

    def leave(kilobytes):
        filler = str(tmp_path / 'run/filler')
        if os.path.exists(filler):
            os.remove(filler)
        status = os.statvfs(str(tmp_path / 'run'))
        with open(filler, 'wb') as f:
            f.write(bytes(max(0, status.f_bavail * status.f_frsize - kilobytes * 1024)))
    yield leave
    subprocess.run(['umount', str(tmp_path / 'run')], check=True)


@pytest.mark.slow
@pytest.mark.parametrize('extra', [[], ['--checkpoint_path=start', '--trainable_scopes=head']])
def test_a_disk_that_fills_at_any_moment_is_one_line_and_the_same_command_goes_on(
        here, trained, small_disk, extra):
    shutil.copytree(str(trained / 'pic_lenet'), 'start')
    for kilobytes in (0, 12, 300, 700, 3000):       # all less than the graph and a checkpoint
        small_disk(kilobytes)
        printed = here(*WORDS, *extra, '--max_number_of_steps=3', code=1)
        why = 'run cannot be written (No space left on device)'
        assert f'{why}: make room, then type the same command again' in printed, (kilobytes, printed)
        assert not checkpoint.find_latest('run') or checkpoint.Checkpoint('run').step == 0
    os.remove('run/filler')
    here(*WORDS, *extra, '--max_number_of_steps=3')
    kinds = {re.sub(r'events.out.*|-\d+(\..*)?$', '', name) for name in os.listdir('run')}
    assert kinds == {'', 'model.ckpt', 'checkpoint', 'graph.pbtxt', 'run.json', 'label.txt', 'labels.txt'}


def test_what_a_killed_training_left_unfinished_is_removed_by_the_next(here):
    here(*WORDS, '--max_number_of_steps=1')
    unfinished = ['model.ckpt-9.data-00000-of-00001.tempstate123', 'graph.pbtxt.tmp0a1b', 'checkpoint.tmp77',
                  'model.ckpt-9.meta.tmp0a1b', '.run.json.0a1b.part']
    users_own = ['notes.tmp1', 'my.tempstate123', 'weights.ckpt.index']
    for name in unfinished + users_own:
        open(os.path.join('run', name), 'w').close()
    here(*WORDS, '--max_number_of_steps=2')
    after = set(os.listdir('run'))
    assert not after.intersection(unfinished) and after.issuperset(users_own)


def test_a_second_training_in_the_same_folder_ends_at_once_and_names_the_first(here, tmp_path):
    command = [os.path.join(os.path.dirname(sys.executable), 'slimtune'), *WORDS, '--log_every_n_steps=1']
    first = subprocess.Popen(command, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             encoding='utf-8', env=dict(os.environ, PYTHONUNBUFFERED='1'))
    try:
        assert any(line.startswith('global step 1:') for line in first.stdout)
        printed = here(*WORDS, '--max_number_of_steps=2', code=1)
        assert (f'process {first.pid} trains in run: wait for it to end, or choose another --train-dir'
                in printed)
    finally:
        first.kill()
        first.communicate()
    assert 'Saved step' in here(*WORDS, '--max_number_of_steps=2'), 'a lock ends with its process'
    assert '.train.lock' not in os.listdir('run')


def before_step(monkeypatch, step, act):
    """Lets a training call `act` before this step."""
    run = loop.Step.run

    def act_and_run(self, session, number):
        if number == step - 1:
            act()
        return run(self, session, number)
    monkeypatch.setattr(loop.Step, 'run', act_and_run)


@pytest.fixture
def converted_meanwhile(monkeypatch):
    """The records of `pic` are replaced before the third step of a training."""
    before_step(monkeypatch, 3, lambda: conversion.convert(Convert(tensorflow_data_dir='pic', seed=9)))


@pytest.mark.usefixtures('converted_meanwhile')
def test_training_ends_where_its_records_are_replaced_while_it_reads_them(here):
    printed = here(*WORDS, '--max_number_of_steps=4', code=1)
    assert ('the records of pic in pic were replaced while they were being read: type the same command again'
            in printed)
    assert checkpoint.step_of(checkpoint.find_latest('run')) == 0


@pytest.mark.usefixtures('converted_meanwhile')
def test_training_on_cached_features_goes_on_where_its_records_are_replaced(here, trained):
    printed = here(*WORDS, '--checkpoint_path', trained / 'pic_lenet', '--trainable_scopes=head',
                   '--max_number_of_steps=4', '--save_interval_secs=0')
    note = 'note: the records in pic were replaced; training goes on with the features of the old ones'
    assert printed.count(note) == 1 and 'Saved step 4' in printed


def test_ctrl_c_in_the_last_step_is_too_late_to_stop_anything(here, monkeypatch):
    before_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    printed = here(*WORDS, '--max_number_of_steps=3')
    assert 'Saved step 3' in printed and 'goes on from here' not in printed
    assert 'goes on from here' in here(*WORDS, '--max_number_of_steps=5', '--restart', code=130)


def test_a_first_loss_that_is_not_finite_names_no_checkpoint_where_there_is_none(here, monkeypatch):
    monkeypatch.setattr(loop.math, 'isfinite', lambda loss: False)
    before_step(monkeypatch, 1, lambda: [os.remove(os.path.join('run', name)) for name in os.listdir('run')
                                         if name.startswith('model.ckpt')])
    printed = here(*WORDS, '--max_number_of_steps=2', code=1)
    assert 'the loss is not finite at step 1: lower --learning-rate' in printed and 'kept' not in printed


def test_ctrl_c_twice_while_a_checkpoint_is_written_leaves_it_whole(here, monkeypatch):
    write = saver.tf.train.Saver.save

    def slow(self, session, path, step=None, **more):
        if step:        # not the checkpoint of the first step
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
        return write(self, session, path, step, **more)

    monkeypatch.setattr(saver.tf.train.Saver, 'save', slow)
    here(*WORDS, '--max_number_of_steps=3', code=130)
    parts = {f'model.ckpt-3.{part}' for part in ('index', 'meta', 'data-00000-of-00001')}
    assert parts <= set(os.listdir('run'))
    assert checkpoint.find_latest('run') == 'run/model.ckpt-3'


def test_a_signal_waits_for_the_end_of_the_block_and_is_not_lost():
    assert threading.current_thread() is threading.main_thread()
    done = []
    with pytest.raises(KeyboardInterrupt), stopping() as stop, saver.signals_wait():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        done.append(stop.wanted)
    assert done == [False] and stop.wanted
