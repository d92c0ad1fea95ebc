"""Batch norm's statistics after training are those of the images under the final weights."""
import json
import os

import numpy as np
import pytest

from slimtune.runtime import slim, tf
from slimtune.training import batch_norm

LAST = 'MobilenetV1/Conv2d_13_depthwise,MobilenetV1/Logits'


def small_net(images):
    """Two batch norm layers in training mode, over maps and over vectors; returns the convolution's maps."""
    with slim.arg_scope([slim.batch_norm], is_training=True, decay=0.9997, scale=True):
        net = slim.batch_norm(images, scope='maps')
        net = slim.conv2d(net, 5, [3, 3], stride=2, scope='conv', activation_fn=None)
        slim.batch_norm(tf.reduce_mean(net, [1, 2]), scope='vectors')
    return net


def layers_of_default_graph():
    """The layers of the default graph, all of which are found."""
    statistics = [v for v in slim.get_model_variables() if 'moving_' in v.op.name]
    layers, missing = batch_norm.find_layers(statistics, tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    assert len(layers) == 2 and not missing
    return layers


def initialize_with_drift(session):
    """Initializes all variables, and gives the moving statistics wrong values."""
    session.run(tf.global_variables_initializer())
    for v in tf.global_variables():
        if 'moving_' in v.op.name:
            v.load(np.full(v.shape.as_list(), 7, np.float32), session)


@pytest.mark.parametrize('batch_size', [2, 4, 12])
def test_measured_statistics_are_those_of_all_images_however_small_the_batches(batch_size):
    images = np.random.RandomState(0).normal(3, 2, (24, 6, 6, 3)).astype(np.float32)
    images *= np.arange(1, 25).reshape(24, 1, 1, 1)
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, [None, 6, 6, 3])
        small_net(placeholder)
        initialize_with_drift(session)
        layers = layers_of_default_graph()
        feeds = lambda: ({placeholder: images[n:n + batch_size]} for n in range(0, 24, batch_size))
        batch_norm.measure_again(session, layers, feeds, batch_size, {})
        stored = session.run({v.op.name: v for v in tf.global_variables()})
    assert np.allclose(stored['maps/moving_mean'], images.mean((0, 1, 2)), rtol=1e-4)
    assert np.allclose(stored['maps/moving_variance'], images.var((0, 1, 2)), rtol=1e-3)


@pytest.mark.parametrize('batch_size', [2, 8])
def test_a_layer_over_vectors_has_the_variance_of_all_images_too(batch_size):
    """There, the one value less that fused batch norm divides by makes a difference."""
    vectors = np.random.RandomState(0).normal(1, 2, (16, 4)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, [None, 4])
        slim.batch_norm(placeholder, is_training=True, scope='vectors')
        initialize_with_drift(session)
        layers, _ = batch_norm.find_layers([v for v in slim.get_model_variables() if 'moving_' in v.op.name],
                                           tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        feeds = [{placeholder: vectors[n:n + batch_size]} for n in range(0, 16, batch_size)]
        statistics = batch_norm.measure(session, layers, feeds, batch_size)
    measured = {v.op.name: value for v, value in statistics.items()}
    assert np.allclose(measured['vectors/moving_mean'], vectors.mean(0), atol=1e-5)
    assert np.allclose(measured['vectors/moving_variance'], vectors.var(0), rtol=1e-4)


def test_averages_of_the_weights_get_the_statistics_that_they_give():
    images = np.random.RandomState(0).normal(0, 1, (8, 6, 6, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, [None, 6, 6, 3])
        vectors = tf.reduce_mean(small_net(placeholder), [1, 2])
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply(slim.get_model_variables())
        initialize_with_drift(session)
        weights = [v for v in tf.global_variables() if v.op.name == 'conv/weights'][0]
        averages.average(weights).load(3 * session.run(weights), session)
        before = session.run({v.op.name: v for v in tf.global_variables()})
        batch_norm.measure_again(session, layers_of_default_graph(), lambda: [{placeholder: images}], 8,
                                 batch_norm.averages_of(slim.get_model_variables()))
        after = session.run({v.op.name: v for v in tf.global_variables()})
        mean = session.run(vectors, {placeholder: images}).mean(0)
    assert np.allclose(after['vectors/moving_mean'], mean, atol=1e-5)
    assert np.allclose(after['vectors/moving_mean/ExponentialMovingAverage'], 3 * mean, atol=1e-5)
    weights = [name for name in before if 'moving_' not in name]
    assert all(np.array_equal(before[name], after[name]) for name in weights)


def test_a_layer_that_updates_its_statistics_in_an_unknown_way_is_named():
    with tf.Graph().as_default():
        small_net(tf.zeros([2, 6, 6, 3]))
        statistics = [v for v in slim.get_model_variables() if 'moving_' in v.op.name]
        other = [tf.assign(v, v + 1) if v.op.name.startswith('maps/') else update for v, update in zip(
            statistics, tf.get_collection(tf.GraphKeys.UPDATE_OPS))]
        layers, missing = batch_norm.find_layers(statistics, other)
    assert [layer.mean.op.name for layer in layers] == ['vectors/moving_mean'] and missing == ['maps']


def input_of_batch_norm(folder, layer, size):
    """The input of a layer's batch norm, for all training images of `pic`, by the final weights: [n, ...]."""
    from slimtune import options
    from slimtune.checkpoints.checkpoint import Checkpoint, restore
    from slimtune.datasets import dataset_factory
    from slimtune.images import input_pipeline
    from slimtune.images.model_input import inputs_of
    from slimtune.nets import nets_factory
    dataset = dataset_factory.get_dataset('pic', 'train', 'pic')
    inputs = inputs_of(nets_factory.get_net('mobilenet_v1_025'), options.Net(), size, dataset.channels)
    images = np.concatenate([batch[0] for batch in input_pipeline.read(dataset, inputs, 16)])
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, [None, size, size, 3])
        nets_factory.get_network_fn('mobilenet_v1_025', 3)(placeholder)
        restore(session, Checkpoint(folder), {v: v.op.name for v in slim.get_model_variables()})
        return session.run(f'MobilenetV1/MobilenetV1/{layer}/depthwise:0', {placeholder: images})


def test_after_training_a_drifted_net_has_the_statistics_of_the_images_it_will_see(
        pic, here, weights_of, save_variables, values):
    weights = weights_of('mobilenet_v1_025', 3)
    for name in weights:
        if name.startswith('MobilenetV1/Conv2d_13') and 'moving_mean' in name:
            weights[name] += 5
    save_variables(weights, 'drifted.ckpt')
    with open('pic/dataset.json') as f:
        num_images = json.load(f)['splits']['train']['images']
    printed = here('train', 'pic', '--model', 'mobilenet_v1_025', '--train-image-size', 32,
                   '--checkpoint-path', 'drifted.ckpt', '--trainable-scopes', LAST, '--max-number', 2,
                   '--batch', 7, '--moving-average-decay', 0.5, '--engine', 'tensorflow',
                   '--precision', 'float32')
    assert num_images % 7 == 0 and 'Features of' in printed
    batches = f'{num_images // 7} batches of training images'
    assert f'Statistics of 1 batch norm layers measured again on {batches}' in printed
    after = values('pic_mobilenet_v1_025')
    layer = 'MobilenetV1/Conv2d_13_depthwise/BatchNorm/'
    inputs = input_of_batch_norm('pic_mobilenet_v1_025', 'Conv2d_13_depthwise', 32)
    for name, expected in (('moving_mean', inputs.mean((0, 1, 2))),
                           ('moving_variance', inputs.var((0, 1, 2)))):
        assert np.allclose(after[layer + name], expected, rtol=1e-3, atol=1e-4), name
        # After two small steps the averages of the weights are near the weights: their statistics are too.
        # Without measuring, they are off by 4.
        average = after[layer + name + '/ExponentialMovingAverage']
        assert np.allclose(average, expected, rtol=0.2, atol=0.05), name
    frozen = 'MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_mean'
    assert np.array_equal(after[frozen], weights[frozen])
    assert os.path.exists('pic_mobilenet_v1_025/model.ckpt-2.meta')
