"""NASNet-A and PNASNet-5.

NASNet: Zoph et al. 2017, arXiv:1707.07012, figure 4. PNASNet: Liu et al. 2017, arXiv:1712.00559, figure 1.

A cell is five blocks and the states it concatenates. A block reads 'operation state + operation state', its
two results added. A state is h, the cell's input; p, the input of the cell before; or 0 to 4, the result of a
block. An operation is sep (two separable convolutions), avg or max (pooling) with its kernel, or id; those on
h and p do the striding.
"""
import collections
import functools
import sys

from slimtune.nets import layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)
nasnet = pnasnet = sys.modules[__name__]        # modules of slim's nets.nasnet

Cell = collections.namedtuple('Cell', 'blocks concatenated')
NORMAL = Cell(['sep5 h + sep3 p', 'sep5 p + sep3 p', 'avg3 h + id p', 'avg3 p + avg3 p', 'sep3 h + id h'],
              'p01234')     # sic: p although blocks use it
REDUCTION = Cell(['sep5 h + sep7 p', 'max3 h + sep7 p', 'avg3 h + sep5 p', 'id 1 + avg3 0',
                  'sep3 0 + max3 h'],
                 '1234')    # sic: 1 although block 3 uses it
PNASNET = Cell(['sep5 p + max3 p', 'sep7 h + max3 h', 'sep5 h + sep3 h', 'sep3 2 + max3 h', 'sep3 p + id h'],
               '01234')     # sic: 2 although block 3 uses it

#: cells: the ordinary ones, in three parts. reduction: the cell that begins a part, striding; None where the
#: part's first ordinary cell strides instead. depth: of the first part's blocks, doubled in the next.
#: imagenet: whether the stem strides, and two striding cells follow it. skip: whether the cell after a
#: reduction cell takes as p what the reduction cell took. drop_path: the share of images that the last cell's
#: branches drop at the end of `steps`.
Table = collections.namedtuple(
    'Table', 'normal reduction cells depth stem_depth imagenet skip drop_path steps')
TABLES = {
    'nasnet_cifar': Table(NORMAL, REDUCTION, 18, 32, 96, False, False, 0.4, 937500),
    'nasnet_mobile': Table(NORMAL, REDUCTION, 12, 44, 32, True, False, 0.0, 250000),
    'nasnet_large': Table(NORMAL, REDUCTION, 18, 168, 96, True, True, 0.3, 250000),
    'pnasnet_mobile': Table(PNASNET, None, 9, 54, 32, True, True, 0.0, 250000),
    'pnasnet_large': Table(PNASNET, None, 12, 216, 96, True, True, 0.4, 250000),
}

_WEIGHTS = {'weights_initializer': slim.variance_scaling_initializer(mode='FAN_OUT')}
#: slim's arg scope of all of them. Batch norm is a layer of its own, not the convolutions'.
nasnet_arg_scope = functools.partial(
    layers.arg_scope, use_batch_norm=False, activation_fn=None, batch_norm_scale=True,
    regularized=layers.BOTH + [slim.separable_conv2d], layers={
        slim.conv2d: dict(_WEIGHTS, biases_initializer=None),
        slim.separable_conv2d: dict(_WEIGHTS, biases_initializer=None),
        slim.fully_connected: dict(_WEIGHTS, activation_fn=None, scope='FC')})


def convolution(net, depth, scope, norm_scope, kernel=1, stride=1, padding='SAME'):
    """A convolution, then batch norm."""
    net = slim.conv2d(net, depth, kernel, stride, padding, scope=scope)
    return layers.batch_norm(net, scope=norm_scope)


def halve(net, depth):
    """Strides by two 1x1 convolutions, of every second pixel and of those right and below them."""
    halves = [net, tf.pad(net, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1:, 1:, :]]
    depths = [depth // 2, depth - depth // 2]
    halves = [slim.conv2d(slim.avg_pool2d(half, 1, 2), part, 1, scope=f'path{number}_conv')
              for number, (half, part) in enumerate(zip(halves, depths), 1)]
    return layers.batch_norm(tf.concat(halves, 3), scope='final_path_bn')


def operation(net, name, depth, stride, drop):
    """Applies 'sep5', 'max3', 'id' in the current variable scope. drop: what follows all but id."""
    kind, kernel, same_depth = name[:3], name[3:], net.shape.as_list()[3] == depth
    if kind == 'id':
        if same_depth and stride == 1:
            return net
        return convolution(tf.nn.relu(net), depth, '1x1', 'bn_1', stride=stride)
    if kind == 'sep':
        for number in (1, 2):
            scope = f'{kernel}x{kernel}_{number}'
            net = slim.separable_conv2d(tf.nn.relu(net), depth, int(kernel), 1,
                                        stride=stride if number == 1 else 1, scope='separable_' + scope)
            net = layers.batch_norm(net, scope='bn_sep_' + scope)
        return drop(net)
    net = {'avg': slim.avg_pool2d, 'max': slim.max_pool2d}[kind](net, int(kernel), stride, 'SAME')
    return drop(net if same_depth else convolution(net, depth, '1x1', 'bn_1'))


def cell(net, previous, table, depth, stride, drop):
    """Applies a cell in the current variable scope. net, previous: maps; the first cell has no previous."""
    states = {'p': net if previous is None else previous}
    if previous is not None and previous.shape.as_list()[2] != net.shape.as_list()[2]:
        states['p'] = halve(tf.nn.relu(previous), depth)
    elif previous is not None and previous.shape.as_list()[3] != depth:
        states['p'] = convolution(tf.nn.relu(previous), depth, 'prev_1x1', 'prev_bn')
    states['h'] = convolution(tf.nn.relu(net), depth, '1x1', 'beginning_bn')
    for number, block in enumerate(table.blocks):
        sides = []
        with tf.variable_scope(f'comb_iter_{number}'):
            for side, (name, state) in zip(('left', 'right'), (part.split() for part in block.split(' + '))):
                with tf.variable_scope(side):
                    sides.append(operation(states[state], name, depth, stride if state in 'hp' else 1, drop))
            with tf.variable_scope('combine'):
                states[str(number)] = sides[0] + sides[1]
    with tf.variable_scope('cell_output'):
        if 'p' in table.concatenated and states['p'].shape.as_list()[3] != depth:
            with tf.variable_scope('reduction_1'):
                states['p'] = convolution(states['p'], depth, 'path_conv', 'path_bn')
        return tf.concat([states[state] for state in table.concatenated], 3)


def plan(table):
    """The cells in order: (scope, cell, share of the table's depth, stride, which output back is its p)."""
    reduction = table.reduction or table.normal
    if table.imagenet:
        yield 'cell_stem_0', reduction, 0.25, 2, 2
        yield 'cell_stem_1', reduction, 0.5, 2, 2
    for number in range(table.cells):
        part, within = divmod(number, table.cells // 3)
        begins = part and not within
        if begins and table.reduction:
            yield f'reduction_cell_{part - 1}', reduction, 2 ** part, 2, 2
            yield f'cell_{number}', table.normal, 2 ** part, 1, 3 if table.skip else 2
        else:
            yield f'cell_{number}', table.normal, 2 ** part, 2 if begins else 1, 2


def auxiliary_logits(net, num_classes):
    """A second head, on the last map of the second part, which training only has."""
    with tf.variable_scope('aux_logits'):
        net = slim.avg_pool2d(tf.nn.relu(net), 5, 3, 'VALID')
        net = tf.nn.relu(convolution(net, 128, 'proj', 'aux_bn0'))
        net = tf.nn.relu(convolution(net, 768, 'Conv', 'aux_bn1', net.shape.as_list()[1:3], padding='VALID'))
        return slim.fully_connected(slim.flatten(net), num_classes)


def build(images, num_classes=1001, is_training=True, table='nasnet_mobile', final_endpoint=None,
          use_aux_head=True, scope=None):
    """NASNet: images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    num_classes: None gives the pooled features [batch, depth]. final_endpoint: returns what this end point is
    instead. use_aux_head: whether end_points have AuxLogits in training. scope: around all; slim's
    checkpoints have none.
    """
    end_points, keep_prob, table = {}, 1.0 - (NETS[table].dropout or 0.0), TABLES[table]
    cells, auxiliary = list(plan(table)), 2 * table.cells // 3 - 1
    with tf.variable_scope(scope or tf.get_variable_scope()), layers.training(is_training=is_training):
        if table.imagenet:
            net = convolution(images, table.stem_depth, 'conv0', 'conv0_bn', 3, 2, 'VALID')
        else:
            net = end_points['Stem'] = convolution(images, table.stem_depth, 'l1_stem_3x3', 'l1_stem_bn', 3)
        outputs = [None, net]
        for number, (name, blocks, width, stride, back) in enumerate(cells, 1):
            if final_endpoint in end_points:
                return end_points[final_endpoint], end_points
            drop = tf.identity
            if is_training and table.drop_path:     # ScheduledDropPath: more in later cells and later steps
                step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
                progress = tf.minimum(1.0, step / table.steps)
                drop = functools.partial(
                    layers.drop_path, keep_prob=1.0 - progress * table.drop_path * number / len(cells))
            with tf.variable_scope(name):
                net = cell(net, outputs[-back], blocks, int(table.depth * width), stride, drop)
            outputs.append(net)
            if name != 'cell_stem_0':
                end_points['Stem' if name == 'cell_stem_1' else name.title()] = net
            if name == f'cell_{auxiliary}' and use_aux_head and num_classes and is_training:
                with tf.variable_scope(f'aux_{auxiliary}'):
                    end_points['AuxLogits'] = auxiliary_logits(net, num_classes)
        with tf.variable_scope('final_layer'):
            net = end_points['global_pool'] = tf.reduce_mean(tf.nn.relu(net), [1, 2])
            if num_classes:
                net = layers.dropout(net, keep_prob, scope='dropout')
                net = end_points['Logits'] = slim.fully_connected(net, num_classes)
                end_points['Predictions'] = tf.nn.softmax(net, name='predictions')
    if final_endpoint and final_endpoint not in end_points:
        raise ValueError(f"no end point {final_endpoint!r}: there are {', '.join(end_points)}")
    return end_points.get(final_endpoint, net), end_points
