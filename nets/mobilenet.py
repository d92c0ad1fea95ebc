"""MobileNet v1, v2, v3 and EdgeTPU.

v1: Howard et al. 2017, arXiv:1704.04861, table 1. v2: Sandler et al. 2018, arXiv:1801.04381, table 2.
v3: Howard et al. 2019, arXiv:1905.02244, tables 1 and 2. EdgeTPU: Gupta, Akin 2020, arXiv:2003.02838.

v1's rows are layers.row's. A row of the others reads 'repeat expand depth kernel stride flags'. It is an
inverted bottleneck: 1x1 to `expand` times the input's depth, depthwise, 1x1 to `depth`, and the input added
where the shapes allow it; the stride is the first repeat's. Without an expansion ('-') it is a plain
convolution. Flags: h hard swish instead of the table's activation, se squeeze and excite after the depthwise,
fused the kernel in the expansion and no depthwise, new nothing is added, nbn no batch norm, pool the average
of the map instead of all this.
"""
import collections
import fractions
import functools
import sys

from slimtune.nets import inception, layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)
mobilenet_v2 = mobilenet_v3 = sys.modules[__name__]     # modules of slim's nets.mobilenet

#: v1's rows after the first, (stride of the depthwise 3x3, depth of the 1x1).
PAIRS_V1 = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256),
            (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512), (2, 1024), (1, 1024)]
V1 = ['Conv2d_0:32 3x3 /2'] + [text for number, (stride, depth) in enumerate(PAIRS_V1, 1) for text in (
    f'Conv2d_{number}_depthwise 3x3 /{stride}', f'Conv2d_{number}_pointwise:{depth} 1x1')]

#: name: (activation, rows). The minimalistic ones are as v3, but without h, se and 5x5.
TABLES = {
    'mobilenet_v2': (tf.nn.relu6, [
        '1 - 32 3 2', '1 1 16 3 1', '2 6 24 3 2', '3 6 32 3 2', '4 6 64 3 2', '3 6 96 3 1', '3 6 160 3 2',
        '1 6 320 3 1', '1 - 1280 1 1']),
    'mobilenet_v3_large': (tf.nn.relu, [
        '1 - 16 3 2 h', '1 1 16 3 1', '1 4 24 3 2', '1 3 24 3 1', '3 3 40 5 2 se',
        '1 6 80 3 2 h', '1 200/80 80 3 1 h', '2 184/80 80 3 1 h', '2 6 112 3 1 h se', '3 6 160 5 2 h se',
        '1 - 960 1 1 h', '1 - 960 7 1 pool', '1 - 1280 1 1 h nbn']),
    'mobilenet_v3_small': (tf.nn.relu, [
        '1 - 16 3 2 h', '1 1 16 3 2 se', '1 72/16 24 3 2', '1 88/24 24 3 1',
        '1 4 40 5 2 h se', '2 6 40 5 1 h se', '2 3 48 5 1 h se', '3 6 96 5 2 h se',
        '1 - 576 1 1 h', '1 - 576 7 1 pool', '1 - 1024 1 1 h nbn']),
    'mobilenet_edgetpu': (tf.nn.relu, [
        '1 - 32 3 2', '1 1 16 3 1 fused', '1 8 32 3 2 fused', '3 4 32 3 1 fused', '1 8 48 3 2 fused',
        '3 4 48 3 1 fused', '1 8 96 3 2', '3 4 96 3 1', '1 8 96 3 1 new', '3 4 96 3 1', '1 8 160 5 2',
        '3 4 160 5 1', '1 8 192 3 1', '1 - 1280 1 1']),
}
hard_swish = lambda net: net * tf.nn.relu6(net + 3) / 6      # v3's section 5.2
Row = collections.namedtuple('Row', 'end_point scope expand depth kernel stride rate flags activation')


def parse(table):
    """The Rows of a table, each as often as it repeats."""
    activation, texts = TABLES[table.replace('_minimalistic', '')]
    rows, scopes = [], collections.Counter()
    left_out, largest = ({'h', 'se'}, 3) if table.endswith('_minimalistic') else (set(), 7)
    for repeat, expand, depth, kernel, stride, *flags in (text.split() for text in texts):
        flags = set(flags) - left_out
        scope = 'pool' if 'pool' in flags else 'Conv' if expand == '-' else 'expanded_conv'
        for number in range(int(repeat)):
            rows.append(Row(
                f'layer_{len(rows) + 1}', scope + (f'_{scopes[scope]}' if scopes[scope] else ''),
                None if expand == '-' else fractions.Fraction(expand), int(depth), min(int(kernel), largest),
                1 if number else int(stride), 1, flags, hard_swish if 'h' in flags else activation))
            scopes[scope] += 1
    return rows


def mobilenet_v1_arg_scope(is_training=True, weight_decay=None, stddev=0.09, regularize_depthwise=False,
                           batch_norm_decay=None, batch_norm_epsilon=None, net=NETS['mobilenet_v1']):
    """slim's arg scope of v1; for what is None the value of the record `net` is used."""
    both = [slim.conv2d, slim.separable_conv2d]
    with layers.training(is_training=is_training):
        return layers.arg_scope(
            weight_decay, batch_norm_decay=batch_norm_decay, batch_norm_epsilon=batch_norm_epsilon,
            batch_norm_scale=True, activation_fn=tf.nn.relu6, net=net,
            regularized=both if regularize_depthwise else both[:1],
            layers=dict.fromkeys(both, layers.start(stddev)))


def training_scope(is_training=True, weight_decay=None, stddev=0.09, dropout_keep_prob=None, bn_decay=None,
                   net=NETS['mobilenet_v2']):
    """slim's arg scope of v2, v3 and EdgeTPU; for what is None the value of the record `net` is used."""
    keep_prob = 1 - net.dropout if dropout_keep_prob is None else dropout_keep_prob
    with slim.arg_scope([mobilenet], is_training=is_training, dropout_keep_prob=keep_prob):
        return mobilenet_v1_arg_scope(is_training, weight_decay, stddev, False, bn_decay, net=net)


#: v1 is rows and a head, as Inception is. slim's mobilenet_v1_base is `base`.
DESIGNS = {'mobilenet_v1': inception.Design(V1, layers.Head((7, 7)))}
base, build_v1 = [functools.partial(function, designs=DESIGNS, table='mobilenet_v1', min_depth=8)
                  for function in (inception.base, inception.build)]


def squeeze_excite(net):
    """Scales each depth by what a small net makes of the map's mean (Hu et al. 2017, arXiv:1709.01507)."""
    depth = net.shape.as_list()[3]
    with tf.variable_scope('squeeze_excite'), slim.arg_scope([slim.conv2d], normalizer_fn=None):
        gate = tf.reduce_mean(net, [1, 2], keepdims=True)
        gate = slim.conv2d(gate, divisible(depth / 4.0), 1, activation_fn=tf.nn.relu, scope='Conv')
        gate = slim.conv2d(gate, depth, 1, activation_fn=None, scope='Conv_1')
    return net * tf.nn.relu6(gate + 3) * 0.16667    # sic: not 1 / 6


def divisible(depth, divisor=8, smallest=8):
    """`depth` rounded to a multiple of `divisor`, at least `smallest`, at most a tenth below `depth`."""
    rounded = max(smallest, int(depth + divisor / 2.) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * depth else rounded


def bottleneck(net, row, end_points):
    """Applies an inverted bottleneck in the current variable scope. The maps inside are end points too."""
    inputs, inner = net, row.end_point + '/'
    kernel, fused = [row.kernel, row.kernel], 'fused' in row.flags
    if row.expand > 1:
        sizes = {'kernel_size': 1}
        if fused:
            sizes = {'kernel_size': kernel, 'stride': row.stride, 'rate': row.rate}
        depth = divisible(float(net.shape.as_list()[3] * row.expand))
        net = slim.conv2d(net, depth, scope='expand', **sizes)
        net = end_points[inner + 'expansion_output'] = tf.identity(net, 'expansion_output')
    if not fused:
        net = slim.separable_conv2d(net, None, kernel, 1, stride=row.stride, rate=row.rate, scope='depthwise')
        net = end_points[inner + 'depthwise_output'] = tf.identity(net, 'depthwise_output')
    if 'se' in row.flags:
        net = squeeze_excite(net)
    net = slim.conv2d(net, row.depth, 1, activation_fn=None, scope='project')
    if row.stride == 1 and row.depth == inputs.shape.as_list()[3] and 'new' not in row.flags:
        net += inputs
    net = end_points[inner + 'output'] = tf.identity(net, 'output')
    return net


def backbone(images, table='mobilenet_v2', final_endpoint=None, depth_multiplier=1.0,
             finegrain_classification_mode=False, min_depth=8, divisible_by=8, output_stride=None):
    """A table's backbone, in the current variable scope: images [batch, height, width, 3] -> map, end_points.

    depth_multiplier: scales all depths, to multiples of divisible_by and no less than min_depth; below 1 not
    the last one in finegrain_classification_mode. final_endpoint, output_stride: as for inception.base.
    """
    end_points, rows = {}, layers.dilate(parse(table), output_stride)

    def apply(net, row):
        if not (finegrain_classification_mode and row is rows[-1] and depth_multiplier < 1):
            row = row._replace(depth=divisible(row.depth * depth_multiplier, divisible_by, min_depth))
        both = [slim.conv2d, slim.separable_conv2d]
        with slim.arg_scope(both, padding='SAME', activation_fn=row.activation):
            if 'pool' in row.flags:
                return tf.reduce_mean(net, [1, 2], keepdims=True, name=row.scope)
            if row.expand is None:
                plain = {'normalizer_fn': None} if 'nbn' in row.flags else {}
                rate = row.rate if row.kernel > 1 else 1
                return slim.conv2d(net, row.depth, row.kernel, row.stride, rate=rate, scope=row.scope,
                                   **plain)
            with tf.variable_scope(row.scope):
                return bottleneck(net, row, end_points)
    return layers.apply_table(images, rows, apply, end_points, final_endpoint), end_points


@slim.add_arg_scope
def mobilenet(images, num_classes=1001, is_training=False, dropout_keep_prob=1 - NETS['mobilenet_v2'].dropout,
              prediction_fn=slim.softmax, scope='MobilenetV2', base_only=False, **base):
    """MobileNet v2 and later: images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    num_classes: None gives the pooled features. base_only: gives the backbone's map. base: of backbone.
    """
    with tf.variable_scope(scope, 'MobilenetV2', [images]), layers.training(is_training=is_training):
        net, end_points = backbone(tf.identity(images, 'input'), **base)
        if base_only:
            return net, end_points
        head = layers.Head(None, dropout='Dropout', output='output')
        return layers.classify(tf.identity(net, 'Logits/embedding'), num_classes, end_points, head,
                               dropout_keep_prob, prediction_fn, global_pool=True), end_points


mobilenet.default_image_size = NETS['mobilenet_v2'].image_size
