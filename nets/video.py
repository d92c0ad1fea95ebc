"""The nets for clips: I3D and S3D-G, Inception v1 with a third dimension.

I3D: Carreira, Zisserman 2017, arXiv:1705.07750, figure 3.
S3D-G: Xie et al. 2017, arXiv:1712.04851, figures 3 and 8.
The rows are Inception v1's; its kxk become kxkxk, but for the first two poolings. S3D-G splits a 3x3x3 into
1x3x3 and 3x1x1 and gates the rows that end in ' gated'.
"""
import functools

import numpy as np

from slimtune.nets import inception, layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)
FLAT = ('MaxPool_2a_3x3', 'MaxPool_3a_3x3')     # pools within a frame


def _gated(entry):
    """Conv2d_2c_3x3 and the last row of each branch are gated."""
    if isinstance(entry, str):
        return entry + ' gated' if entry.startswith('Conv2d_2c') else entry
    return entry[0], [branch[:-1] + [branch[-1] + ' gated'] for branch in entry[1]]


#: slim's defaults of both nets.
video_arg_scope = functools.partial(layers.arg_scope, net=NETS['i3d'], regularized=[slim.conv3d],
                                    layers={slim.conv3d: {}, layers.batch_norm: {'fused': False}})


def _gate(net, scope):
    """Weighs each channel by what the whole clip holds: self-gating, S3D-G's section 4.4."""
    mean = tf.reduce_mean(net, [1, 2, 3], keepdims=True)
    weights = slim.conv3d(mean, net.shape.as_list()[-1], [1, 1, 1],
                          biases_initializer=None, scope=f'{scope}/self_gating/transformer_W',
                          **layers.LINEAR)
    return tf.sigmoid(weights) * net


def _apply(net, text, deepen, first, split):
    """Applies a row to a clip's map [batch, frames, height, width, depth].

    deepen: of the row's depth. first: frames of the first kernel. split: whether 3x3x3 are split.
    """
    gated = text.endswith(' gated')
    row = layers.row(text.replace(' gated', ''))
    frames = 1 if row.scope in FLAT else first if row.scope == 'Conv2d_1a_7x7' else row.kernel[0]
    kernel, stride = [frames] + row.kernel, [1 if frames == 1 else row.stride, row.stride, row.stride]
    if 'Pool' in row.scope:
        return slim.max_pool3d(net, kernel, stride, padding='SAME', scope=row.scope)
    depth, halves = deepen(row.depth), split and kernel == [3, 3, 3]
    with slim.arg_scope([slim.conv3d], **layers.start(0.01)):
        net = slim.conv3d(net, depth, [1, 3, 3] if halves else kernel, stride, scope=row.scope)
        if halves:
            # At first, every frame stays as it is
            identity = np.eye(depth) * np.reshape([0, 1, 0], [3, 1, 1, 1, 1])
            net = slim.conv3d(net, depth, [3, 1, 1], normalizer_fn=None, scope=row.scope + '/temporal',
                              weights_initializer=tf.constant_initializer(identity))
        return _gate(net, row.scope) if gated else net


HEAD = inception.DESIGNS['inception_v1'].head._replace(kernel=(2, 7, 7), pooled=None)
DESIGNS = {
    'i3d': inception.Design(inception.V1(), HEAD, None, functools.partial(_apply, first=7, split=False)),
    's3dg': inception.Design([_gated(entry) for entry in inception.V1()], HEAD, None,
                             functools.partial(_apply, first=3, split=True)),
}
base = functools.partial(inception.base, designs=DESIGNS)


def build(clips, num_classes=1000, dropout_keep_prob=None, is_training=True, **kwargs):
    """clips [batch, frames, height, width, 3] -> logits [batch, num_classes], end_points.

    Features (num_classes None; slim has none) are the pooled map [batch, frames / 8 - 1, 1, 1, 1024].
    kwargs: of inception.build.
    """
    return inception.build(clips, num_classes, is_training, dropout_keep_prob, designs=DESIGNS, **kwargs)
