"""Cached features: those of the plain path, complete checkpoints, nothing computed twice."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from slimtune.checkpoints.checkpoint import Checkpoint
from slimtune.datasets import dataset_factory
from slimtune.features.cache import Cache, Part, compute
from slimtune.features.cut import IMAGES, find_cut, frozen_graph
from slimtune.features.feed import Feed
from slimtune.images import input_pipeline
from slimtune.images.model_input import Input
from slimtune.nets import nets_factory
from slimtune.runtime import tf

FLAGS = ['--dataset_name', 'pic', '--model_name', 'mobilenet_v1_025', '--train_image_size', 32,
         '--batch_size', 8, '--seed', 3, '--trainable_scopes', 'MobilenetV1/Logits',
         '--checkpoint_exclude_scopes', 'MobilenetV1/Logits', '--optimizer', 'momentum',
         '--learning_rate', 0.01]


@pytest.fixture(scope='module')
def backbone(trained, slimtune_in):
    """A folder with the records `pic` and a mobilenet_v1_025 of a step, `backbone`."""
    slimtune_in(trained)(
        'train', '--train_dir', 'backbone', '--dataset_dir', 'pic', '--dataset_name', 'pic', '--model_name',
        'mobilenet_v1_025', '--train_image_size', 32, '--max_number_of_steps', 1, '--batch_size', 4,
        '--trainable_scopes', 'all', '--seed', 1)
    return trained


@pytest.fixture
def train(backbone, slimtune_in, tmp_path):
    """train(name, words...) trains the head of `backbone` into tmp_path/name on a cache of its own; gives
    what it printed.
    """
    def run(name, *words, code=0):
        return slimtune_in(backbone)(
            'train', '--train_dir', tmp_path / name, '--dataset_dir', 'pic', '--checkpoint_path', 'backbone',
            *FLAGS, *words, code=code, SLIMTUNE_CACHE=str(tmp_path / 'cache')).output
    return run


def values(folder):
    saved = Checkpoint(str(folder))
    return {name: saved.value(name) for name in saved.shapes}


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_features_are_what_the_plain_path_has_at_the_cut(backbone, tmp_path):
    dataset = dataset_factory.get_dataset('pic', 'train', str(backbone / 'pic'))
    inputs = Input('inception', 32)
    with tf.Graph().as_default(), tf.Session() as session:
        batch, _, _ = input_pipeline.evaluation_batches(dataset, inputs, 1000)
        images = tf.placeholder_with_default(batch, [None, 32, 32, 3], IMAGES)
        tf.train.create_global_step()
        frozen = lambda name: not name.startswith('MobilenetV1/Logits')
        network_fn = nets_factory.get_network_fn('mobilenet_v1_025', 3, is_training=True, frozen=frozen)
        logits, end_points = network_fn(images)
        trained = [v for v in tf.trainable_variables() if v.op.name.startswith('MobilenetV1/Logits')]
        cut = find_cut(images, logits, trained)
        session.run(tf.global_variables_initializer())
        # The last values that are the same at every step: what comes before the dropout.
        assert [tensor.shape.as_list()[1:] for tensor in cut] == [[1, 1, 256]]
        expected = session.run(end_points['AvgPool_1a'])
        graph = frozen_graph(session, images, cut)
    part = Part(graph, cut, dataset, inputs)
    cache, there = compute(part, str(tmp_path))
    again, there_again = compute(part, str(tmp_path))
    assert (there, there_again) == (False, True) and again.folder == cache.folder
    array = cache.features[cut[0].name]
    assert array.shape == (dataset.num_samples, 1, 1, 256)
    assert np.abs(array - expected).max() <= 1e-4 * np.abs(expected).max()
    assert os.listdir(str(tmp_path / 'features')) == [os.path.basename(cache.folder)], 'nothing half-made'


def test_two_heads_have_two_cuts_behind_their_pooling():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 299, 299, 3])
        tf.train.create_global_step()
        heads = ('InceptionV3/Logits', 'InceptionV3/AuxLogits')
        logits, end_points = nets_factory.get_network_fn(
            'inception_v3', 3, is_training=True, frozen=lambda name: not name.startswith(heads))(images)
        trained = [v for v in tf.trainable_variables() if v.op.name.startswith(heads)]
        cut = find_cut(images, tf.reduce_sum(logits) + tf.reduce_sum(end_points['AuxLogits']), trained)
        assert sorted(tensor.shape.as_list()[1:] for tensor in cut) == [[1, 1, 2048], [5, 5, 768]]
        assert find_cut(images, logits, tf.trainable_variables()) == [], 'all is trained: nothing to cache'


@pytest.mark.slow
def test_one_head_of_two_is_trained_without_the_others_loss(trained, slimtune_in, tmp_path):
    """The tutorial's flags with InceptionV3/Logits alone: what the frozen auxiliary head loses is no part
    of it.
    """
    words = ['train', '--dataset_dir', 'pic', '--dataset_name', 'pic', '--model_name', 'inception_v3',
             '--train_image_size', 107, '--batch_size', 2]
    slimtune_in(trained)(*words, '--train_dir', tmp_path / 'all', '--max_number_of_steps', 1,
                         '--trainable_scopes', 'head')
    said = slimtune_in(trained)(
        *words, '--train_dir', tmp_path / 'one', '--checkpoint_path', tmp_path / 'all', '--trainable_scopes',
        'InceptionV3/Logits', '--max_number_of_steps', 3, SLIMTUNE_CACHE=str(tmp_path / 'cache')).output
    assert '2 of 196 variables trained' in said and 'Saved step 3' in said
    assert re.search(r'Features of \d+ images', said)
    before, after = values(tmp_path / 'all'), values(tmp_path / 'one')
    moved = {name for name in before if name.startswith('InceptionV3') and 'RMSProp' not in name
             and not np.array_equal(before[name], after[name])}
    assert moved == {'InceptionV3/Logits/Conv2d_1c_1x1/' + part for part in ('weights', 'biases')}


@pytest.mark.slow
def test_a_cut_in_the_middle_of_the_net_works_by_the_same_code(train, backbone, tmp_path):
    last = 'MobilenetV1/Conv2d_13,MobilenetV1/Logits'
    said = train('last', '--max_number_of_steps', 4, '--trainable_scopes', last)
    assert re.search(r'Features of \d+ images', said)
    assert re.search(r'step 4: [\d.]+% of the held-out images correct', said)
    before, after = values(backbone / 'backbone'), values(tmp_path / 'last')
    model = [name for name in before if name.startswith('MobilenetV1') and '/RMSProp' not in name]
    moved = {name for name in model if not np.array_equal(before[name], after[name])}
    assert all(name.startswith(tuple(last.split(','))) for name in moved)
    assert {'MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance',
            'MobilenetV1/Conv2d_13_pointwise/BatchNorm/beta',
            'MobilenetV1/Logits/Conv2d_1c_1x1/weights'} <= moved
    plain = train('plain', '--max_number_of_steps', 1, '--trainable_scopes', last, '--feature-cache', 'off')
    assert 'Features' not in plain


def test_the_checkpoint_is_complete_and_only_the_head_has_moved(train, backbone, tmp_path):
    said = train('head', '--max_number_of_steps', 20, '--moving_average_decay', 0.9)
    assert re.search(r'Features of \d+ images: [\d.]+ MB in %s' % re.escape(str(tmp_path / 'cache')), said)
    assert re.search(r'step 20: [\d.]+% of the held-out images correct', said)
    before, after = values(backbone / 'backbone'), values(tmp_path / 'head')
    assert after['global_step'] == 20
    model = [name for name in before if name.startswith('MobilenetV1') and '/RMSProp' not in name]
    for name in model:
        head = name.startswith('MobilenetV1/Logits')
        assert head != np.array_equal(before[name], after[name]), name
        assert name + '/ExponentialMovingAverage' in after
    assert 'MobilenetV1/Logits/Conv2d_1c_1x1/weights/Momentum' in after


@pytest.mark.slow
def test_another_rate_uses_the_same_features_and_another_backbone_does_not(train, backbone, tmp_path):
    train('first', '--max_number_of_steps', 2)
    assert 'from an earlier run' in train('second', '--max_number_of_steps', 2, '--learning_rate', 0.1)
    kept = set(os.listdir(str(tmp_path / 'cache' / 'features')))
    assert 'from an earlier run' not in train('third', '--max_number_of_steps', 2, '--train_image_size', 64)
    assert len(set(os.listdir(str(tmp_path / 'cache' / 'features'))) - kept) == 2, 'training and validation'


def test_interrupted_and_resumed_it_gives_the_bits_of_never_stopping(train, tmp_path):
    train('whole', '--max_number_of_steps', 30)
    train('parts', '--max_number_of_steps', 11)
    train('parts', '--max_number_of_steps', 30)
    assert same(values(tmp_path / 'whole'), values(tmp_path / 'parts'))


@pytest.mark.slow
def test_features_that_do_not_fit_are_reported_and_the_whole_net_runs(train, tmp_path):
    said = train('plain', '--max_number_of_steps', 2, '--cache-limit', 0.00000001)
    assert '--cache-limit' in said and 'Features of' not in said
    assert os.listdir(str(tmp_path / 'cache' / 'features')) == []
    assert 'Features' not in train('off', '--max_number_of_steps', 2, '--feature-cache', 'off')


def test_a_cache_that_cannot_be_written_does_not_stop_training(train):
    said = train('head', '--max_number_of_steps', 2, '--cache-dir', '/proc/x')
    assert 'the cache /proc/x cannot be written' in said
    assert said.count('set SLIMTUNE_CACHE to a folder') == 1
    folder = re.search(r'Features of \d+ images: [\d.]+ MB in (\S+)', said).group(1)
    assert not folder.startswith('/proc/x') and not os.path.exists(folder) and 'Saved step 2' in said


def test_a_command_killed_while_it_computes_leaves_nothing_behind(backbone, train, tmp_path):
    words = ['train', '--train_dir', tmp_path / 'killed', '--dataset_dir', 'pic', '--checkpoint_path',
             'backbone'] + FLAGS
    script = os.path.join(os.path.dirname(sys.executable), 'slimtune')
    folder = tmp_path / 'cache' / 'features'
    process = subprocess.Popen([script, *map(str, words)], cwd=str(backbone), stdout=subprocess.DEVNULL,
                               env=dict(os.environ, SLIMTUNE_CACHE=str(tmp_path / 'cache')))
    deadline = time.time() + 300
    begun = lambda: folder.exists() and os.listdir(str(folder))
    while process.poll() is None and time.time() < deadline and not begun():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = [name for name in os.listdir(str(folder)) if name.endswith('.part')]
    said = train('whole', '--max_number_of_steps', 5)
    assert 'Saved step 5' in said and killed and 'from an earlier run' not in said
    assert len(os.listdir(str(folder))) == 2 and not set(killed) & set(os.listdir(str(folder)))


def test_the_last_batch_of_an_epoch_goes_on_into_the_next():
    cache = Cache('', {'x:0': np.arange(10)[:, None]}, np.arange(10))
    feed = Feed(cache, 'labels', 4, seed=5)
    seen = np.concatenate([feed(step)['labels'] for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10)), 'every image once an epoch'
    assert list(seen[:10]) != list(seen[10:])
    later = Feed(cache, 'labels', 4, seed=5)
    assert list(later(3)['labels']) == list(seen[12:16]), 'a function of the step alone'
    assert list(feed(3)['x:0'][:, 0]) == list(feed(3)['labels'])


def probe(cache):
    """The share of held-out images that a logistic regression gets right on the features of a cache
    folder, its strength chosen by 5-fold cross-validation on the training images.
    """
    from sklearn.linear_model import LogisticRegressionCV
    from threadpoolctl import threadpool_limits
    splits = [(np.load(str(place / '0.npy')), np.load(str(place / 'labels.npy')))
              for place in (cache / 'features').iterdir()]
    (held_out, truth), (features, labels) = sorted(splits, key=lambda split: len(split[1]))
    with threadpool_limits(1):
        fit = LogisticRegressionCV(Cs=np.logspace(-4, 1, 11), max_iter=500)
        fit.fit(features.reshape(len(features), -1), labels)
        return fit.score(held_out.reshape(len(held_out), -1), truth)


@pytest.mark.filterwarnings('ignore')       # of scikit-learn's, about defaults that will change
@pytest.mark.parametrize('net, weights, size, least', [
    ('mobilenet_v1_025', 'mobilenet_v1_0.25_128', 128, 0.79),
    ('mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal', 224, 0.88)])
def test_the_default_head_is_as_good_as_a_tuned_probe(real_data, slimtune, tmp_path, net, weights, size,
                                                       least):
    """Within one image in a hundred."""
    shutil.copytree(os.path.join(real_data, 'flowers'), str(tmp_path / 'pic'))
    checkpoint = os.path.join(real_data, 'weights', f'{weights}.ckpt')
    said = slimtune('train', 'pic', '--model', net, '--train-image-size', size,
                    '--checkpoint-path', checkpoint, SLIMTUNE_CACHE=str(tmp_path / 'cache')).output
    assert 'Weight decay' in said
    accuracy = float(re.search(r'step 2000: ([\d.]+)% of the held-out images correct', said).group(1)) / 100
    assert accuracy >= max(least, probe(tmp_path / 'cache') - 0.01)
