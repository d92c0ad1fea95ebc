"""The 41 nets of slim, one record each, and how to build one by name.

This module imports neither TensorFlow nor numpy: a record is plain data that names its builder, which is imported when
a net is built. Everything that has to know a net reads its record here: preprocessing, head exclusion, `slimtune nets`.
Adding a net is a table in its family's module, a record here and a reference in tests/nets.
"""
import dataclasses
import functools
import importlib
import re
from typing import Optional, Tuple

from slimtune.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Net:
    """What is to be known about a net. Sizes are sides of square pictures in pixels."""
    name: str
    builder: str                            #: 'inception:build': a function of a module of slimtune.nets
    arg_scope: str                          #: its arg scope, a function of the same module
    scope: str                              #: the variable scope all of it lies in; '' where there is none
    head: Tuple[str, ...]                   #: prefixes of the variables whose shapes depend on the classes
    output: str                             #: the op of the probabilities; of the logits where slim has no other
    arguments: dict                         #: of the builder: its table, its width
    parameters: int                         #: trained ones, without an auxiliary head, for `classes`
    multiply_adds: int                      #: for a picture (video: 64 frames) of image_size
    accuracy: Optional[Tuple[float, Optional[float]]] = None    #: published ImageNet top-1 and top-5, percent
    source: str = 'slim'                    #: who published it: 'slim' is the table of slim's README
    classes: int = 1001                     #: of the published weights
    image_size: int = 224
    smallest: int = 1                       #: the smallest picture it can be built for
    largest: Optional[int] = None           #: the largest that gives one row of logits, where there is a limit
    preprocessing: str = 'inception'
    channels: int = 3
    video: bool = False
    batch_norm_decay: Optional[float] = None
    batch_norm_epsilon: Optional[float] = None
    dropout: Optional[float] = None         #: the share that is dropped, not kept


def _sides(image_size, smallest, largest=None):
    return {'image_size': image_size, 'smallest': smallest, 'largest': largest}


def _small(name, scope, logits, output, *figures, **record):
    """A record of LeNet or CifarNet."""
    return Net(name, 'classic:build_small', name + '_arg_scope', scope, (scope + '/' + logits,), output, {'table': name},
               *figures, preprocessing=name, smallest=4, dropout=0.5, classes=10, **record)


def _convolutional(name, sizes, *figures, arg_scope='vgg_arg_scope', fc_stddev=None):
    """A record of AlexNet, OverFeat or VGG. sizes: usual, smallest, largest."""
    return Net(name, 'classic:build', arg_scope, name, (name + '/fc8',), name + '/fc8/squeezed',
               {'table': name, 'fc_stddev': fc_stddev}, *figures, **_sides(*sizes), preprocessing='vgg', dropout=0.5,
               classes=1000)


def _inception(version, scope, output, sizes, *figures, arg_scope='inception_arg_scope'):
    """A record of an Inception. Those for pictures of 299 have an auxiliary head."""
    heads = ('Logits',) if sizes[0] == 224 else ('Logits', 'AuxLogits')
    return Net('inception_' + version, 'inception:build', arg_scope, scope, tuple(scope + '/' + head for head in heads),
               scope + '/' + output, {'table': version}, *figures, **_sides(*sizes), batch_norm_decay=0.9997,
               batch_norm_epsilon=0.001, dropout=0.2)


def _video(name, *figures):
    """A record of a net for clips [batch, frames, height, width, 3]; its classes are Kinetics'."""
    return Net(name, 'video:build', 'video_arg_scope', 'InceptionV1', ('InceptionV1/Logits',),
               'InceptionV1/Logits/Predictions/Reshape_1', {'table': name}, *figures, largest=224, video=True,
               batch_norm_decay=0.999, batch_norm_epsilon=0.001, dropout=0.2, classes=400)


def _resnet(version, size, *figures, **record):
    """A record of a ResNet. v2's published weights were trained with preprocessing 'inception' at 299, not slim's."""
    name = 'resnet_v%d_%d' % (version, size)
    return Net(name, 'resnet:build', 'resnet_arg_scope', name, (name + '/logits',), name + '/predictions/Reshape_1',
               {'version': version, 'size': size}, *figures, smallest=5, preprocessing='vgg', batch_norm_decay=0.997,
               batch_norm_epsilon=1e-5, classes=999 + version, **record)


def _mobilenet_v1(name, width, *figures):
    """A record of MobileNet v1 of this width (depth_multiplier)."""
    return Net(name, 'mobilenet:mobilenet_v1', 'mobilenet_v1_arg_scope', 'MobilenetV1', ('MobilenetV1/Logits',),
               'MobilenetV1/Predictions/Reshape_1', {'depth_multiplier': width}, *figures, source="slim's mobilenet_v1.md",
               largest=256, batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.001)


def _mobilenet(name, scope, width, *figures, source="slim's mobilenet/README.md"):
    """A record of MobileNet v2, v3 or EdgeTPU. The narrow ones keep the depth of their last layer."""
    table = re.sub(r'_\d+$', '', name[len('mobilenet_'):])
    return Net(name, 'mobilenet:mobilenet', 'training_scope', scope, (scope + '/Logits',), scope + '/Predictions/Reshape_1',
               {'table': table, 'depth_multiplier': width, 'finegrain_classification_mode': width < 1}, *figures,
               source=source, batch_norm_decay=0.997, batch_norm_epsilon=0.001, dropout=0.2)


def _nasnet(name, auxiliary, *figures, **record):
    """A record of a NASNet or PNASNet, whose auxiliary head stands after the cell of this number."""
    imagenet = dict(batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.5, smallest=67)
    return Net(name, 'nasnet:build', name + '_arg_scope', '', ('final_layer', 'aux_%d' % auxiliary), 'final_layer/predictions',
               {'table': name}, *figures, **dict(imagenet, **record))


_QUANTIZED = "slim's mobilenet/README.md, 8-bit"
#: Parameters, multiply-adds and accuracy end each row.
_RECORDS = [
    _convolutional('alexnet_v2', (224, 195, 226), 50303912, 736555776, fc_stddev=0.005, arg_scope='alexnet_v2_arg_scope'),
    _small('cifarnet', 'CifarNet', 'logits', 'CifarNet/Predictions/Reshape_1', 1756426, 32778112, image_size=32),
    _convolutional('overfeat', (231, 231, 262), 145704424, 2647011328, fc_stddev=0.005),
    _convolutional('vgg_a', (224, 224, 255), 132863336, 7609090048),
    _convolutional('vgg_16', (224, 224, 255), 138357544, 15470264320, (71.5, 89.8)),
    _convolutional('vgg_19', (224, 224, 255), 143667240, 19632062464, (71.1, 89.8)),
    _inception('v1', 'InceptionV1', 'Logits/Predictions/Reshape_1', (224, 1, 256), 6618649, 1498377216, (69.8, 89.6)),
    _inception('v2', 'InceptionV2', 'Predictions/Reshape_1', (224, 1, 256), 11179361, 1934858240, (73.9, 91.8)),
    _inception('v3', 'InceptionV3', 'Predictions/Reshape_1', (299, 107, 346), 23819401, 5713218144, (78.0, 93.9)),
    _inception('v4', 'InceptionV4', 'Logits/Predictions', (299, 107), 42649769, 12253976160, (80.2, 95.2)),
    _inception('resnet_v2', 'InceptionResnetV2', 'Logits/Predictions', (299, 107), 55814729, 13155795552, (80.4, 95.3),
               arg_scope='inception_resnet_v2_arg_scope'),
    _video('i3d', 12689984, 111153143808),
    _video('s3dg', 9518848, 64184810240),
    _small('lenet', 'LeNet', 'fc4', 'Predictions/Reshape_1', 3274634, 13883904, image_size=28, channels=1),
    _resnet(1, 50, 25557032, 3482255360, (75.2, 92.2)),
    _resnet(1, 101, 44549160, 7194476544, (76.4, 92.9)),
    _resnet(1, 152, 60192808, 10906697728, (76.8, 93.2)),
    _resnet(1, 200, 64673832, 14400552960),
    _resnet(2, 50, 25570409, 3482257408, (75.6, 92.8)),
    _resnet(2, 101, 44579945, 7194478592, (77.0, 93.7)),
    _resnet(2, 152, 60238953, 10906699776, (77.8, 94.1)),
    _resnet(2, 200, 64728169, 14400555008, (79.9, 95.2), source='He et al. 2016, at 320'),
    _mobilenet_v1('mobilenet_v1', 1.0, 4233001, 568741376, (70.9, 89.9)),
    _mobilenet_v1('mobilenet_v1_075', 0.75, 2586329, 325401216, (68.4, 88.2)),
    _mobilenet_v1('mobilenet_v1_050', 0.5, 1332105, 149497600, (63.3, 84.9)),
    _mobilenet_v1('mobilenet_v1_025', 0.25, 470329, 41030528, (49.8, 74.2)),
    _mobilenet('mobilenet_v2', 'MobilenetV2', 1.0, 3506153, 300775552, (71.8, 91.0)),
    _mobilenet('mobilenet_v2_140', 'MobilenetV2', 1.4, 6110569, 582197616, (75.0, 92.5)),
    _mobilenet('mobilenet_v2_050', 'MobilenetV2', 0.5, 1969961, 97133120, (65.4, 86.4)),
    _mobilenet('mobilenet_v2_035', 'MobilenetV2', 0.35, 1678409, 59287088, (60.3, 82.9)),
    _mobilenet('mobilenet_v3_small', 'MobilenetV3', 1.0, 2543881, 56511424, (67.5, None)),
    _mobilenet('mobilenet_v3_large', 'MobilenetV3', 1.0, 5484313, 216591040, (75.2, None)),
    _mobilenet('mobilenet_v3_small_minimalistic', 'MobilenetV3', 1.0, 2045761, 52289472, (61.9, None)),
    _mobilenet('mobilenet_v3_large_minimalistic', 'MobilenetV3', 1.0, 3925569, 209137984, (72.3, None)),
    _mobilenet('mobilenet_edgetpu', 'MobilenetEdgeTPU', 1.0, 4092713, 990670464, (75.6, None), source=_QUANTIZED),
    _mobilenet('mobilenet_edgetpu_075', 'MobilenetEdgeTPU', 0.75, 2989441, 624487584, (73.5, None), source=_QUANTIZED),
    _nasnet('nasnet_cifar', 11, 3346538, 544333312, classes=10, image_size=32, smallest=9, preprocessing='cifarnet',
            batch_norm_decay=0.9, batch_norm_epsilon=1e-5, dropout=None),
    _nasnet('nasnet_mobile', 7, 5291035, 563639872, (74.0, 91.6)),
    _nasnet('nasnet_large', 11, 88757183, 23783418690, (82.7, 96.2), image_size=331),
    _nasnet('pnasnet_large', 7, 86061989, 24937400112, (82.9, 96.2), image_size=331),
    _nasnet('pnasnet_mobile', 5, 5065568, 587294280, (74.2, 91.9)),
]
#: name: record, in slim's order.
NETS = {net.name: net for net in _RECORDS}


def get_net(name):
    """The record of the net `name`; UserError with the nearest names if there is none."""
    if name not in NETS:
        like = nearest(name, NETS)
        raise UserError('unknown net %r: %s`slimtune nets` lists all %d' % (
            name, 'nearest are %s; ' % ', '.join(like) if like else '', len(NETS)))
    return NETS[name]


def check_image_size(net, size, single=True):
    """Refuses, before anything is built, a picture of `size` x `size` pixels that `net` (a record) cannot take.

    single: whether a picture has one row of logits, as it must in training; a map of them has no largest picture.
    """
    if size < net.smallest or (single and net.largest and size > net.largest):
        raise UserError('%s takes no pictures of %dx%d: its sides are %s, usually %d' % (
            net.name, size, size, '%d to %d' % (net.smallest, net.largest) if net.largest
            else 'at least %d' % net.smallest, net.image_size))


def _call(net, function, options, *args, **kwargs):
    """Calls a function of the net's module with the net's options, where nothing else is said."""
    module = importlib.import_module('slimtune.nets.' + net.builder.split(':')[0])
    return getattr(module, function)(*args, **dict(options, **kwargs))


def _named(net, function, **options):
    """A function of a net's module as this net's own, with the attributes that slim's functions have."""
    named = functools.partial(_call, net, function, options)
    named.default_image_size, named.net, named.__name__ = net.image_size, net, net.name
    return named


def slims_names_of(module):
    """A module's __getattr__ (PEP 562) that gives it slim's functions: of slimtune.nets.classic, vgg_16 and so on."""
    def attribute(name):
        net, _, suffix = re.match('(?:build_)?(.*?)(_(arg_scope|base))?$', name).groups()     # nasnet has build_
        if net in NETS and NETS[net].builder.split(':')[0] == module:
            return {None: networks_map, 'arg_scope': arg_scopes_map, 'base': _bases_map}[suffix][net]
        raise AttributeError('module slimtune.nets.%s has no attribute %r' % (module, name))
    return attribute


_SCOPES = {net.name: {'scope': net.scope} if net.scope else {} for net in NETS.values()}
#: As in slim: name -> function (images, num_classes, is_training, ...) -> logits, end_points.
networks_map = {net.name: _named(net, net.builder.split(':')[1], **dict(net.arguments, **_SCOPES[net.name]))
                for net in NETS.values()}
#: As in slim: name -> function (weight_decay=...) -> arg scope.
arg_scopes_map = {net.name: _named(net, net.arg_scope) for net in NETS.values()}
#: name -> function (images, final_endpoint, ...) -> map, end_points; slim's inception_v3_base and its like.
_bases_map = {net.name: _named(net, 'base', table=net.arguments['table'], **_SCOPES[net.name])
              for net in NETS.values() if 'table' in net.arguments}


def get_network_fn(name, num_classes, weight_decay=0.0, is_training=False, frozen=None, seed=0):
    """slim's get_network_fn, with what slimtune freezes.

    num_classes: None gives features instead of logits. weight_decay: of the L2 regularizer. frozen: None or a predicate
    on a layer's full variable scope, see layers.py. seed: of dropout.
    Returns network_fn(images, **kwargs) -> logits, end_points, with default_image_size and the record as `net`.
    UserError for an unknown name and, when called, for pictures of a size the net cannot take.
    """
    net = get_net(name)

    def network_fn(images, **kwargs):
        from slimtune.nets import layers
        from slimtune.runtime import slim
        single = num_classes and kwargs.get('spatial_squeeze', True) and not kwargs.get('global_pool')
        for side in images.shape.as_list()[-3:-1]:
            if side is not None:
                check_image_size(net, side, single)
        with slim.arg_scope(arg_scopes_map[name](weight_decay=weight_decay)), \
                slim.arg_scope([layers.batch_norm, layers.dropout, layers.drop_path], frozen=frozen), \
                slim.arg_scope([layers.dropout, layers.drop_path], seed=seed):
            return networks_map[name](images, num_classes=num_classes, is_training=is_training, **kwargs)

    network_fn.default_image_size, network_fn.net = net.image_size, net
    return network_fn
