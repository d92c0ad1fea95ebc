"""scripts/: whole runs of two of them on real digits and small photographs, and the command lines of all."""
import glob
import json
import os
import stat
import subprocess
import sys

import pytest

from slimtune import cli, options
from slimtune.nets import nets_factory
from slimtune.runtime import tf

pytestmark = pytest.mark.usefixtures('cache')

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = sorted(glob.glob(os.path.join(ROOT, 'scripts', '*_on_*.sh')))
#: Takes the place of slimtune and writes down its arguments.
RECORDER = """#!/bin/sh
for word in "$@"; do printf "%s\\n" "$word" >> "$RECORD"; done; printf "\\n" >> "$RECORD"
"""


def commands(script, tmp_path, **variables):
    """The command lines of a script: [(command, {option: value}, Request)]."""
    recorder = tmp_path / 'bin' / 'slimtune'
    recorder.parent.mkdir(exist_ok=True)
    recorder.write_text(RECORDER)
    recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
    record = tmp_path / 'record'
    path = f'{recorder.parent}{os.pathsep}{os.environ["PATH"]}'
    env = dict(os.environ, PATH=path, RECORD=str(record), **variables)
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
        assert options.scopes(head['trainable_scopes']) == list(net.head)
        assert options.scopes(head['checkpoint_exclude_scopes']) == list(net.head)
        weights = os.path.join(folders['PRETRAINED_CHECKPOINT_DIR'], f'{net.name}.ckpt')
        assert head['checkpoint_path'] == weights
        assert everything['checkpoint_path'] == head['train_dir'], 'the trained head is kept'
        assert not {'trainable_scopes', 'checkpoint_exclude_scopes'}.intersection(everything)
        downloads = [typed for name, typed, _ in found if name == 'download']
        assert net.weights and downloads[0]['output_dir'] == folders['PRETRAINED_CHECKPOINT_DIR']


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


# Whole runs

@pytest.fixture
def run(mirror, pinned, tmp_path):
    """Runs a script on the mirror's files: run(script, variables...) -> (output, errors)."""
    def script(name, code=0, **variables):
        env = dict(os.environ, PATH=f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}',
                   SLIMTUNE_MIRROR=mirror.url, SLIMTUNE_CHECKSUMS=str(pinned(mirror.files)),
                   DATASET_DIR=str(tmp_path / 'data'), TRAIN_DIR=str(tmp_path / 'nets'),
                   PRETRAINED_CHECKPOINT_DIR=str(tmp_path / 'weights'), **variables)
        process = subprocess.run([os.path.join(ROOT, 'scripts', name)], env=env, cwd=str(tmp_path),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        assert process.returncode == code, process.stdout + process.stderr
        return process.stdout, process.stderr
    return script


def metrics(folder):
    with open(str(folder / 'eval' / 'metrics.json')) as f:
        return json.load(f)


def test_a_script_stops_where_a_command_fails_and_names_the_file_to_bring(run):
    _, error = run('finetune_inception_v3_on_flowers.sh', code=1)
    assert '404' in error and 'carry inception_v3_2016_08_28.tar.gz' in error and error.count('\n') == 1


@pytest.mark.slow
def test_lenet_learns_real_digits_from_nothing_to_an_evaluated_net(run, mirror, mnist_digits, tmp_path):
    mirror.files.update(mnist_digits[0])
    output, _ = run('train_lenet_on_mnist.sh', STEPS='300')
    found = metrics(tmp_path / 'nets')
    assert found['n'] == 397 and found['accuracy'] > 0.8, output
    assert len(mirror.seen) == 4


@pytest.mark.slow
def test_flowers_are_fine_tuned_in_two_stages(run, mirror, jpeg, tarred, tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        nets_factory.get_network_fn('inception_v1', 1001)(tf.placeholder(tf.float32, [None, 224, 224, 3]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(write_version=tf.train.SaverDef.V1).save(
            session, str(tmp_path / 'inception_v1.ckpt'), write_meta_graph=False, write_state=False)
    checkpoint = (tmp_path / 'inception_v1.ckpt').read_bytes()
    mirror.files['inception_v1_2016_08_28.tar.gz'] = tarred({'inception_v1.ckpt': checkpoint})
    mirror.files['flower_photos.tgz'] = tarred({
        f'flower_photos/{flower}/{n}.jpg': jpeg(10 * k + n, (240, 200))
        for k, flower in enumerate(['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips'])
        for n in range(8)})
    run('finetune_inception_v1_on_flowers.sh', HEAD_STEPS='2', ALL_STEPS='1')
    assert metrics(tmp_path / 'nets')['n'] == metrics(tmp_path / 'nets' / 'all')['n'] == 4
    assert os.path.exists(str(tmp_path / 'nets' / 'all' / 'model.ckpt-1.index'))
