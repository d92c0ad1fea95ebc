"""The nets for clips: I3D and S3D-G, Inception v1 with a third dimension.

I3D: Carreira, Zisserman 2017, arXiv:1705.07750, figure 3. S3D-G: Xie et al. 2017, arXiv:1712.04851, figures 3 and 8.
The rows are Inception v1's; its kxk become kxkxk, but for the first two poolings. S3D-G splits a 3x3x3 into 1x3x3 and
3x1x1 and gates what its rows say ends in ' gated'.
"""
import functools

import numpy as np

from slimtune.nets import inception, layers, nets_factory
from slimtune.runtime import slim, tf

__getattr__ = nets_factory.slims_names_of('video')

FLAT = ('MaxPool_2a_3x3', 'MaxPool_3a_3x3')     # pools within a frame


def _gated(entry):
    """Conv2d_2c_3x3 and the last row of each branch are gated."""
    if isinstance(entry, str):
        return entry + ' gated' if entry.startswith('Conv2d_2c') else entry
    return entry[0], [branch[:-1] + [branch[-1] + ' gated'] for branch in entry[1]]


#: net: (rows, frames of the first kernel, whether 3x3x3 are split)
TABLES = {'i3d': (inception.V1(), 7, False),
          's3dg': ([_gated(entry) for entry in inception.V1()], 3, True)}


def video_arg_scope(weight_decay=1e-7, batch_norm_decay=0.999, batch_norm_epsilon=0.001):
    """slim's defaults of both nets."""
    with slim.arg_scope([slim.conv3d], weights_regularizer=slim.l2_regularizer(weight_decay), activation_fn=tf.nn.relu,
                        normalizer_fn=layers.batch_norm,
                        normalizer_params={'decay': batch_norm_decay, 'epsilon': batch_norm_epsilon,
                                           'fused': False}) as scope:
        return scope


def _identity(shape, dtype=tf.float32, partition_info=None):
    """The initializer of a 3x1x1 that at first passes every frame on as it is."""
    weights = np.zeros(shape, dtype.as_numpy_dtype)
    weights[shape[0] // 2, 0, 0] = np.eye(shape[-1])
    return tf.constant(weights, dtype)


def _gate(net, scope):
    """Weighs each channel by what the whole clip holds: self-gating, S3D-G's section 4.4."""
    weights = slim.conv3d(tf.reduce_mean(net, [1, 2, 3], keepdims=True), net.shape.as_list()[-1], [1, 1, 1],
                          activation_fn=None, normalizer_fn=None, biases_initializer=None,
                          scope=scope + '/self_gating/transformer_W')
    return tf.sigmoid(weights) * net


def _apply(net, text, first, split):
    """Applies a row to a clip's map [batch, frames, height, width, depth]."""
    gated = text.endswith(' gated')
    row = layers.row(text.replace(' gated', ''))
    frames = 1 if row.scope in FLAT else first if row.scope == 'Conv2d_1a_7x7' else row.kernel[0]
    kernel, stride = [frames] + row.kernel, [1 if frames == 1 else row.stride, row.stride, row.stride]
    if 'Pool' in row.scope:
        return slim.max_pool3d(net, kernel, stride, padding='SAME', scope=row.scope)
    if split and kernel == [3, 3, 3]:
        net = slim.conv3d(net, row.depth, [1, 3, 3], scope=row.scope)
        net = slim.conv3d(net, row.depth, [3, 1, 1], normalizer_fn=None, weights_initializer=_identity,
                          scope=row.scope + '/temporal')
    else:
        net = slim.conv3d(net, row.depth, kernel, stride, scope=row.scope)
    return _gate(net, row.scope) if gated else net


def base(clips, final_endpoint=None, scope=None, reuse=None, table=None):
    """The trunk: clips [batch, frames, height, width, 3] -> the map of final_endpoint, end_points."""
    rows, first, split = TABLES[table]
    end_points = {}
    with tf.variable_scope(scope, values=[clips], reuse=reuse), \
            slim.arg_scope([slim.conv3d], weights_initializer=tf.truncated_normal_initializer(stddev=0.01)):
        net = inception.run(clips, rows, end_points, functools.partial(_apply, first=first, split=split), final_endpoint)
    return net, end_points


def build(clips, num_classes=1000, dropout_keep_prob=0.8, is_training=True, prediction_fn=slim.softmax,
          spatial_squeeze=True, reuse=None, scope=None, table=None):
    """clips [batch, frames, height, width, 3] -> logits [batch, num_classes], end_points.

    Features (num_classes None; slim has none) are the pooled map [batch, frames / 8 - 1, 1, 1, 1024].
    """
    with tf.variable_scope(scope, values=[clips], reuse=reuse) as own, \
            slim.arg_scope([layers.batch_norm, layers.dropout], is_training=is_training):
        net, end_points = base(clips, scope=own, table=table)
        with tf.variable_scope('Logits'):
            kernel = [min(side, size) for side, size in zip((2, 7, 7), net.shape.as_list()[1:4])]
            net = slim.avg_pool3d(net, kernel, stride=1, scope='AvgPool_0a_7x7')
            if not num_classes:
                return net, end_points
            net = layers.dropout(net, dropout_keep_prob, scope='Dropout_0b')
            logits = slim.conv3d(net, num_classes, [1, 1, 1], activation_fn=None, normalizer_fn=None,
                                 scope='Conv2d_0c_1x1')
            logits = tf.reduce_mean(logits, 1)
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name='SpatialSqueeze')
            end_points['Logits'] = logits
            end_points['Predictions'] = prediction_fn(logits, scope='Predictions')
    return logits, end_points
