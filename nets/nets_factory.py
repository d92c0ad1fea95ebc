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
    builder: str                                #: 'inception:inception_v3': a function of a module of slimtune.nets
    scope: str                                  #: the variable scope all of it lies in; '' where there is none
    head: Tuple[str, ...]                       #: prefixes of the variables whose shapes depend on the classes
    output: str                                 #: the op of the probabilities; of the logits where slim has no other
    arguments: dict = dataclasses.field(default_factory=dict)   #: of the builder: its table, its width
    image_size: int = 224
    smallest: int = 1                           #: the smallest picture it can be built for
    largest: Optional[int] = None               #: the largest, where there is a limit
    preprocessing: str = 'inception'
    channels: int = 3
    video: bool = False
    arg_scope: str = ''                         #: the arg scope's function in the builder's module
    batch_norm_decay: Optional[float] = None
    batch_norm_epsilon: Optional[float] = None
    dropout: Optional[float] = None             #: the share that is dropped, not kept
    classes: int = 1001                         #: what parameters, multiply_adds, accuracy and weights refer to
    parameters: Optional[int] = None            #: trained ones, without an auxiliary head
    multiply_adds: Optional[int] = None         #: for a picture (video: 64 frames) of image_size
    accuracy: Optional[Tuple[float, float]] = None              #: published ImageNet top-1 and top-5, percent
    source: str = 'slim'                        #: who published the accuracy: 'slim' is the table of slim's README
    weights: Optional[str] = None               #: the published archive's file name or URL


_MODELS = 'http://download.tensorflow.org/models/'


def _archive(name, date):
    """The URL of slim's archive of a net's weights; None without a date."""
    return date and '%s%s_%s.tar.gz' % (_MODELS, name, date)


def _small(name, scope, logits, output, **record):
    """A record of LeNet or CifarNet."""
    return Net(name, 'classic:build_' + name, scope, (scope + '/' + logits,), output, arg_scope=name + '_arg_scope',
               preprocessing=name, smallest=4, dropout=0.5, classes=10, **record)


def _convolutional(name, image_size, smallest, largest, parameters, multiply_adds, accuracy=None, fc_stddev=None,
                   arg_scope='vgg_arg_scope'):
    """A record of AlexNet, OverFeat or VGG, whose largest picture still gives one row of logits."""
    return Net(name, 'classic:build_convolutional', name, (name + '/fc8',), name + '/fc8/squeezed',
               {'table': name, 'fc_stddev': fc_stddev}, image_size, smallest, largest, 'vgg', arg_scope=arg_scope,
               dropout=0.5, classes=1000, parameters=parameters, multiply_adds=multiply_adds, accuracy=accuracy,
               weights=_archive(name, accuracy and '2016_08_28'))


def _inception(version, scope, output, sizes, parameters, multiply_adds, accuracy, date, builder='build',
               arg_scope='inception_arg_scope'):
    """A record of an Inception. Pictures of 299 are those of the nets with an auxiliary head."""
    name, heads = 'inception_' + version, ('Logits',) if sizes[0] == 224 else ('Logits', 'AuxLogits')
    return Net(name, 'inception:' + builder, scope, tuple(scope + '/' + head for head in heads), scope + '/' + output,
               {'table': version}, *sizes, arg_scope=arg_scope, batch_norm_decay=0.9997, batch_norm_epsilon=0.001,
               dropout=0.2, parameters=parameters, multiply_adds=multiply_adds, accuracy=accuracy,
               weights=_archive(name, date))


def _video(name, parameters, multiply_adds):
    """A record of a net for clips [batch, frames, height, width, 3]; multiply_adds are those of 64 frames."""
    return Net(name, 'video:build', 'InceptionV1', ('InceptionV1/Logits',), 'InceptionV1/Logits/Predictions/Reshape_1',
               {'table': name}, largest=224, video=True, arg_scope='video_arg_scope', batch_norm_decay=0.999,
               batch_norm_epsilon=0.001, dropout=0.2, classes=400, parameters=parameters, multiply_adds=multiply_adds)


def _resnet(version, size, parameters, multiply_adds, accuracy=None, date=None, source='slim'):
    """A record of a ResNet. v2's published weights were trained with preprocessing 'inception' at 299, not slim's."""
    name = 'resnet_v%d_%d' % (version, size)
    return Net(name, 'resnet:build', name, (name + '/logits',), name + '/predictions/Reshape_1',
               {'version': version, 'size': size}, smallest=5, preprocessing='vgg', arg_scope='resnet_arg_scope',
               batch_norm_decay=0.997, batch_norm_epsilon=1e-5, classes=999 + version, parameters=parameters,
               multiply_adds=multiply_adds, accuracy=accuracy, source=source, weights=_archive(name, date))


def _mobilenet_v1(name, width, parameters, multiply_adds, accuracy):
    """A record of MobileNet v1 of this width (depth_multiplier)."""
    return Net(name, 'mobilenet:mobilenet_v1', 'MobilenetV1', ('MobilenetV1/Logits',),
               'MobilenetV1/Predictions/Reshape_1', {'depth_multiplier': width}, largest=256,
               arg_scope='mobilenet_v1_arg_scope', batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.001,
               parameters=parameters, multiply_adds=multiply_adds, accuracy=accuracy, source="slim's mobilenet_v1.md",
               weights='%smobilenet_v1_2018_02_22/mobilenet_v1_%s_224.tgz' % (_MODELS, width))


def _mobilenet(name, width, weights, parameters, multiply_adds, accuracy):
    """A record of MobileNet v2, v3 or EdgeTPU. The narrow ones keep the depth of their last layer."""
    table = re.sub(r'_\d+$', '', name[len('mobilenet_'):])
    family = table.split('_')[0]
    scope = {'v2': 'MobilenetV2', 'v3': 'MobilenetV3', 'edgetpu': 'MobilenetEdgeTPU'}[family]
    return Net(name, 'mobilenet:mobilenet', scope, (scope + '/Logits',), scope + '/Predictions/Reshape_1',
               {'table': table, 'depth_multiplier': width, 'finegrain_classification_mode': width < 1},
               arg_scope='training_scope', batch_norm_decay=0.997, batch_norm_epsilon=0.001, dropout=0.2,
               parameters=parameters, multiply_adds=multiply_adds, accuracy=accuracy,
               source="slim's mobilenet/README.md" + (', 8-bit' if family == 'edgetpu' else ''),
               weights='https://storage.googleapis.com/mobilenet_%s/checkpoints/%s.tgz' % (family, weights))


def _nasnet(name, auxiliary, weights, parameters, multiply_adds, **record):
    """A record of a NASNet or PNASNet, whose auxiliary head stands after the cell of this number."""
    imagenet = dict(batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.5, smallest=67)
    return Net(name, 'nasnet:build', '', ('final_layer', 'aux_%d' % auxiliary), 'final_layer/predictions',
               {'table': name}, arg_scope=name + '_arg_scope', parameters=parameters, multiply_adds=multiply_adds,
               weights=weights and _MODELS + weights, **dict(imagenet, **record))


_RECORDS = [
    _convolutional('alexnet_v2', 224, 195, 226, 50303912, 736555776, None, 0.005, 'alexnet_v2_arg_scope'),
    _small('cifarnet', 'CifarNet', 'logits', 'CifarNet/Predictions/Reshape_1', image_size=32, parameters=1756426,
           multiply_adds=32778112),
    _convolutional('overfeat', 231, 231, 262, 145704424, 2647011328, None, 0.005),
    _convolutional('vgg_a', 224, 224, 255, 132863336, 7609090048),
    _convolutional('vgg_16', 224, 224, 255, 138357544, 15470264320, (71.5, 89.8)),
    _convolutional('vgg_19', 224, 224, 255, 143667240, 19632062464, (71.1, 89.8)),
    _inception('v1', 'InceptionV1', 'Logits/Predictions/Reshape_1', (224, 1, 256), 6618649, 1498377216,
               (69.8, 89.6), '2016_08_28'),
    _inception('v2', 'InceptionV2', 'Predictions/Reshape_1', (224, 1, 256), 11179361, 1934858240,
               (73.9, 91.8), '2016_08_28'),
    _inception('v3', 'InceptionV3', 'Predictions/Reshape_1', (299, 107, 346), 23819401, 5713218144,
               (78.0, 93.9), '2016_08_28'),
    _inception('v4', 'InceptionV4', 'Logits/Predictions', (299, 107), 42649769, 12253976160,
               (80.2, 95.2), '2016_09_09'),
    _inception('resnet_v2', 'InceptionResnetV2', 'Logits/Predictions', (299, 107), 55814729, 13155795552,
               (80.4, 95.3), '2016_08_30', 'inception_resnet_v2_arg_scope'),
    _video('i3d', 12689984, 111153143808),
    _video('s3dg', 9518848, 64184810240),
    _small('lenet', 'LeNet', 'fc4', 'Predictions/Reshape_1', image_size=28, channels=1, parameters=3274634,
           multiply_adds=13883904),
    _resnet(1, 50, 25557032, 3482255360, (75.2, 92.2), '2016_08_28'),
    _resnet(1, 101, 44549160, 7194476544, (76.4, 92.9), '2016_08_28'),
    _resnet(1, 152, 60192808, 10906697728, (76.8, 93.2), '2016_08_28'),
    _resnet(1, 200, 64673832, 14400552960),
    _resnet(2, 50, 25570409, 3482257408, (75.6, 92.8), '2017_04_14'),
    _resnet(2, 101, 44579945, 7194478592, (77.0, 93.7), '2017_04_14'),
    _resnet(2, 152, 60238953, 10906699776, (77.8, 94.1), '2017_04_14'),
    _resnet(2, 200, 64728169, 14400555008, (79.9, 95.2), source='He et al. 2016, at 320'),
    _mobilenet_v1('mobilenet_v1', 1.0, 4233001, 568741376, (70.9, 89.9)),
    _mobilenet_v1('mobilenet_v1_075', 0.75, 2586329, 325401216, (68.4, 88.2)),
    _mobilenet_v1('mobilenet_v1_050', 0.5, 1332105, 149497600, (63.3, 84.9)),
    _mobilenet_v1('mobilenet_v1_025', 0.25, 470329, 41030528, (49.8, 74.2)),
    _mobilenet('mobilenet_v2', 1.0, 'mobilenet_v2_1.0_224', 3506153, 300775552, (71.8, 91.0)),
    _mobilenet('mobilenet_v2_140', 1.4, 'mobilenet_v2_1.4_224', 6110569, 582197616, (75.0, 92.5)),
    _mobilenet('mobilenet_v2_050', 0.5, 'mobilenet_v2_0.5_224', 1969961, 97133120, (65.4, 86.4)),
    _mobilenet('mobilenet_v2_035', 0.35, 'mobilenet_v2_0.35_224', 1678409, 59287088, (60.3, 82.9)),
    _mobilenet('mobilenet_v3_small', 1.0, 'v3-small_224_1.0_float', 2543881, 56511424, (67.5, None)),
    _mobilenet('mobilenet_v3_large', 1.0, 'v3-large_224_1.0_float', 5484313, 216591040, (75.2, None)),
    _mobilenet('mobilenet_v3_small_minimalistic', 1.0, 'v3-small-minimalistic_224_1.0_float', 2045761, 52289472, (61.9, None)),
    _mobilenet('mobilenet_v3_large_minimalistic', 1.0, 'v3-large-minimalistic_224_1.0_float', 3925569, 209137984, (72.3, None)),
    _mobilenet('mobilenet_edgetpu', 1.0, 'mobilenet_edgetpu_224_1.0', 4092713, 990670464, (75.6, None)),
    _mobilenet('mobilenet_edgetpu_075', 0.75, 'mobilenet_edgetpu_224_0.75', 2989441, 624487584, (73.5, None)),
    _nasnet('nasnet_cifar', 11, None, 3346538, 544333312, classes=10, image_size=32, smallest=9,
            preprocessing='cifarnet', batch_norm_decay=0.9, batch_norm_epsilon=1e-5, dropout=None),
    _nasnet('nasnet_mobile', 7, 'nasnet-a_mobile_04_10_2017.tar.gz', 5291035, 563639872, accuracy=(74.0, 91.6)),
    _nasnet('nasnet_large', 11, 'nasnet-a_large_04_10_2017.tar.gz', 88757183, 23783418690, accuracy=(82.7, 96.2), image_size=331),
    _nasnet('pnasnet_large', 7, 'pnasnet-5_large_2017_12_13.tar.gz', 86061989, 24937400112, accuracy=(82.9, 96.2), image_size=331),
    _nasnet('pnasnet_mobile', 5, 'pnasnet-5_mobile_2017_12_13.tar.gz', 5065568, 587294280, accuracy=(74.2, 91.9)),
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


def _function(net, name):
    return getattr(importlib.import_module('slimtune.nets.' + net.builder.split(':')[0]), name)


def _build(net, *args, **kwargs):
    """slim's function of this net: (images, num_classes, is_training, ...) -> logits, end_points."""
    options = dict(net.arguments, **{'scope': net.scope} if net.scope else {})
    return _function(net, net.builder.split(':')[1])(*args, **dict(options, **kwargs))


def _base(net, *args, **kwargs):
    """slim's trunk of this net: (images, final_endpoint, ...) -> map, end_points."""
    return _function(net, 'base')(*args, **dict({'scope': net.scope}, table=net.arguments['table'], **kwargs))


def _arg_scope(net, **kwargs):
    """slim's arg scope of this net: (weight_decay=..., ...) -> scope."""
    return _function(net, net.arg_scope)(**kwargs)


def _named(function, net):
    """`function` of a record as a function of this record, with the attributes slim's functions have."""
    named = functools.partial(function, net)
    named.default_image_size, named.net, named.__name__ = net.image_size, net, net.name
    return named


def slims_names_of(module):
    """A module's __getattr__ (PEP 562) that gives it slim's functions: of slimtune.nets.classic, vgg_16 and so on."""
    def attribute(name):
        net, _, suffix = re.match('(?:build_)?(.*?)(_(arg_scope|base))?$', name).groups()     # nasnet has build_
        if net in NETS and NETS[net].builder.split(':')[0] == module:
            return {None: networks_map, 'arg_scope': arg_scopes_map, 'base': _base_map}[suffix][net]
        raise AttributeError('module slimtune.nets.%s has no attribute %r' % (module, name))
    return attribute


#: As in slim: name -> function, name -> arg scope's function.
networks_map = {net.name: _named(_build, net) for net in NETS.values()}
arg_scopes_map = {net.name: _named(_arg_scope, net) for net in NETS.values()}
_base_map = {net.name: _named(_base, net) for net in NETS.values()}


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
