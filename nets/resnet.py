"""ResNet v1 and v2, of 50, 101, 152 and 200 layers.

v1: He et al. 2015, arXiv:1512.03385, table 1. v2: He et al. 2016, arXiv:1603.05027, figure 4e and table 6.
All are four blocks of bottleneck units; UNITS says how many. slim strides in a block's last unit, the papers
in the next block's first, and in the 3x3 instead of the 1x1 before it.     # sic
"""
import functools

from slimtune.nets import layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)

#: layers: units of the four blocks
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
TABLES = {f'resnet_v{version}_{size}': (version, units)
          for version in (1, 2) for size, units in UNITS.items()}
DEPTHS = (64, 128, 256, 512)        # of a block's narrow convolutions; its output is four times as deep
STRIDES = (2, 2, 2, 1)

#: slim's defaults of both versions.
resnet_arg_scope = functools.partial(
    layers.arg_scope, net=NETS['resnet_v1_50'], regularized=[slim.conv2d], batch_norm_scale=True, layers={
        slim.conv2d: {'weights_initializer': slim.variance_scaling_initializer()},
        slim.max_pool2d: {'padding': 'SAME'}})


def _conv2d_same(net, depth, kernel, stride, rate=1, **conv2d):
    """A convolution whose padding, unlike SAME's, does not depend on whether the map's sides are even."""
    padding = 'SAME'
    if stride > 1:
        total, padding = (kernel - 1) * rate, 'VALID'
        sides = [total // 2, total - total // 2]
        net = tf.pad(net, [[0, 0], sides, sides, [0, 0]])
    return slim.conv2d(net, depth, kernel, stride, padding, rate=rate, **conv2d)


def _unit(net, depth, stride, rate, version, end_points):
    """A bottleneck unit. v2 normalizes what comes in instead of what goes out: its sum stays linear."""
    linear = {'activation_fn': None} if version == 1 else layers.LINEAR
    with tf.variable_scope(f'bottleneck_v{version}', values=[net]) as own:
        inputs = net if version == 1 else layers.batch_norm(net, activation_fn=tf.nn.relu, scope='preact')
        if net.shape.as_list()[-1] == 4 * depth:
            shortcut = net if stride == 1 else slim.max_pool2d(net, [1, 1], stride, scope='shortcut')
        else:
            shortcut = slim.conv2d(inputs, 4 * depth, [1, 1], stride, scope='shortcut', **linear)
            end_points[own.name + '/shortcut'] = shortcut
        residual = end_points[own.name + '/conv1'] = slim.conv2d(inputs, depth, [1, 1], scope='conv1')
        residual = _conv2d_same(residual, depth, 3, stride, rate, scope='conv2')
        end_points[own.name + '/conv2'] = residual
        residual = slim.conv2d(residual, 4 * depth, [1, 1], scope='conv3', **linear)
        end_points[own.name + '/conv3'] = residual
        net = end_points[own.name] = tf.nn.relu(shortcut + residual) if version == 1 else shortcut + residual
    return net


def build(images, num_classes=None, is_training=True, global_pool=True, output_stride=None,
          spatial_squeeze=True, min_base_depth=8, depth_multiplier=1, reuse=None, scope=None, table=None):
    """images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    Features (num_classes None) are the pooled map [batch, 1, 1, 2048], or the map without global_pool.
    output_stride: dilate instead of making the map smaller than a 4th, 8th, 16th or 32nd of the image;
    ValueError for another.
    """
    if output_stride is not None and output_stride % 4:
        raise ValueError(f'output_stride {output_stride} is no multiple of 4')
    version, units = TABLES[table]
    end_points, root = {}, {} if version == 1 else layers.LINEAR
    strides = [stride if unit == count else 1
               for count, stride in zip(units, STRIDES) for unit in range(1, count + 1)]
    steps = iter(layers.dilated(strides, output_stride and output_stride // 4))     # the root reaches 4
    with tf.variable_scope(scope, values=[images], reuse=reuse) as own, \
            layers.training(is_training=is_training):
        net = end_points[own.name + '/conv1'] = _conv2d_same(images, 64, 7, 2, scope='conv1', **root)
        net = slim.max_pool2d(net, [3, 3], 2, scope='pool1')
        for block, (count, depth) in enumerate(zip(units, DEPTHS), 1):
            depth = max(int(depth * depth_multiplier), min_base_depth)
            with tf.variable_scope(f'block{block}') as inside:
                for unit in range(1, count + 1):
                    with tf.variable_scope(f'unit_{unit}'):
                        net = _unit(net, depth, *next(steps), version=version, end_points=end_points)
                end_points[inside.name] = net
        if version == 2:
            net = layers.batch_norm(net, activation_fn=tf.nn.relu, scope='postnorm')
        if global_pool:
            net = end_points['global_pool'] = tf.reduce_mean(net, [1, 2], keepdims=True, name='pool5')
        if not num_classes:
            return net, end_points
        net = layers.class_scores(net, num_classes, 'logits 1x1', spatial_squeeze=False)
        end_points[own.name + '/logits'] = net
        if spatial_squeeze:
            net = end_points[own.name + '/spatial_squeeze'] = tf.squeeze(net, [1, 2], name='SpatialSqueeze')
        end_points['predictions'] = slim.softmax(net, scope='predictions')
    return net, end_points
