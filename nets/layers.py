"""What the nets have in common and slim's layers do not do: frozen batch norm, repeatable dropout, the head.

`is_training`, `frozen` and `seed` come by arg scope, as in slim. `frozen` is None or a predicate on the full variable
scope of a layer ('InceptionV3/Conv2d_1a_3x3/BatchNorm'); where it holds, the layer behaves as in evaluation although
`is_training` is true: stored statistics, no update ops, no dropout, no drop path.
"""
import collections
import re
import zlib

from slimtune.runtime import slim, tf


def _is_frozen(frozen, scope):
    return frozen is not None and frozen(scope)


@slim.add_arg_scope
def batch_norm(inputs, is_training=True, frozen=None, scope=None, **kwargs):
    """slim.batch_norm, but one whose scope is frozen uses and keeps its stored statistics."""
    if _is_frozen(frozen, '/'.join(filter(None, [tf.get_variable_scope().name, scope or 'BatchNorm']))):
        is_training = False
    return slim.batch_norm(inputs, is_training=is_training, scope=scope, **kwargs)


def _drop(inputs, keep_prob, shape, is_training, frozen, seed, own):
    """`inputs` scaled to keep its mean, with a share of 1 - `keep_prob` set to zero, in training.

    The mask (of `shape`, broadcast) depends on `seed`, the layer's scope `own` and the global step alone. tf.nn.dropout's
    state is in no checkpoint, so with it a resumed run would differ from an uninterrupted one.
    """
    def masked():
        step = tf.train.get_global_step()
        with tf.name_scope('dropout'):
            seeds = [zlib.crc32(('%d %s' % (seed, own.name)).encode()), 0 if step is None else step]
            uniform = tf.random.stateless_uniform(shape, tf.stack([tf.cast(part, tf.int64) for part in seeds]))
            kept = tf.convert_to_tensor(keep_prob, inputs.dtype, name='keep_prob')
            # The mask is scaled, not the inputs: they then are the last values that are the same at every step.
            return inputs * (tf.floor(tf.cast(uniform, inputs.dtype) + kept) / kept)
    if keep_prob == 1 or _is_frozen(frozen, own.name):
        is_training = False
    return slim.utils.smart_cond(is_training, masked, lambda: tf.identity(inputs))


@slim.add_arg_scope
def dropout(inputs, keep_prob=0.5, is_training=True, frozen=None, seed=0, scope=None):
    """Dropout (Srivastava et al. 2014) of single values, repeatable by seed and global step."""
    with tf.variable_scope(scope, 'Dropout', [inputs]) as own:
        return _drop(inputs, keep_prob, tf.shape(inputs), is_training, frozen, seed, own)


@slim.add_arg_scope
def drop_path(inputs, keep_prob, is_training=True, frozen=None, seed=0, scope=None):
    """Drops whole pictures of a branch [batch, ...] (Larsson et al. 2016, arXiv:1605.07648). keep_prob: 0-D, or float."""
    with tf.variable_scope(scope, 'drop_path', [inputs]) as own:
        shape = tf.concat([tf.shape(inputs)[:1], tf.ones([inputs.shape.ndims - 1], tf.int32)], 0)
        return _drop(inputs, keep_prob, shape, is_training, frozen, seed, own)


def conv_arg_scope(weight_decay, normalizer_params=None, regularize=(slim.conv2d, slim.fully_connected), **conv2d):
    """slim's usual arg scope: L2 on the weights of `regularize`, `conv2d`'s arguments, and batch norm.

    normalizer_params: arguments of batch_norm (decay, epsilon, scale); None for a net without it.
    """
    if normalizer_params:
        conv2d.update(normalizer_fn=batch_norm, normalizer_params=normalizer_params)
    with slim.arg_scope(list(regularize), weights_regularizer=slim.l2_regularizer(weight_decay)), \
            slim.arg_scope([slim.conv2d], **conv2d) as scope:
        return scope


def kernel_within(net, size=None):
    """The kernel [height, width] of `size`, no larger than the map `net`; of all of the map where `size` is None."""
    return [size if side is None else min(side, size or side) for side in net.shape.as_list()[1:3]]


def average_pool(net, size, end_points, global_pool=False, scope='AvgPool_1a_{}x{}', name='AvgPool_1a'):
    """Averages a map [batch, height, width, depth]: all of it with `global_pool`, else with a kernel of `size`."""
    if global_pool:
        net = end_points['global_pool'] = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
        return net
    kernel = kernel_within(net, size)
    net = end_points[name] = slim.avg_pool2d(net, kernel, padding='VALID', scope=scope.format(*kernel))
    return net


def class_scores(net, num_classes, scope='Conv2d_1c_1x1', spatial_squeeze=True, **conv2d):
    """One score per class by a 1x1 convolution of a map: [batch, num_classes], or a map of scores unsqueezed."""
    net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=scope, **conv2d)
    return tf.squeeze(net, [1, 2], name='SpatialSqueeze') if spatial_squeeze else net


def dilated(strides, output_stride=None):
    """Each layer's (stride, rate), such that no more than `output_stride` is reached: from there on layers dilate.

    strides: the layers' own. ValueError for an output_stride that they never reach.
    """
    reached, rate, changed = 1, 1, []
    for stride in strides:
        if reached == output_stride:
            changed.append((1, rate))
            rate *= stride
        else:
            changed.append((stride, 1))
            reached *= stride
    if output_stride not in (None, reached):
        raise ValueError('no output_stride %s: the strides reach %d' % (output_stride, reached))
    return changed


Row = collections.namedtuple('Row', 'scope depth kernel stride padding multiplier stddev')
_ROW = re.compile(r'(?P<scope>[^ :]+)(:(?P<depth>\d+))?( (?P<kernel>\d+x\d+))?( /(?P<stride>\d+))?(?P<valid> v)?'
                  r'( x(?P<multiplier>\d+))?( ~(?P<stddev>[.\d]+))?$')


def row(text):
    """A row 'scope:depth kernel /stride v xmultiplier ~stddev' of a net's table, as a Row.

    Only the scope must be there: the kernel is the one in the scope ('Conv2d_0b_1x7'), the stride 1, the padding SAME
    (v: VALID), the convolution plain (x8: separable, with 8 depthwise kernels per channel), and the weights start as
    the arg scope says (~: truncated normal with this standard deviation).
    """
    part = _ROW.match(text).groupdict()
    sides = re.findall(r'\d+', part['kernel'] or re.search(r'(\d+x\d+)?$', part['scope']).group())
    return Row(part['scope'], int(part['depth'] or 0), [int(side) for side in sides], int(part['stride'] or 1),
               'VALID' if part['valid'] else 'SAME', int(part['multiplier'] or 0), float(part['stddev'] or 0))


def start(stddev):
    """The argument that starts a layer's weights from a truncated normal; none for no deviation."""
    return {'weights_initializer': tf.truncated_normal_initializer(stddev=stddev)} if stddev else {}


def apply_row(net, text, deepen=int, stddev=None):
    """Applies a row to a map: pooling where the scope says so, else a convolution of the depth deepen(row's depth).

    stddev: how the weights start, if the row does not say.
    """
    scope, depth, kernel, stride, padding, multiplier, own_stddev = row(text)
    if 'pool' in scope.lower():
        pool = slim.avg_pool2d if scope.startswith('Avg') else slim.max_pool2d
        return pool(net, kernel, stride, padding, scope=scope)
    weights, depth = start(own_stddev or stddev), deepen(depth)
    if multiplier:
        multiplier = min(depth // net.shape.as_list()[-1], multiplier)
        return slim.separable_conv2d(net, depth, kernel, multiplier, stride, padding, scope=scope, **weights)
    return slim.conv2d(net, depth, kernel, stride, padding, scope=scope, **weights)
