"""Scripts from nothing to an evaluated net, on a mirror that serves real digits and small photographs."""
import glob
import json
import os
import subprocess
import sys

import pytest

from slimtune import model
from slimtune.nets import nets_factory
from slimtune.runtime import tf

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'scripts')


@pytest.fixture
def run(mirror, pinned, tmp_path):
    """Runs a script on the mirror's files: run(script, variables...) -> what it says."""
    def script(name, **variables):
        pin = pinned(mirror.files)
        env = dict(os.environ, PATH='%s:%s' % (os.path.dirname(sys.executable), os.environ['PATH']), SLIMTUNE_MIRROR=mirror.url,
                   SLIMTUNE_CHECKSUMS=str(pin), DATASET_DIR=str(tmp_path / 'data'), TRAIN_DIR=str(tmp_path / 'nets'),
                   PRETRAINED_CHECKPOINT_DIR=str(tmp_path / 'weights'), **variables)
        ended = subprocess.run([os.path.join(SCRIPTS, name)], env=env, cwd=str(tmp_path), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, universal_newlines=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout
    return script


def metrics(folder):
    with open(str(folder / 'eval' / 'metrics.json')) as f:
        return json.load(f)


def test_lenet_learns_real_digits_from_nothing_to_an_evaluated_net(run, mirror, digits, tmp_path):
    mirror.files.update(digits[0])
    said = run('train_lenet_on_mnist.sh', STEPS='300')
    found = metrics(tmp_path / 'nets')
    assert found['n'] == 397 and found['accuracy'] > 0.8, said
    assert len(mirror.seen) == 4


def test_flowers_are_fine_tuned_in_two_stages_and_the_trained_head_is_kept(run, mirror, jpeg, tarred, tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        net = nets_factory.get_network_fn('inception_v1', 1001)
        net(tf.placeholder(tf.float32, [None, 224, 224, 3]))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=tf.train.SaverDef.V1)
        saver.save(session, str(tmp_path / 'inception_v1.ckpt'), write_meta_graph=False, write_state=False)
    mirror.files['inception_v1_2016_08_28.tar.gz'] = tarred({'inception_v1.ckpt': (tmp_path / 'inception_v1.ckpt').read_bytes()})
    mirror.files['flower_photos.tgz'] = tarred({
        'flower_photos/%s/%d.jpg' % (kind, n): jpeg(10 * k + n, (240, 200))
        for k, kind in enumerate(['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips']) for n in range(8)})
    said = run('finetune_inception_v1_on_flowers.sh', HEAD_STEPS='2', ALL_STEPS='1')
    assert metrics(tmp_path / 'nets')['n'] == metrics(tmp_path / 'nets' / 'all')['n'] == 4
    assert glob.glob(str(tmp_path / 'nets' / 'all' / 'model.ckpt-1.index'))
    assert said.count('The head is not read from') == 0, 'slim\'s flags say what is left out'
    assert model.trainable_scopes(net.net, 'head') == ['InceptionV1/Logits']
