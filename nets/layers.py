"""What the nets have in common and slim's layers do not do: frozen batch norm, repeatable dropout, the head.

`is_training`, `frozen` and `seed` come by arg scope, as in slim. `frozen` is None or a predicate on the full
variable scope of a layer ('InceptionV3/Conv2d_1a_3x3/BatchNorm'); where it holds, the layer behaves as in
evaluation although `is_training` is true: stored statistics, no update ops, no dropout, no drop path.
"""
import collections
import contextlib
import functools
import re
import zlib

from slimtune.runtime import slim, tf

#: What arg scopes of most nets are about, and the arguments of a layer that is followed by nothing.
BOTH = [slim.conv2d, slim.fully_connected]
LINEAR = {'activation_fn': None, 'normalizer_fn': None}


@slim.add_arg_scope
def batch_norm(inputs, is_training=True, frozen=None, scope=None, **kwargs):
    """slim.batch_norm, but one whose scope is frozen uses and keeps its stored statistics."""
    if frozen and frozen('/'.join(filter(None, [tf.get_variable_scope().name, scope or 'BatchNorm']))):
        is_training = False
    return slim.batch_norm(inputs, is_training=is_training, scope=scope, **kwargs)


@slim.add_arg_scope
def dropout(inputs, keep_prob=0.5, is_training=True, frozen=None, seed=0, scope=None, default_scope='Dropout',
            whole=False):
    """Repeatable dropout (Srivastava et al. 2014): sets 1 - keep_prob of the inputs to 0, scales the others.

    keep_prob: 0-D, or float. whole: drops whole images [batch, ...], not single values. The mask depends on
    `seed`, the layer's scope and the global step alone. tf.nn.dropout's state is in no checkpoint, so with it
    a resumed run would differ from an uninterrupted one.
    """
    def masked():
        step = tf.train.get_global_step()
        with tf.name_scope('dropout'):
            seeds = [zlib.crc32(f'{seed} {own.name}'.encode()), 0 if step is None else step]
            seeds = tf.stack([tf.cast(part, tf.int64) for part in seeds])
            uniform = tf.random.stateless_uniform(shape, seeds)
            kept = tf.convert_to_tensor(keep_prob, inputs.dtype, name='keep_prob')
            # The mask is scaled, not the inputs: so the inputs are the last values that no step changes.
            return inputs * (tf.floor(tf.cast(uniform, inputs.dtype) + kept) / kept)
    with tf.variable_scope(scope, default_scope, [inputs]) as own:
        shape = tf.shape(inputs)
        if whole:
            shape = tf.concat([shape[:1], tf.ones([inputs.shape.ndims - 1], tf.int32)], 0)
        if keep_prob == 1 or (frozen and frozen(own.name)):
            is_training = False
        return slim.utils.smart_cond(is_training, masked, lambda: tf.identity(inputs))


#: Drop path (Larsson et al. 2016, arXiv:1605.07648): dropout of a branch.
drop_path = functools.partial(dropout, default_scope='drop_path', whole=True)
#: training(is_training=True): the arg scope of a net's layers that differ in training.
training = functools.partial(slim.arg_scope, [batch_norm, dropout])


def arg_scope(weight_decay=None, *, use_batch_norm=True, batch_norm_decay=None, batch_norm_epsilon=None,
              activation_fn=tf.nn.relu, batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
              batch_norm_scale=False, net=None, regularized=(), parts=('weights',), layers=()):
    """slim's arg scope of any net, by slim's keywords; for what is None the record `net` is used.

    weight_decay: of the L2 on these `parts` of the layers `regularized`. layers: {layer: its arguments};
    convolutions among them get activation_fn and, where the net has it and with use_batch_norm, batch norm.
    """
    weight_decay = net.weight_decay if weight_decay is None else weight_decay
    decay = net.batch_norm_decay if batch_norm_decay is None else batch_norm_decay
    epsilon = net.batch_norm_epsilon if batch_norm_epsilon is None else batch_norm_epsilon
    regularizer = slim.l2_regularizer(weight_decay)
    convolution = {'activation_fn': activation_fn,
                   'normalizer_fn': batch_norm if use_batch_norm and decay else None}
    with contextlib.ExitStack() as stack:
        regularizers = {f'{part}_regularizer': regularizer for part in parts}
        stack.enter_context(slim.arg_scope(regularized, **regularizers))
        for layer, arguments in dict(layers).items():
            usual = convolution if layer in (slim.conv2d, slim.conv3d, slim.separable_conv2d) else {}
            stack.enter_context(slim.arg_scope([layer], **dict(usual, **arguments)))
        return stack.enter_context(slim.arg_scope(
            [batch_norm], decay=decay, epsilon=epsilon, scale=batch_norm_scale,
            updates_collections=batch_norm_updates_collections))


def dilated(strides, output_stride=None):
    """Each layer's (stride, rate); once the strides have reached `output_stride`, layers dilate instead.

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
        raise ValueError(f'no output_stride {output_stride}: the strides reach {reached}')
    return changed


Row = collections.namedtuple('Row', 'scope depth kernel stride padding multiplier stddev rate')
_ROW = re.compile(r'(?P<scope>[^ :]+)(:(?P<depth>\d+))?( (?P<kernel>\d+x\d+))?( /(?P<stride>\d+))?'
                  r'(?P<valid> v)?( x(?P<multiplier>\d+))?( ~(?P<stddev>[.\d]+))?$')


def row(text):
    """A row 'scope:depth kernel /stride v xmultiplier ~stddev' of a net's table, as a Row.

    Only the scope must be there: the kernel is the one in the scope ('Conv2d_0b_1x7'), the stride 1, the
    padding SAME (v: VALID), the convolution plain (x8: separable, with 8 depthwise kernels per channel;
    without a depth: depthwise), and the weights start as the arg scope says (~: truncated normal with this
    standard deviation).
    """
    part = _ROW.match(text).groupdict()
    sides = re.findall(r'\d+', part['kernel'] or re.search(r'(\d+x\d+)?$', part['scope']).group())
    return Row(part['scope'], int(part['depth'] or 0), [int(side) for side in sides],
               int(part['stride'] or 1), 'VALID' if part['valid'] else 'SAME', int(part['multiplier'] or 0),
               float(part['stddev'] or 0), 1)


def dilate(rows, output_stride):
    """Rows, parsed or not, such that no more than `output_stride` is reached; errors as of `dilated`."""
    rows = [row(text) if isinstance(text, str) else text for text in rows]
    steps = dilated([one.stride for one in rows], output_stride)
    return [one._replace(stride=stride, rate=rate) for one, (stride, rate) in zip(rows, steps)]


def start(stddev):
    """The argument that starts a layer's weights from a truncated normal; none for no deviation."""
    return {'weights_initializer': tf.truncated_normal_initializer(stddev=stddev)} if stddev else {}


def apply_row(net, text, deepen=int, stddev=None):
    """Applies a row (a text or a Row) to a map: pooling where the scope says so, else a convolution.

    deepen: a function of the row's depth that gives the convolution's. stddev: how the weights start, where
    the row does not say.
    """
    parsed = row(text) if isinstance(text, str) else text
    scope, depth, kernel, stride, padding, multiplier, own_stddev, rate = parsed
    if 'pool' in scope.lower():
        pool = slim.avg_pool2d if scope.startswith('Avg') else slim.max_pool2d
        return pool(net, kernel, stride, padding, scope=scope)
    weights = start(own_stddev or stddev)
    if depth and not multiplier:
        rate = 1 if kernel == [1, 1] else rate      # there is nothing to dilate
        return slim.conv2d(net, deepen(depth), kernel, stride, padding, rate=rate, scope=scope, **weights)
    depth = deepen(depth) if depth else None
    multiplier = min(depth // net.shape.as_list()[-1], multiplier) if depth else 1
    return slim.separable_conv2d(net, depth, kernel, multiplier, stride, padding, rate=rate, scope=scope,
                                 **weights)


def apply_table(net, table, apply, end_points, final_endpoint=None):
    """Applies a table's entries, as apply(net, entry), up to `final_endpoint`.

    Raises ValueError where no entry has that name.

    An entry is a row, or begins with the name of its end point; None is no end point.
    """
    for entry in table:
        net = apply(net, entry)
        name = re.match('[^ :]+', entry).group() if isinstance(entry, str) else entry[0]
        if name:
            end_points[name] = net
            if name == final_endpoint:
                return net
    if final_endpoint:
        raise ValueError(f"no end point {final_endpoint!r}: there are {', '.join(end_points)}")
    return net


#: What follows a backbone: the last pooling (its kernel, None for all of the map; scope; end point),
#: dropout's scope, an end point after it, the row of the logits (without a kernel they are fully connected),
#: the scope of the probabilities, and an op that names the logits.
Head = collections.namedtuple(
    'Head', 'kernel pool pooled dropout pre_logits logits predictions output',
    defaults=('AvgPool_1a_{}x{}', 'AvgPool_1a', 'Dropout_1b', None, 'Conv2d_1c_1x1', 'Predictions', None))


def kernel_within(net, sizes=None):
    """The kernel of these sizes, no larger than the map [batch, ..., depth]; without sizes, of all of it."""
    sides = net.shape.as_list()[1:-1]
    sizes = sizes or [None] * len(sides)
    return [size if side is None else min(side, size or side) for side, size in zip(sides, sizes)]


def class_scores(net, num_classes, text, spatial_squeeze=True):
    """One score per class, [batch, num_classes], by a row's layer: of a map, or of a clip's mean frame.

    spatial_squeeze: False keeps the map of scores.
    """
    last = row(text)
    if not last.kernel:
        return slim.fully_connected(slim.flatten(net), num_classes, activation_fn=None, scope=last.scope)
    layer = slim.conv3d if net.shape.ndims == 5 else slim.conv2d
    net = layer(net, num_classes, 1, scope=last.scope, **LINEAR, **start(last.stddev))
    net = tf.reduce_mean(net, 1) if layer is slim.conv3d else net
    return tf.squeeze(net, [1, 2], name='SpatialSqueeze') if spatial_squeeze else net


def classify(net, num_classes, end_points, head, keep_prob, prediction_fn, spatial_squeeze=True,
             global_pool=False):
    """Ends a net with a Head: a map to the logits, or without classes to the pooled map [batch, 1, 1, depth].

    keep_prob: of dropout. prediction_fn: makes logits probabilities, or None. The others: as in slim's nets.
    """
    flat = not row(head.logits).kernel
    with tf.variable_scope('Logits'):
        if global_pool:
            net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
            end_points['global_pool'] = net
        else:
            kernel = kernel_within(net, head.kernel)
            pool = slim.avg_pool2d if len(kernel) == 2 else functools.partial(slim.avg_pool3d, stride=1)
            net = pool(net, kernel, padding='VALID', scope=head.pool.format(*kernel))
            if head.pooled:
                end_points[head.pooled] = net
        if not num_classes:
            return net
        net = dropout(net, keep_prob, scope=head.dropout)
        net = slim.flatten(net, scope='PreLogitsFlatten') if flat else net
        if head.pre_logits:
            end_points[head.pre_logits] = net
        logits = class_scores(net, num_classes, head.logits, spatial_squeeze)
        logits = end_points['Logits'] = tf.identity(logits, head.output) if head.output else logits
    if flat:
        end_points['Predictions'] = tf.nn.softmax(logits, name=head.predictions)
    elif prediction_fn:
        end_points['Predictions'] = prediction_fn(logits, scope=head.predictions)
    return logits
