"""Inception v1 to v4 and Inception-ResNet-v2.

v1: Szegedy et al. 2014, arXiv:1409.4842, table 1, with batch norm.
v2: Ioffe, Szegedy 2015, arXiv:1502.03167, figure 5. v3: Szegedy et al. 2015, arXiv:1512.00567, table 1.
v4, ResNet-v2: Szegedy et al. 2016, arXiv:1602.07261, figures 3 to 19.

A row reads 'scope:depth kernel /stride v ~stddev' (layers.row); the kernel is the one the checkpoints name in
the scope, and stands in the row only where that name is wrong. A block is (scope, branches), a branch a list
of rows, and a tuple of rows in it splits it. All that a block splits is concatenated by depth. A Residual
adds its block to what came in.
"""
import collections
import functools

from slimtune.nets import layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)

#: A row of v1's table 1: depths of #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5 (here 3x3: sic) and pool proj.
MIXED_V1 = lambda scope, single, reduce_3x3, conv_3x3, reduce_5x5, conv_5x5, pool, last='Conv2d_0b_3x3': (
    scope, [
    [f'Conv2d_0a_1x1:{single}'],
    [f'Conv2d_0a_1x1:{reduce_3x3}', f'Conv2d_0b_3x3:{conv_3x3}'],
    [f'Conv2d_0a_1x1:{reduce_5x5}', f'{last}:{conv_5x5}'],
    ['MaxPool_0a_3x3', f'Conv2d_0b_1x1:{pool}']])
#: v1's table 1, but for what Mixed_5b calls its second 3x3.
V1 = lambda last_5b='Conv2d_0b_3x3': [
    'Conv2d_1a_7x7:64 /2', 'MaxPool_2a_3x3 /2', 'Conv2d_2b_1x1:64', 'Conv2d_2c_3x3:192', 'MaxPool_3a_3x3 /2',
    MIXED_V1('Mixed_3b', 64, 96, 128, 16, 32, 32),
    MIXED_V1('Mixed_3c', 128, 128, 192, 32, 96, 64), 'MaxPool_4a_3x3 /2',
    MIXED_V1('Mixed_4b', 192, 96, 208, 16, 48, 64),
    MIXED_V1('Mixed_4c', 160, 112, 224, 24, 64, 64),
    MIXED_V1('Mixed_4d', 128, 128, 256, 24, 64, 64),
    MIXED_V1('Mixed_4e', 112, 144, 288, 32, 64, 64),
    MIXED_V1('Mixed_4f', 256, 160, 320, 32, 128, 128), 'MaxPool_5a_2x2 /2',
    MIXED_V1('Mixed_5b', 256, 160, 320, 32, 128, 128, last_5b),
    MIXED_V1('Mixed_5c', 384, 192, 384, 48, 128, 128),
]

#: A row of v2's figure 5: #1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool proj; the second one
#: halves the size.
MIXED_V2 = lambda scope, single, reduce_3x3, conv_3x3, reduce_double, double, pool, pooling='AvgPool': (
    scope, [
    [f'Conv2d_0a_1x1:{single}'],
    [f'Conv2d_0a_1x1:{reduce_3x3} ~.09', f'Conv2d_0b_3x3:{conv_3x3}'],
    [f'Conv2d_0a_1x1:{reduce_double} ~.09', f'Conv2d_0b_3x3:{double}', f'Conv2d_0c_3x3:{double}'],
    [pooling + '_0a_3x3', f'Conv2d_0b_1x1:{pool} ~.1']])
REDUCTION_V2 = lambda scope, reduce_3x3, conv_3x3, reduce_double, double: (scope, [
    [f'Conv2d_0a_1x1:{reduce_3x3} ~.09', f'Conv2d_1a_3x3:{conv_3x3} /2'],
    [f'Conv2d_0a_1x1:{reduce_double} ~.09', f'Conv2d_0b_3x3:{double}', f'Conv2d_1a_3x3:{double} /2'],
    ['MaxPool_1a_3x3 /2']])
V2 = ['Conv2d_1a_7x7:64 /2 x8 ~1.0', 'MaxPool_2a_3x3 /2', 'Conv2d_2b_1x1:64 ~.1', 'Conv2d_2c_3x3:192',
      'MaxPool_3a_3x3 /2',
      MIXED_V2('Mixed_3b', 64, 64, 64, 64, 96, 32),
      MIXED_V2('Mixed_3c', 64, 64, 96, 64, 96, 64),
      REDUCTION_V2('Mixed_4a', 128, 160, 64, 96),
      MIXED_V2('Mixed_4b', 224, 64, 96, 96, 128, 128),
      MIXED_V2('Mixed_4c', 192, 96, 128, 96, 128, 128),
      MIXED_V2('Mixed_4d', 160, 128, 160, 128, 160, 96),
      MIXED_V2('Mixed_4e', 96, 128, 192, 160, 192, 96),
      REDUCTION_V2('Mixed_5a', 128, 192, 192, 256),
      MIXED_V2('Mixed_5b', 352, 192, 320, 160, 224, 128),
      MIXED_V2('Mixed_5c', 352, 192, 320, 192, 224, 128, pooling='MaxPool')]

#: v3's figures 5, 6 (n = 7) and 7, for maps of 35x35, 17x17 and 8x8.
MIXED_35 = lambda scope, pool, reduce_5x5='Conv2d_0a_1x1', conv_5x5='Conv2d_0b_5x5', one='Conv2d_0a_1x1:64': (
    scope, [
    [one],
    [f'{reduce_5x5}:48', f'{conv_5x5}:64'],
    ['Conv2d_0a_1x1:64', 'Conv2d_0b_3x3:96', 'Conv2d_0c_3x3:96'],
    ['AvgPool_0a_3x3', f'Conv2d_0b_1x1:{pool}']])
MIXED_17 = lambda scope, depth: (scope, [
    ['Conv2d_0a_1x1:192'],
    [f'Conv2d_0a_1x1:{depth}', f'Conv2d_0b_1x7:{depth}', 'Conv2d_0c_7x1:192'],
    [f'Conv2d_0a_1x1:{depth}', f'Conv2d_0b_7x1:{depth}', f'Conv2d_0c_1x7:{depth}',
     f'Conv2d_0d_7x1:{depth}', 'Conv2d_0e_1x7:192'],
    ['AvgPool_0a_3x3', 'Conv2d_0b_1x1:192']])
MIXED_8 = lambda scope, conv_3x1: (scope, [
    ['Conv2d_0a_1x1:320'],
    ['Conv2d_0a_1x1:384', ('Conv2d_0b_1x3:384', f'{conv_3x1}:384')],
    ['Conv2d_0a_1x1:448', 'Conv2d_0b_3x3:384', ('Conv2d_0c_1x3:384', 'Conv2d_0d_3x1:384')],
    ['AvgPool_0a_3x3', 'Conv2d_0b_1x1:192']])
V3 = ['Conv2d_1a_3x3:32 /2 v', 'Conv2d_2a_3x3:32 v', 'Conv2d_2b_3x3:64', 'MaxPool_3a_3x3 /2 v',
      'Conv2d_3b_1x1:80 v', 'Conv2d_4a_3x3:192 v', 'MaxPool_5a_3x3 /2 v',
      MIXED_35('Mixed_5b', 32),
      MIXED_35('Mixed_5c', 64, 'Conv2d_0b_1x1', 'Conv_1_0c_5x5'),       # sic
      MIXED_35('Mixed_5d', 64),
      ('Mixed_6a', [['Conv2d_1a_1x1:384 3x3 /2 v'],                     # sic
                    ['Conv2d_0a_1x1:64', 'Conv2d_0b_3x3:96', 'Conv2d_1a_1x1:96 3x3 /2 v'],      # sic
                    ['MaxPool_1a_3x3 /2 v']]),
      MIXED_17('Mixed_6b', 128), MIXED_17('Mixed_6c', 160), MIXED_17('Mixed_6d', 160),
      MIXED_17('Mixed_6e', 192),
      ('Mixed_7a', [['Conv2d_0a_1x1:192', 'Conv2d_1a_3x3:320 /2 v'],
                    ['Conv2d_0a_1x1:192', 'Conv2d_0b_1x7:192', 'Conv2d_0c_7x1:192', 'Conv2d_1a_3x3:192 /2 v'],
                    ['MaxPool_1a_3x3 /2 v']]),
      MIXED_8('Mixed_7b', 'Conv2d_0b_3x1'),                             # sic
      MIXED_8('Mixed_7c', 'Conv2d_0c_3x1')]

#: v4's figures 4 to 6.
A_V4 = [['Conv2d_0a_1x1:96'],
        ['Conv2d_0a_1x1:64', 'Conv2d_0b_3x3:96'],
        ['Conv2d_0a_1x1:64', 'Conv2d_0b_3x3:96', 'Conv2d_0c_3x3:96'],
        ['AvgPool_0a_3x3', 'Conv2d_0b_1x1:96']]
B_V4 = [['Conv2d_0a_1x1:384'],
        ['Conv2d_0a_1x1:192', 'Conv2d_0b_1x7:224', 'Conv2d_0c_7x1:256'],
        ['Conv2d_0a_1x1:192', 'Conv2d_0b_7x1:192', 'Conv2d_0c_1x7:224', 'Conv2d_0d_7x1:224',
         'Conv2d_0e_1x7:256'],
        ['AvgPool_0a_3x3', 'Conv2d_0b_1x1:128']]
C_V4 = [['Conv2d_0a_1x1:256'],
        ['Conv2d_0a_1x1:384', ('Conv2d_0b_1x3:256', 'Conv2d_0c_3x1:256')],
        ['Conv2d_0a_1x1:384', 'Conv2d_0b_3x1:448', 'Conv2d_0c_1x3:512',
         ('Conv2d_0d_1x3:256', 'Conv2d_0e_3x1:256')],
        ['AvgPool_0a_3x3', 'Conv2d_0b_1x1:256']]
V4 = ['Conv2d_1a_3x3:32 /2 v', 'Conv2d_2a_3x3:32 v', 'Conv2d_2b_3x3:64',
      ('Mixed_3a', [['MaxPool_0a_3x3 /2 v'], ['Conv2d_0a_3x3:96 /2 v']]),
      ('Mixed_4a', [['Conv2d_0a_1x1:64', 'Conv2d_1a_3x3:96 v'],
                    ['Conv2d_0a_1x1:64', 'Conv2d_0b_1x7:64', 'Conv2d_0c_7x1:64', 'Conv2d_1a_3x3:96 v']]),
      ('Mixed_5a', [['Conv2d_1a_3x3:192 /2 v'], ['MaxPool_1a_3x3 /2 v']]),
      ('Mixed_5b', A_V4), ('Mixed_5c', A_V4), ('Mixed_5d', A_V4), ('Mixed_5e', A_V4),
      ('Mixed_6a', [['Conv2d_1a_3x3:384 /2 v'],
                    ['Conv2d_0a_1x1:192', 'Conv2d_0b_3x3:224', 'Conv2d_1a_3x3:256 /2 v'],
                    ['MaxPool_1a_3x3 /2 v']]),
      ('Mixed_6b', B_V4), ('Mixed_6c', B_V4), ('Mixed_6d', B_V4), ('Mixed_6e', B_V4), ('Mixed_6f', B_V4),
      ('Mixed_6g', B_V4), ('Mixed_6h', B_V4),
      ('Mixed_7a', [['Conv2d_0a_1x1:192', 'Conv2d_1a_3x3:192 /2 v'],
                    ['Conv2d_0a_1x1:256', 'Conv2d_0b_1x7:256', 'Conv2d_0c_7x1:320', 'Conv2d_1a_3x3:320 /2 v'],
                    ['MaxPool_1a_3x3 /2 v']]),
      ('Mixed_7b', C_V4), ('Mixed_7c', C_V4), ('Mixed_7d', C_V4)]

#: Blocks alike: input + scale * block, made as deep as the input, through ReLU unless it is linear.
Residual = collections.namedtuple('Residual', 'end_point scopes scale linear branches')
#: ResNet-v2's figures 16, 17 and 19, without the 1x1 they end in.
BLOCK_35 = [['Conv2d_1x1:32'],
            ['Conv2d_0a_1x1:32', 'Conv2d_0b_3x3:32'],
            ['Conv2d_0a_1x1:32', 'Conv2d_0b_3x3:48', 'Conv2d_0c_3x3:64']]
BLOCK_17 = [['Conv2d_1x1:192'], ['Conv2d_0a_1x1:128', 'Conv2d_0b_1x7:160', 'Conv2d_0c_7x1:192']]
BLOCK_8 = [['Conv2d_1x1:192'], ['Conv2d_0a_1x1:192', 'Conv2d_0b_1x3:224', 'Conv2d_0c_3x1:256']]
RESNET_V2 = V3[:7] + [
    MIXED_35('Mixed_5b', 64, one='Conv2d_1x1:96'),
    Residual(None, [f'Repeat/block35_{unit}' for unit in range(1, 11)], 0.17, False, BLOCK_35),
    ('Mixed_6a', [['Conv2d_1a_3x3:384 /2 v'],
                  ['Conv2d_0a_1x1:256', 'Conv2d_0b_3x3:256', 'Conv2d_1a_3x3:384 /2 v'],
                  ['MaxPool_1a_3x3 /2 v']]),
    Residual('PreAuxLogits', [f'Repeat_1/block17_{unit}' for unit in range(1, 21)], 0.10, False, BLOCK_17),
    ('Mixed_7a', [['Conv2d_0a_1x1:256', 'Conv2d_1a_3x3:384 /2 v'],
                  ['Conv2d_0a_1x1:256', 'Conv2d_1a_3x3:288 /2 v'],
                  ['Conv2d_0a_1x1:256', 'Conv2d_0b_3x3:288', 'Conv2d_1a_3x3:320 /2 v'],
                  ['MaxPool_1a_3x3 /2 v']]),
    Residual(None, [f'Repeat_2/block8_{unit}' for unit in range(1, 10)], 0.20, False, BLOCK_8),
    Residual(None, ['Block8'], 1.0, True, BLOCK_8),
    'Conv2d_7b_1x1:1536']

#: The auxiliary head: the end point it begins from, its pooling's scope, the convolution of what is then the
#: map (size: of its kernel, None for all of the map) and the logits.
Auxiliary = collections.namedtuple('Auxiliary', 'begins pool size last logits')
#: A net of rows: its table, its layers.Head, its Auxiliary, and how a row is applied.
Design = collections.namedtuple('Design', 'table head auxiliary apply_row', defaults=(None, layers.apply_row))
DESIGNS = {
    'inception_v1': Design(
        V1(last_5b='Conv2d_0a_3x3'),    # sic
        layers.Head((7, 7), 'AvgPool_0a_7x7', 'AvgPool_0a_7x7', 'Dropout_0b', None, 'Conv2d_0c_1x1',
                    'Logits/Predictions'),
        apply_row=functools.partial(layers.apply_row, stddev=0.01)),
    'inception_v2': Design(V2, layers.Head((7, 7), pre_logits='PreLogits')),
    'inception_v3': Design(
        V3, layers.Head((8, 8), pre_logits='PreLogits'),
        Auxiliary('Mixed_6e', 'AvgPool_1a_5x5', (5, 5), 'Conv2d_2a_{}x{}:768 v ~.01', 'Conv2d_2b_1x1 ~.001')),
    'inception_v4': Design(
        V4, layers.Head(None, 'AvgPool_1a', 'global_pool', 'Dropout_1b', 'PreLogitsFlatten', 'Logits',
                        'Logits/Predictions'),
        Auxiliary('Mixed_6h', 'AvgPool_1a_5x5', None, 'Conv2d_2a:768 {}x{} v', 'Aux_logits')),
    'inception_resnet_v2': Design(
        RESNET_V2, layers.Head(None, 'AvgPool_1a_8x8', 'global_pool', 'Dropout', 'PreLogitsFlatten', 'Logits',
                               'Logits/Predictions'),
        Auxiliary('PreAuxLogits', 'Conv2d_1a_3x3', None, 'Conv2d_2a_5x5:768 {}x{} v', 'Logits')),   # sic
}

#: slim's defaults of v1 to v4, and those of Inception-ResNet-v2, which regularizes biases too.
inception_arg_scope = functools.partial(
    layers.arg_scope, net=NETS['inception_v3'], regularized=layers.BOTH,
    layers={slim.conv2d: {'weights_initializer': slim.variance_scaling_initializer()}})
inception_resnet_v2_arg_scope = functools.partial(
    layers.arg_scope, net=NETS['inception_resnet_v2'], regularized=layers.BOTH, parts=['weights', 'biases'],
    layers={slim.conv2d: {}})


def _branches(net, branches, apply):
    """The output of a block."""
    outputs = []
    for index, rows in enumerate(branches):
        with tf.variable_scope(f'Branch_{index}'):
            output = net
            for row in rows:
                split = [apply(output, text) for text in (row if isinstance(row, tuple) else [row])]
                output = tf.concat(split, -1) if len(split) > 1 else split[0]
        outputs.append(output)
    return tf.concat(outputs, -1)


def _residual(net, entry, apply):
    """The output of the blocks of a Residual."""
    for scope in entry.scopes:
        with tf.variable_scope(scope):
            mixed = _branches(net, entry.branches, apply)
            mixed = slim.conv2d(mixed, net.shape.as_list()[-1], [1, 1], scope='Conv2d_1x1', **layers.LINEAR)
            net += entry.scale * mixed
            net = net if entry.linear else tf.nn.relu(net)
    return net


def _apply(net, entry, apply_row):
    """Applies an entry of a table, its rows by apply_row(net, row)."""
    if isinstance(entry, (str, layers.Row)):
        return apply_row(net, entry)
    if isinstance(entry, Residual):
        return _residual(net, entry, apply_row)
    scope, branches = entry
    with tf.variable_scope(scope):
        return _branches(net, branches, apply_row)


def base(images, final_endpoint=None, min_depth=16, depth_multiplier=1.0, scope=None, reuse=None,
         output_stride=None, table=None, designs=DESIGNS):
    """The backbone: images [batch, height, width, 3] -> the map of final_endpoint, end_points.

    depth_multiplier: of all depths, to no less than min_depth. output_stride: from this reduction of the
    image on, rows dilate instead of striding, where a table is of nothing but rows; ValueError for one the
    net never has.
    """
    design, end_points = designs[table], {}
    rows = layers.dilate(design.table, output_stride) if output_stride else design.table
    apply = functools.partial(_apply, apply_row=_row_applier(design, depth_multiplier, min_depth))
    with tf.variable_scope(scope, values=[images], reuse=reuse):
        net = layers.apply_table(images, rows, apply, end_points, final_endpoint)
    return net, end_points


def _row_applier(design, depth_multiplier, min_depth):
    """A function that applies rows, their depths scaled."""
    def deepen(depth):
        return max(int(depth * depth_multiplier), min_depth)
    return functools.partial(design.apply_row, deepen=deepen)


def _auxiliary_logits(net, num_classes, auxiliary, apply_row, spatial_squeeze, global_pool):
    """The logits of the auxiliary head."""
    with tf.variable_scope('AuxLogits'):
        net = apply_row(slim.avg_pool2d(net, [5, 5], stride=3, scope=auxiliary.pool), 'Conv2d_1b_1x1:128')
        net = apply_row(net, auxiliary.last.format(*layers.kernel_within(net, auxiliary.size)))
        net = tf.reduce_mean(net, [1, 2], keepdims=True) if global_pool else net
        return layers.class_scores(net, num_classes, auxiliary.logits, spatial_squeeze)


def build(images, num_classes=1000, is_training=True, dropout_keep_prob=None, min_depth=16,
          depth_multiplier=1.0, prediction_fn=slim.softmax, spatial_squeeze=True, reuse=None,
          create_aux_logits=True, scope=None, global_pool=False, output_stride=None, table=None,
          designs=DESIGNS):
    """images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    Features (num_classes None) are the pooled map, [batch, 1, 1, depth]. dropout_keep_prob: None is as the
    record has it. global_pool: average all of the map, not with the head's kernel. spatial_squeeze: no map of
    logits. The others: base's.
    """
    design = designs[table]
    keep_prob = 1 - NETS[table].dropout if dropout_keep_prob is None else dropout_keep_prob
    with tf.variable_scope(scope, values=[images], reuse=reuse) as own, \
            layers.training(is_training=is_training):
        net, end_points = base(images, None, min_depth, depth_multiplier, own, None, output_stride, table,
                               designs)
        if create_aux_logits and num_classes and design.auxiliary:
            end_points['AuxLogits'] = _auxiliary_logits(
                end_points[design.auxiliary.begins], num_classes, design.auxiliary,
                _row_applier(design, depth_multiplier, min_depth), spatial_squeeze, global_pool)
        return layers.classify(net, num_classes, end_points, design.head, keep_prob, prediction_fn,
                               spatial_squeeze, global_pool), end_points
