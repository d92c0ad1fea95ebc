"""The nets without batch norm: LeNet, CifarNet, AlexNet v2, OverFeat and VGG.

A row reads 'scope:depth kernel /stride v', v for VALID padding. In AlexNet, OverFeat and VGG the fully
connected layers are convolutions: fc6 has the kernel of the map it ends, the others 1x1.

LeNet: LeCun et al. 1998. CifarNet: Krizhevsky's cuda-convnet. AlexNet v2: Krizhevsky 2014, arXiv:1404.5997.
OverFeat: Sermanet et al. 2013, arXiv:1312.6229, fast model. VGG: Simonyan, Zisserman 2014, arXiv:1409.1556,
table 1.
"""
import functools

from slimtune.nets import layers
from slimtune.nets.nets_factory import NETS, slims_names_of
from slimtune.runtime import slim, tf

__getattr__ = slims_names_of(__name__)


def vgg(*units):
    """VGG's rows, with units[i] 3x3 convolutions in its block i + 1."""
    rows = []
    for block, (count, depth) in enumerate(zip(units, (64, 128, 256, 512, 512)), 1):
        rows += [f'conv{block}/conv{block}_{unit + 1}:{depth} 3x3' for unit in range(count)]
        rows += [f'pool{block} 2x2 /2 v']
    return rows, ['fc6:4096 7x7 v', 'dropout6', 'fc7:4096 1x1']


#: net: (rows; for LeNet and CifarNet the rows that features leave out, for the others those of the last part)
TABLES = {
    'lenet': (['conv1:32 5x5', 'pool1 2x2 /2 v', 'conv2:64 5x5', 'pool2 2x2 /2 v', 'Flatten', 'fc3:1024'],
              ['dropout3']),
    'cifarnet': (['conv1:64 5x5', 'pool1 2x2 /2 v', 'norm1', 'conv2:64 5x5', 'norm2', 'pool2 2x2 /2 v',
                  'Flatten', 'fc3:384', 'dropout3', 'fc4:192'],
                 []),
    'alexnet_v2': (['conv1:64 11x11 /4 v', 'pool1 3x3 /2 v', 'conv2:192 5x5', 'pool2 3x3 /2 v',
                    'conv3:384 3x3', 'conv4:384 3x3', 'conv5:256 3x3', 'pool5 3x3 /2 v'],
                   ['fc6:4096 5x5 v', 'dropout6', 'fc7:4096 1x1']),
    'overfeat': (['conv1:64 11x11 /4 v', 'pool1 2x2 /2 v', 'conv2:256 5x5 v', 'pool2 2x2 /2 v',
                  'conv3:512 3x3', 'conv4:1024 3x3', 'conv5:1024 3x3', 'pool5 2x2 /2 v'],
                 ['fc6:3072 6x6 v', 'dropout6', 'fc7:4096 1x1']),
    'vgg_a': vgg(1, 1, 2, 2, 2),
    'vgg_16': vgg(2, 2, 3, 3, 3),
    'vgg_19': vgg(2, 2, 4, 4, 4),
}

#: How the last layers start, where not as the others.
FC = dict.fromkeys(['alexnet_v2', 'overfeat'],
                   dict(layers.start(0.005), biases_initializer=tf.constant_initializer(0.1)))
#: LeNet's and CifarNet's scopes of logits and probabilities, and arguments of the logits' layer.
SMALL_HEADS = {'lenet': ('fc4', 'Predictions', {}),      # sic: probabilities outside the net's scope
               'cifarnet': ('logits', 'CifarNet/Predictions', dict(
                   layers.start(1 / 192.0), biases_initializer=tf.zeros_initializer(),
                   weights_regularizer=None))}

#: slim's defaults: L2 on all weights but those of CifarNet's convolutions.
_arg_scope = functools.partial(layers.arg_scope, regularized=layers.BOTH)
lenet_arg_scope = functools.partial(
    _arg_scope, net=NETS['lenet'], layers=dict.fromkeys(layers.BOTH, layers.start(0.1)))
cifarnet_arg_scope = functools.partial(
    layers.arg_scope, net=NETS['cifarnet'], regularized=[slim.fully_connected], layers={
        slim.conv2d: layers.start(0.05),
        slim.fully_connected: dict(layers.start(0.04), biases_initializer=tf.constant_initializer(0.1))})
alexnet_v2_arg_scope = functools.partial(_arg_scope, net=NETS['alexnet_v2'], layers=dict.fromkeys(
    layers.BOTH, {'biases_initializer': tf.constant_initializer(0.1)}))
vgg_arg_scope = functools.partial(_arg_scope, net=NETS['vgg_16'])


def _apply(net, text, keep_prob):
    """Applies a row of this module's tables: beside convolutions and pooling, fc, norm and dropout."""
    row = layers.row(text)
    if row.scope.startswith('dropout'):
        return layers.dropout(net, keep_prob, scope=row.scope)
    if row.scope.startswith('norm'):
        return tf.nn.lrn(net, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name=row.scope)
    if row.scope == 'Flatten':
        return slim.flatten(net)
    if row.scope.startswith('fc') and not row.kernel:
        return slim.fully_connected(net, row.depth, scope=row.scope)
    return layers.apply_row(net, text)


def _backbone(net, rows, keep_prob, end_points, prefix=''):
    """Applies all rows; dropout and norm are no end points."""
    entries = [(None if text.startswith(('dropout', 'norm')) else prefix + layers.row(text).scope, text)
               for text in rows]
    return layers.apply_table(net, entries, lambda net, entry: _apply(net, entry[1], keep_prob), end_points)


def build_small(images, num_classes=10, is_training=False, dropout_keep_prob=1 - NETS['lenet'].dropout,
                prediction_fn=slim.softmax, scope=None, table=None):
    """LeNet and CifarNet: images [batch, height, width, channels] -> logits [batch, num_classes], end_points.

    Features (num_classes None) are the last hidden layer's, [batch, 1024] and [batch, 192].
    """
    (rows, last_rows), (last, predictions, arguments), end_points = TABLES[table], SMALL_HEADS[table], {}
    with tf.variable_scope(scope, table, [images]), layers.training(is_training=is_training):
        net = _backbone(images, rows, dropout_keep_prob, end_points)
        if not num_classes:
            return net, end_points
        for text in last_rows:
            net = end_points[text] = _apply(net, text, dropout_keep_prob)
        logits = end_points['Logits'] = slim.fully_connected(
            net, num_classes, activation_fn=None, scope=last, **arguments)
    end_points['Predictions'] = prediction_fn(logits, scope=predictions)
    return logits, end_points


def build(images, num_classes=1000, is_training=True, dropout_keep_prob=1 - NETS['vgg_16'].dropout,
          spatial_squeeze=True, scope=None, global_pool=False, table=None):
    """AlexNet, OverFeat and VGG: images [batch, height, width, 3] -> logits [batch, num_classes], end_points.

    Features (num_classes None) are fc7's map. Either global_pool, which averages it, or
    spatial_squeeze=False, which leaves the logits a map, makes them take larger images.
    """
    (rows, fc_rows), end_points = TABLES[table], {}
    with tf.variable_scope(scope, table, [images]) as own, layers.training(is_training=is_training):
        net = _backbone(images, rows, dropout_keep_prob, end_points, own.name + '/')
        with slim.arg_scope([slim.conv2d], **FC.get(table, {})):
            net = _backbone(net, fc_rows, dropout_keep_prob, end_points, own.name + '/')
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name='global_pool')
                end_points['global_pool'] = net
            if not num_classes:
                return net, end_points
            net = layers.dropout(net, dropout_keep_prob, scope='dropout7')
            net = slim.conv2d(net, num_classes, 1, biases_initializer=tf.zeros_initializer(), scope='fc8',
                              **layers.LINEAR)
        if spatial_squeeze:
            net = tf.squeeze(net, [1, 2], name='fc8/squeezed')
        end_points[own.name + '/fc8'] = net
    return net, end_points
