"""Frozen layers and repeatable dropout."""
import numpy as np
import pytest

from slimtune.nets import layers, nets_factory
from slimtune.runtime import slim, tf


def train_graph(name='inception_v1', size=64, **kwargs):
    """A net built for training, with a global step. Returns (graph, images, logits)."""
    with tf.Graph().as_default() as graph:
        tf.train.create_global_step()
        images = tf.placeholder(tf.float32, [2, size, size, 3])
        logits, _ = nets_factory.get_network_fn(name, 5, is_training=True, **kwargs)(images)
    return graph, images, logits


def masks(graph):
    return [op for op in graph.get_operations() if op.type.startswith('StatelessRandomUniform')]


def update_ops(graph):
    return graph.get_collection(tf.GraphKeys.UPDATE_OPS)


@pytest.mark.parametrize('name', ['inception_v1', 'resnet_v2_50', 'mobilenet_v2'])
def test_a_net_that_is_frozen_is_the_net_of_evaluation(name):
    graph, images, logits = train_graph(name, frozen=lambda scope: True)
    assert not update_ops(graph) and not masks(graph)
    with graph.as_default():
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            evaluated, _ = nets_factory.get_network_fn(name, 5)(images)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            feed = {images: np.random.RandomState(0).rand(2, 64, 64, 3)}
            trained, evaluated = session.run([logits, evaluated], feed)
    np.testing.assert_allclose(trained, evaluated, rtol=1e-4, atol=1e-5)


def test_what_is_not_frozen_is_trained():
    everything = train_graph()[0]
    assert (len(update_ops(everything)), len(masks(everything))) == (114, 1)
    head = train_graph(frozen=lambda scope: not scope.startswith('InceptionV1/Logits'))[0]
    assert (len(update_ops(head)), len(masks(head))) == (0, 1)
    scopes = []
    stem_norm = 'InceptionV1/Conv2d_1a_7x7/BatchNorm'
    stem = train_graph(frozen=lambda scope: scopes.append(scope) or scope == stem_norm)[0]
    assert (len(update_ops(stem)), len(masks(stem))) == (112, 1)
    assert 'InceptionV1/Logits/Dropout_0b' in scopes and len(scopes) == len(set(scopes)) == 58


def dropped(step=None, seed=0, scope='Dropout', layer=layers.dropout, **kwargs):
    """What dropout makes of ones, [200, 50], at this step."""
    with tf.Graph().as_default():
        step_variable = tf.train.create_global_step() if step is not None else None
        kept = layer(tf.ones([200, 50]), seed=seed, scope=scope, **kwargs)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            if step is not None:
                session.run(step_variable.assign(step))
            return session.run(kept)


def test_dropout_drops_its_share_and_keeps_the_mean():
    kept = dropped(7, keep_prob=0.8)
    assert set(kept.flat) == {0, np.float32(1.25)}
    assert np.mean(kept == 0) == pytest.approx(0.2, abs=0.02)


def test_dropout_repeats_by_seed_step_and_layer_alone():
    mask = dropped(7)
    np.testing.assert_array_equal(mask, dropped(7))
    np.testing.assert_array_equal(dropped(), dropped(0))        # no global step: as at the first
    for other in (dropped(8), dropped(7, seed=1), dropped(7, scope='Dropout_1b')):
        assert np.mean(mask == other) == pytest.approx(0.5, abs=0.05)


def test_dropout_does_nothing_where_nothing_is_trained():
    for options in ({'is_training': False}, {'frozen': lambda scope: scope == 'Dropout'}, {'keep_prob': 1.0}):
        assert dropped(7, **options).min() == 1
    with tf.Graph().as_default():
        is_training = tf.placeholder(tf.bool, [])
        kept = layers.dropout(tf.ones([50]), is_training=is_training)
        with tf.Session() as session:
            assert session.run(kept, {is_training: False}).min() == 1
            assert session.run(kept, {is_training: True}).min() == 0


def test_drop_path_drops_whole_images():
    kept = dropped(7, layer=layers.drop_path, keep_prob=0.5)
    assert set(kept.flat) == {0, 2} and np.all(kept == kept[:, :1])
    assert np.mean(kept == 0) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize('text, expected', [
    ('Conv2d_0b_1x7:64', ('Conv2d_0b_1x7', 64, [1, 7], 1, 'SAME', 0, 0, 1)),
    ('Conv2d_1a_1x1:384 3x3 /2 v', ('Conv2d_1a_1x1', 384, [3, 3], 2, 'VALID', 0, 0, 1)),
    ('Conv2d_1a_7x7:64 /2 x8 ~1.0', ('Conv2d_1a_7x7', 64, [7, 7], 2, 'SAME', 8, 1, 1)),
    ('MaxPool_3a_3x3 /2 v', ('MaxPool_3a_3x3', 0, [3, 3], 2, 'VALID', 0, 0, 1)),
    ('fc3:1024', ('fc3', 1024, [], 1, 'SAME', 0, 0, 1)),
])
def test_a_row_says_what_it_does(text, expected):
    assert layers.row(text) == expected


def test_layers_dilate_from_the_output_stride_on():
    assert layers.dilated([2, 1, 2, 2, 1, 2]) == [(2, 1), (1, 1), (2, 1), (2, 1), (1, 1), (2, 1)]
    assert layers.dilated([2, 1, 2, 2, 1, 2], 4) == [(2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 2)]
    with pytest.raises(ValueError, match='no output_stride 3: the strides reach 16'):
        layers.dilated([2, 2, 2, 2], 3)


def test_slims_own_arg_scopes_reach_the_layers():
    with tf.Graph().as_default() as graph, slim.arg_scope([layers.batch_norm], is_training=False, scale=True):
        layers.batch_norm(tf.zeros([1, 4, 4, 3]))
        assert not update_ops(graph)
        assert [v.op.name for v in tf.trainable_variables()] == ['BatchNorm/gamma', 'BatchNorm/beta']
