"""scripts/: whole runs of two of them on real digits and small photographs, and the command lines of all."""
import glob
import os
import shlex
import stat
import subprocess
import sys

import pytest

from slimtune import cli, options
from slimtune.nets import nets_factory
from slimtune.weights import WEIGHTS

SCRIPTS = sorted(glob.glob(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'scripts', '*_on_*.sh')))
# Stands where slimtune would: writes down what it is asked.
RECORDER = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word" >> "$RECORD"; done; printf "\\n" >> "$RECORD"\n'


def commands(script, tmp_path, **variables):
    """The command lines of a script: [(command, {option: value}, Request)]."""
    recorder = tmp_path / 'bin' / 'slimtune'
    recorder.parent.mkdir(exist_ok=True)
    recorder.write_text(RECORDER)
    recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
    record = tmp_path / 'record'
    env = dict(os.environ, PATH='%s:%s' % (recorder.parent, os.environ['PATH']), RECORD=str(record), **variables)
    subprocess.run([script], env=env, cwd=str(tmp_path), check=True)
    found = []
    for line in record.read_text().rstrip('\n').split('\n\n'):
        name, *argv = line.split('\n')
        typed, words = cli.parse(name, argv)
        found.append((name, typed, options.understand(name, typed, words)))
    return found


@pytest.mark.parametrize('script', SCRIPTS, ids=os.path.basename)
def test_every_command_of_a_script_is_one_that_slimtune_understands(script, tmp_path):
    folders = {'DATASET_DIR': str(tmp_path / 'my data'), 'TRAIN_DIR': str(tmp_path / 'my nets'),
               'PRETRAINED_CHECKPOINT_DIR': str(tmp_path / 'my weights')}
    found = commands(script, tmp_path, STEPS='7', HEAD_STEPS='7', ALL_STEPS='7', **folders)
    trainings = [typed for name, typed, _ in found if name == 'train']
    assert [name for name, _, _ in found].count('eval') == len(trainings) in (1, 2)
    for typed in trainings:
        net = nets_factory.get_net(typed['model_name'])
        assert typed['dataset_dir'] == folders['DATASET_DIR'] and typed['max_number_of_steps'] == 7
        assert typed['train_dir'].startswith(folders['TRAIN_DIR'])
    if len(trainings) == 2:
        head, everything = trainings
        assert options.scopes(head['trainable_scopes']) == options.scopes(head['checkpoint_exclude_scopes']) == list(net.head)
        assert head['checkpoint_path'] == os.path.join(folders['PRETRAINED_CHECKPOINT_DIR'], net.name + '.ckpt')
        assert everything['checkpoint_path'] == head['train_dir'], 'the trained head is kept'
        assert not {'trainable_scopes', 'checkpoint_exclude_scopes'}.intersection(everything)
        downloads = [typed for name, typed, _ in found if name == 'download']
        assert net.name in WEIGHTS and downloads[0]['output_dir'] == folders['PRETRAINED_CHECKPOINT_DIR']


def test_slims_steps_and_rates_are_kept(tmp_path):
    slims = {
        'finetune_inception_v1_on_flowers.sh': [(3000, 0.01, 'exponential'), (1000, 0.001, 'exponential')],
        'finetune_inception_v3_on_flowers.sh': [(1000, 0.01, 'fixed'), (500, 0.0001, 'fixed')],
        'finetune_resnet_v1_50_on_flowers.sh': [(3000, 0.01, 'exponential'), (1000, 0.001, 'exponential')],
        'finetune_inception_resnet_v2_on_flowers.sh': [(1000, 0.01, 'fixed'), (500, 0.0001, 'fixed')],
        'finetune_inception_v3_on_guangdong.sh': [(100000, 0.001, 'fixed'), (500, 0.0001, 'fixed')],
        'train_cifarnet_on_cifar10.sh': [(100000, 0.1, 'exponential')],
        'train_lenet_on_mnist.sh': [(20000, 0.01, 'fixed')]}
    assert sorted(slims) == [os.path.basename(script) for script in SCRIPTS]
    for n, script in enumerate(SCRIPTS):
        folder = tmp_path / str(n)
        folder.mkdir()
        schedules = [(request[options.Run].max_number_of_steps, request[options.Schedule].learning_rate,
                      request[options.Schedule].learning_rate_decay_type)
                     for name, _, request in commands(script, folder) if name == 'train']
        assert schedules == slims[os.path.basename(script)]


def test_a_script_stops_where_a_command_fails_and_names_the_file_to_bring(tmp_path):
    ended = run('finetune_inception_v3_on_flowers.sh', tmp_path, SLIMTUNE_MIRROR=str(tmp_path / 'nothing here'), expect=1)
    last = ended.stderr.strip().splitlines()[-1]
    assert 'inception_v3_2016_08_28.tar.gz' in last and 'put it there' in last


def run(script, tmp_path, expect=0, **variables):
    """Runs a script with the slimtune of this Python; every folder lies in tmp_path."""
    env = dict(os.environ, PATH='%s:%s' % (os.path.dirname(sys.executable), os.environ['PATH']),
               SLIMTUNE_CACHE=str(tmp_path / 'cache'), DATASET_DIR=str(tmp_path / 'data'), TRAIN_DIR=str(tmp_path / 'nets'),
               PRETRAINED_CHECKPOINT_DIR=str(tmp_path / 'weights'), NO_PROXY='127.0.0.1', **variables)
    ended = subprocess.run([next(path for path in SCRIPTS if path.endswith(script))], env=env, cwd=str(tmp_path),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert ended.returncode == expect, '%s\n%s\n%s' % (shlex.quote(script), ended.stdout, ended.stderr)
    return ended
