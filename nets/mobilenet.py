"""MobileNet v1, v2, v3 and EdgeTPU.

v1: Howard et al. 2017, arXiv:1704.04861, table 1. v2: Sandler et al. 2018, arXiv:1801.04381, table 2.
v3: Howard et al. 2019, arXiv:1905.02244, tables 1 and 2. EdgeTPU: Gupta, Akin 2020, arXiv:2003.02838.

A row of v1 reads 'depth /stride': a depthwise 3x3 of this stride, then a 1x1 to this depth; the first row is a plain 3x3.
A row of the others reads 'repeat expand depth kernel stride flags'. It is an inverted bottleneck: 1x1 to `expand` times
the input's depth, depthwise, 1x1 to `depth`, and the input added where the shapes allow it; the stride is the first
repeat's. Without an expansion ('-') it is a plain convolution. Flags: h hard swish instead of the table's activation,
se squeeze and excite after the depthwise, fused the kernel in the expansion and no depthwise, new nothing is added,
nbn no batch norm, pool the average of the map instead of all this.
"""
import collections
import fractions

from slimtune.nets import layers
from slimtune.runtime import slim, tf

V1 = ['32 /2', '64', '128 /2', '128', '256 /2', '256', '512 /2', '512', '512', '512', '512', '512', '1024 /2', '1024']

V2 = ['1 - 32 3 2', '1 1 16 3 1', '2 6 24 3 2', '3 6 32 3 2', '4 6 64 3 2', '3 6 96 3 1', '3 6 160 3 2', '1 6 320 3 1',
      '1 - 1280 1 1']

V3_LARGE = [
    '1 - 16 3 2 h',
    '1 1 16 3 1',
    '1 4 24 3 2',
    '1 3 24 3 1',
    '3 3 40 5 2 se',
    '1 6 80 3 2 h',
    '1 200/80 80 3 1 h',
    '2 184/80 80 3 1 h',
    '2 6 112 3 1 h se',
    '3 6 160 5 2 h se',
    '1 - 960 1 1 h',
    '1 - 0 7 1 pool',
    '1 - 1280 1 1 h nbn',
]
V3_SMALL = [
    '1 - 16 3 2 h',
    '1 1 16 3 2 se',
    '1 72/16 24 3 2',
    '1 88/24 24 3 1',
    '1 4 40 5 2 h se',
    '2 6 40 5 1 h se',
    '2 3 48 5 1 h se',
    '3 6 96 5 2 h se',
    '1 - 576 1 1 h',
    '1 - 0 7 1 pool',
    '1 - 1024 1 1 h nbn',
]
EDGETPU = [
    '1 - 32 3 2',
    '1 1 16 3 1 fused',
    '1 8 32 3 2 fused', '3 4 32 3 1 fused',
    '1 8 48 3 2 fused', '3 4 48 3 1 fused',
    '1 8 96 3 2', '3 4 96 3 1',
    '1 8 96 3 1 new', '3 4 96 3 1',
    '1 8 160 5 2', '3 4 160 5 1',
    '1 8 192 3 1',
    '1 - 1280 1 1',
]

Row = collections.namedtuple('Row', 'expand depth kernel stride flags')


def rows(table):
    """A table's rows, the repeated ones as often as they stand for."""
    for text in table:
        repeat, expand, depth, kernel, stride = text.split()[:5]
        for number in range(int(repeat)):
            yield Row(None if expand == '-' else fractions.Fraction(expand), int(depth), int(kernel),
                      1 if number else int(stride), frozenset(text.split()[5:]))


def minimalistic(rows):
    """v3's rows for accelerators: no hard swish, no squeeze and excite, kernels of 3x3 at most."""
    return [row._replace(kernel=3 if row.kernel == 5 else row.kernel, flags=row.flags - {'h', 'se'}) for row in rows]


#: name: (activation, rows)
TABLES = {
    'v2': (tf.nn.relu6, list(rows(V2))),
    'v3_large': (tf.nn.relu, list(rows(V3_LARGE))),
    'v3_small': (tf.nn.relu, list(rows(V3_SMALL))),
    'v3_large_minimalistic': (tf.nn.relu, minimalistic(rows(V3_LARGE))),
    'v3_small_minimalistic': (tf.nn.relu, minimalistic(rows(V3_SMALL))),
    'edgetpu': (tf.nn.relu, list(rows(EDGETPU))),
}


def mobilenet_v1_arg_scope(is_training=True, weight_decay=0.00004, stddev=0.09, regularize_depthwise=False,
                           batch_norm_decay=0.9997, batch_norm_epsilon=0.001):
    """slim's arg scope of v1: what its layers have in common. Depthwise weights are not regularized unless asked."""
    regularizer = slim.l2_regularizer(weight_decay)
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], normalizer_fn=layers.batch_norm,
                        weights_initializer=tf.truncated_normal_initializer(stddev=stddev)), \
            slim.arg_scope([slim.conv2d], weights_regularizer=regularizer), \
            slim.arg_scope([slim.separable_conv2d], weights_regularizer=regularizer if regularize_depthwise else None), \
            slim.arg_scope([layers.batch_norm, layers.dropout], is_training=is_training), \
            slim.arg_scope([layers.batch_norm], decay=batch_norm_decay, epsilon=batch_norm_epsilon, scale=True) as scope:
        return scope


def training_scope(is_training=True, weight_decay=0.00004, stddev=0.09, dropout_keep_prob=0.8, bn_decay=0.997):
    """slim's arg scope of v2, v3 and EdgeTPU."""
    with slim.arg_scope(mobilenet_v1_arg_scope(is_training, weight_decay, stddev, batch_norm_decay=bn_decay)), \
            slim.arg_scope([mobilenet], dropout_keep_prob=dropout_keep_prob) as scope:
        return scope


def mobilenet_v1_base(images, final_endpoint='Conv2d_13_pointwise', depth_multiplier=1.0, min_depth=8,
                      output_stride=None, scope='MobilenetV1'):
    """v1's trunk up to `final_endpoint`: images [batch, height, width, 3] -> map, end_points.

    depth_multiplier: scales all depths, to no less than min_depth. output_stride: from this reduction of the picture
    on, layers dilate instead of striding; ValueError for one the net never has.
    """
    end_points = {}
    depths, strides = zip(*[(int(text.split()[0]), int(text.partition('/')[2] or 1)) for text in V1])
    with tf.variable_scope(scope, 'MobilenetV1', [images]), slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d], activation_fn=tf.nn.relu6, padding='SAME'):
        net = images
        for number, (stride, rate) in enumerate(layers.dilated(strides, output_stride)):
            name = 'Conv2d_%d' % number
            depth = max(int(depths[number] * depth_multiplier), min_depth)
            if number:
                net = end_points[name + '_depthwise'] = slim.separable_conv2d(
                    net, None, [3, 3], 1, stride=stride, rate=rate, scope=name + '_depthwise')
                if final_endpoint == name + '_depthwise':
                    return net, end_points
                net = end_points[name + '_pointwise'] = slim.conv2d(net, depth, [1, 1], scope=name + '_pointwise')
            else:
                net = end_points[name] = slim.conv2d(net, depth, [3, 3], stride, scope=name)
            if final_endpoint in (name, name + '_pointwise'):
                return net, end_points
    raise ValueError('no end point %r: there are %s' % (final_endpoint, ', '.join(end_points)))


def mobilenet_v1(images, num_classes=1000, is_training=True, dropout_keep_prob=0.999, depth_multiplier=1.0, min_depth=8,
                 output_stride=None, prediction_fn=slim.softmax, spatial_squeeze=True, scope='MobilenetV1',
                 global_pool=False):
    """MobileNet v1: images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    num_classes: None gives the pooled features. depth_multiplier, min_depth, output_stride: as for mobilenet_v1_base.
    global_pool: average the whole map, else with a kernel of 7x7. spatial_squeeze: no map of logits.
    """
    with tf.variable_scope(scope, 'MobilenetV1', [images]) as own, \
            slim.arg_scope([layers.batch_norm, layers.dropout], is_training=is_training):
        net, end_points = mobilenet_v1_base(images, depth_multiplier=depth_multiplier, min_depth=min_depth,
                                            output_stride=output_stride, scope=own)
        with tf.variable_scope('Logits'):
            net = layers.average_pool(net, 7, end_points, global_pool)
            if not num_classes:
                return net, end_points
            net = layers.logits(net, num_classes, dropout_keep_prob, spatial_squeeze=spatial_squeeze)
        end_points['Logits'] = net
        if prediction_fn:
            end_points['Predictions'] = prediction_fn(net, scope='Predictions')
    return net, end_points


def hard_swish(net):
    return net * tf.nn.relu6(net + 3) / 6


def squeeze_excite(net, squeeze=4):
    """Scales each depth by what a small net makes of the map's mean (Hu et al. 2017, arXiv:1709.01507)."""
    depth = net.shape.as_list()[3]
    with tf.variable_scope('squeeze_excite'), slim.arg_scope([slim.conv2d], normalizer_fn=None):
        gate = slim.conv2d(tf.reduce_mean(net, [1, 2], keepdims=True), divisible(depth / float(squeeze)), [1, 1],
                           activation_fn=tf.nn.relu, scope='Conv')
        gate = slim.conv2d(gate, depth, [1, 1], scope='Conv_1',
                           activation_fn=lambda x: tf.nn.relu6(x + 3) * 0.16667)   # sic: not 1 / 6
    return net * gate


def divisible(depth, divisor=8, smallest=8):
    """`depth` rounded to a multiple of `divisor`, at least `smallest`, and not more than a tenth below `depth`."""
    rounded = max(smallest, int(depth + divisor / 2.) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * depth else rounded


def bottleneck(net, row, rate=1, divisible_by=8):
    """Applies an inverted bottleneck in the current variable scope. Returns the map and, by name, those inside."""
    inputs, inner = net, {}
    kernel, fused = [row.kernel, row.kernel], 'fused' in row.flags
    if row.expand > 1:
        net = slim.conv2d(net, divisible(float(net.shape.as_list()[3] * row.expand), divisible_by), scope='expand',
                          **dict(kernel_size=kernel, stride=row.stride, rate=rate) if fused else {'kernel_size': 1})
        net = inner['expansion_output'] = tf.identity(net, 'expansion_output')
    if not fused:
        net = slim.separable_conv2d(net, None, kernel, 1, stride=row.stride, rate=rate, scope='depthwise')
        net = inner['depthwise_output'] = tf.identity(net, 'depthwise_output')
    if 'se' in row.flags:
        net = squeeze_excite(net)
    net = slim.conv2d(net, row.depth, 1, activation_fn=None, scope='project')
    if row.stride == 1 and row.depth == inputs.shape.as_list()[3] and 'new' not in row.flags:
        net += inputs
    net = inner['output'] = tf.identity(net, 'output')
    return net, inner


def mobilenet_base(images, table='v2', final_endpoint=None, depth_multiplier=1.0, finegrain_classification_mode=False,
                   min_depth=8, divisible_by=8, output_stride=None):
    """The trunk of a table, in the current variable scope: images [batch, height, width, 3] -> map, end_points.

    depth_multiplier: scales all depths, to multiples of divisible_by and no less than min_depth; below 1 not the last
    one in finegrain_classification_mode. final_endpoint, output_stride: as for mobilenet_v1_base.
    """
    activation, rows = TABLES[table]
    net, end_points, counts = images, {}, collections.Counter()
    for number, (stride, rate) in enumerate(layers.dilated([row.stride for row in rows], output_stride), 1):
        row, name = rows[number - 1], 'layer_%d' % number
        keeps_depth = finegrain_classification_mode and number == len(rows) and depth_multiplier < 1
        depth = row.depth if keeps_depth else divisible(row.depth * depth_multiplier, divisible_by, min_depth)
        row = row._replace(depth=depth, stride=stride)
        kind = 'Conv' if row.expand is None else 'expanded_conv'
        scope = kind + ('_%d' % counts[kind] if counts[kind] else '')
        with slim.arg_scope([slim.conv2d, slim.separable_conv2d], padding='SAME',
                            activation_fn=hard_swish if 'h' in row.flags else activation):
            if 'pool' in row.flags:
                height, width = net.shape.as_list()[1:3]
                net = slim.avg_pool2d(net, height if height and height == width else row.kernel, 1)   # sic: not 7x9
            elif row.expand is None:
                plain = {'normalizer_fn': None} if 'nbn' in row.flags else {}
                net = slim.conv2d(net, depth, row.kernel, stride, rate=rate if row.kernel > 1 else 1, scope=scope, **plain)
            else:
                with tf.variable_scope(scope):
                    net, inner = bottleneck(net, row, rate, divisible_by)
                end_points.update({name + '/' + part: value for part, value in inner.items()})
        counts[kind] += 'pool' not in row.flags
        end_points[name] = net
        if name == final_endpoint:
            return net, end_points
    if final_endpoint:
        raise ValueError('no end point %r: there are layer_1 to layer_%d' % (final_endpoint, len(rows)))
    return net, end_points


@slim.add_arg_scope
def mobilenet(images, num_classes=1001, is_training=False, dropout_keep_prob=0.8, prediction_fn=slim.softmax,
              scope='Mobilenet', base_only=False, **base):
    """MobileNet v2, v3 and EdgeTPU: images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    num_classes: None gives the pooled features. base_only: gives the trunk's map. base: arguments of mobilenet_base.
    """
    with tf.variable_scope(scope, 'Mobilenet', [images]), \
            slim.arg_scope([layers.batch_norm, layers.dropout], is_training=is_training):
        net, end_points = mobilenet_base(tf.identity(images, 'input'), **base)
        if base_only:
            return net, end_points
        with tf.variable_scope('Logits'):
            net = tf.reduce_mean(tf.identity(net, 'embedding'), [1, 2], keepdims=True, name='global_pool')
            end_points['global_pool'] = net
            if not num_classes:
                return net, end_points
            net = layers.logits(net, num_classes, dropout_keep_prob, dropout_scope='Dropout')
            end_points['Logits'] = net = tf.identity(net, 'output')
        if prediction_fn:
            end_points['Predictions'] = prediction_fn(net, scope='Predictions')
    return net, end_points
