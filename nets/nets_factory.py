"""The 41 nets of slim, one record each, and how to build one by name.

This module imports neither TensorFlow nor numpy: a record is plain data that names its builder, which is imported when
a net is built. Everything that has to know a net reads its record here: preprocessing, head exclusion, `slimtune nets`.
Adding a net is a table in its family's module, a record here and a reference in tests/nets.
"""
import dataclasses
import importlib
import re
from typing import Optional, Tuple

from slimtune.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Net:
    """What is to be known about a net. Sizes are sides of square images in pixels."""
    name: str
    builder: str                            #: 'inception:build': a function of a module of slimtune.nets
    arg_scope: str                          #: its arg scope, a function of the same module
    scope: str                              #: the variable scope all of it lies in; '' where there is none
    head: Tuple[str, ...]                   #: prefixes of the variables whose shapes depend on the classes
    output: str                             #: the op of the probabilities; of the logits where slim has no other
    arguments: dict                         #: of the builder: its table, its width
    parameters: int                         #: trained ones, without an auxiliary head, for `classes`
    multiply_adds: int                      #: for an image (video: 64 frames) of image_size
    accuracy: Optional[Tuple[float, Optional[float]]] = None    #: published ImageNet top-1 and top-5, percent
    source: str = 'slim'                    #: who published it: 'slim' is the table of slim's README
    classes: int = 1001                     #: of the published weights
    image_size: int = 224
    smallest: int = 1                       #: the smallest image it can be built for
    largest: Optional[int] = None           #: the largest that gives one row of logits, where there is a limit
    preprocessing: str = 'inception'
    channels: int = 3
    video: bool = False
    batch_norm_decay: Optional[float] = None
    batch_norm_epsilon: Optional[float] = None
    dropout: Optional[float] = None         #: the share that is dropped, not kept
    weight_decay: float = 0.00004           #: slim's default of the L2 regularizer


# What the records of a family have in common. head and output lie in the net's scope, which is its name if none is said;
# an output that begins with / does not.
_CLASSIC = dict(builder='classic:build', arg_scope='vgg_arg_scope', head=['fc8'], output='fc8/squeezed', smallest=224,
                largest=255, preprocessing='vgg', dropout=0.5, weight_decay=0.0005, classes=1000)
_SMALL = dict(builder='classic:build_small', smallest=4, dropout=0.5, classes=10)
_INCEPTION = dict(builder='inception:build', arg_scope='inception_arg_scope', head=['Logits'], output='Predictions/Reshape_1',
                  batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.2)
_INCEPTION_299 = dict(_INCEPTION, head=['Logits', 'AuxLogits'], image_size=299, smallest=107)
_VIDEO = dict(_INCEPTION, builder='video:build', arg_scope='video_arg_scope', scope='InceptionV1',
              output='Logits/Predictions/Reshape_1', largest=224, video=True, batch_norm_decay=0.999, weight_decay=1e-7,
              classes=400)     # Kinetics'
_RESNET = dict(builder='resnet:build', arg_scope='resnet_arg_scope', head=['logits'], output='predictions/Reshape_1',
               preprocessing='vgg', batch_norm_decay=0.997, batch_norm_epsilon=1e-5, weight_decay=0.0001)
_RESNET_V1 = dict(_RESNET, classes=1000)
_MOBILENET_V1 = dict(builder='mobilenet:build_v1', arg_scope='mobilenet_v1_arg_scope', scope='MobilenetV1', head=['Logits'],
                     output='Predictions/Reshape_1', largest=256, batch_norm_decay=0.9997, batch_norm_epsilon=0.001,
                     dropout=0.001, source="slim's mobilenet_v1.md")
_MOBILENET = dict(builder='mobilenet:mobilenet', arg_scope='training_scope', head=['Logits'], output='Predictions/Reshape_1',
                  batch_norm_decay=0.997, batch_norm_epsilon=0.001, dropout=0.2, source="slim's mobilenet/README.md")
_MOBILENET_V2, _MOBILENET_V3 = dict(_MOBILENET, scope='MobilenetV2'), dict(_MOBILENET, scope='MobilenetV3')
_EDGETPU = dict(_MOBILENET, scope='MobilenetEdgeTPU', source="slim's mobilenet/README.md, 8-bit")
_NASNET = dict(builder='nasnet:build', arg_scope='nasnet_arg_scope', scope='', output='final_layer/predictions', smallest=67,
               batch_norm_decay=0.9997, batch_norm_epsilon=0.001, dropout=0.5)
_NASNET_LARGE = dict(_NASNET, image_size=331, weight_decay=0.00005)


def _net(family, name, *figures, **own):
    """A record: what its family says, what it says itself, its parameters, multiply-adds and, where published, accuracy."""
    fields = dict({'arg_scope': name + '_arg_scope', 'scope': name, 'arguments': {'table': name}}, **dict(family, **own))
    inside = lambda part: part.lstrip('/') if part.startswith('/') else '/'.join(filter(None, [fields['scope'], part]))
    fields.update(zip(('parameters', 'multiply_adds', 'accuracy'), figures), head=tuple(map(inside, fields['head'])),
                  output=inside(fields['output']))
    return Net(name, **fields)


def _wide(table, width=1.0):
    """The arguments of a MobileNet. The narrow ones keep the depth of their last layer."""
    return {'table': table, 'depth_multiplier': width, 'finegrain_classification_mode': width < 1}


_RECORDS = [
    _net(_CLASSIC, 'alexnet_v2', 50303912, 736555776, arg_scope='alexnet_v2_arg_scope', smallest=195, largest=226),
    _net(_SMALL, 'cifarnet', 1756426, 32778112, scope='CifarNet', head=['logits'], output='Predictions/Reshape_1',
         preprocessing='cifarnet', image_size=32, weight_decay=0.004),
    _net(_CLASSIC, 'overfeat', 145704424, 2647011328, image_size=231, smallest=231, largest=262),
    _net(_CLASSIC, 'vgg_a', 132863336, 7609090048),
    _net(_CLASSIC, 'vgg_16', 138357544, 15470264320, (71.5, 89.8)),
    _net(_CLASSIC, 'vgg_19', 143667240, 19632062464, (71.1, 89.8)),
    _net(_INCEPTION, 'inception_v1', 6618649, 1498377216, (69.8, 89.6), scope='InceptionV1', largest=256,
         output='Logits/Predictions/Reshape_1'),
    _net(_INCEPTION, 'inception_v2', 11179361, 1934858240, (73.9, 91.8), scope='InceptionV2', largest=256),
    _net(_INCEPTION_299, 'inception_v3', 23819401, 5713218144, (78.0, 93.9), scope='InceptionV3', largest=346),
    _net(_INCEPTION_299, 'inception_v4', 42649769, 12253976160, (80.2, 95.2), scope='InceptionV4', output='Logits/Predictions'),
    _net(_INCEPTION_299, 'inception_resnet_v2', 55814729, 13155795552, (80.4, 95.3), scope='InceptionResnetV2',
         output='Logits/Predictions', arg_scope='inception_resnet_v2_arg_scope'),
    _net(_VIDEO, 'i3d', 12689984, 111153143808),
    _net(_VIDEO, 's3dg', 9518848, 64184810240),
    _net(_SMALL, 'lenet', 3274634, 13883904, scope='LeNet', head=['fc4'], output='/Predictions/Reshape_1',
         preprocessing='lenet', image_size=28, channels=1, weight_decay=0.0),
    _net(_RESNET_V1, 'resnet_v1_50', 25557032, 3482255360, (75.2, 92.2)),
    _net(_RESNET_V1, 'resnet_v1_101', 44549160, 7194476544, (76.4, 92.9)),
    _net(_RESNET_V1, 'resnet_v1_152', 60192808, 10906697728, (76.8, 93.2)),
    _net(_RESNET_V1, 'resnet_v1_200', 64673832, 14400552960),
    # v2's published weights were trained with the preprocessing 'inception' at 299, although slim's map has vgg's.
    _net(_RESNET, 'resnet_v2_50', 25570409, 3482257408, (75.6, 92.8)),
    _net(_RESNET, 'resnet_v2_101', 44579945, 7194478592, (77.0, 93.7)),
    _net(_RESNET, 'resnet_v2_152', 60238953, 10906699776, (77.8, 94.1)),
    _net(_RESNET, 'resnet_v2_200', 64728169, 14400555008, (79.9, 95.2), source='He et al. 2016, at 320'),
    _net(_MOBILENET_V1, 'mobilenet_v1', 4233001, 568741376, (70.9, 89.9), arguments={'depth_multiplier': 1.0}),
    _net(_MOBILENET_V1, 'mobilenet_v1_075', 2586329, 325401216, (68.4, 88.2), arguments={'depth_multiplier': 0.75}),
    _net(_MOBILENET_V1, 'mobilenet_v1_050', 1332105, 149497600, (63.3, 84.9), arguments={'depth_multiplier': 0.5}),
    _net(_MOBILENET_V1, 'mobilenet_v1_025', 470329, 41030528, (49.8, 74.2), arguments={'depth_multiplier': 0.25}),
    _net(_MOBILENET_V2, 'mobilenet_v2', 3506153, 300775552, (71.8, 91.0)),
    _net(_MOBILENET_V2, 'mobilenet_v2_140', 6110569, 582197616, (75.0, 92.5), arguments=_wide('mobilenet_v2', 1.4)),
    _net(_MOBILENET_V2, 'mobilenet_v2_050', 1969961, 97133120, (65.4, 86.4), arguments=_wide('mobilenet_v2', 0.5)),
    _net(_MOBILENET_V2, 'mobilenet_v2_035', 1678409, 59287088, (60.3, 82.9), arguments=_wide('mobilenet_v2', 0.35)),
    _net(_MOBILENET_V3, 'mobilenet_v3_small', 2543881, 56511424, (67.5, None)),
    _net(_MOBILENET_V3, 'mobilenet_v3_large', 5484313, 216591040, (75.2, None)),
    _net(_MOBILENET_V3, 'mobilenet_v3_small_minimalistic', 2045761, 52289472, (61.9, None)),
    _net(_MOBILENET_V3, 'mobilenet_v3_large_minimalistic', 3925569, 209137984, (72.3, None)),
    _net(_EDGETPU, 'mobilenet_edgetpu', 4092713, 990670464, (75.6, None)),
    _net(_EDGETPU, 'mobilenet_edgetpu_075', 2989441, 624487584, (73.5, None), arguments=_wide('mobilenet_edgetpu', 0.75)),
    _net(_NASNET, 'nasnet_cifar', 3346538, 544333312, head=['final_layer', 'aux_11'], image_size=32, smallest=9, classes=10,
         preprocessing='cifarnet', batch_norm_decay=0.9, batch_norm_epsilon=1e-5, dropout=None, weight_decay=0.0005),
    _net(_NASNET, 'nasnet_mobile', 5291035, 563639872, (74.0, 91.6), head=['final_layer', 'aux_7']),
    _net(_NASNET_LARGE, 'nasnet_large', 88757183, 23783418690, (82.7, 96.2), head=['final_layer', 'aux_11']),
    _net(_NASNET_LARGE, 'pnasnet_large', 86061989, 24937400112, (82.9, 96.2), head=['final_layer', 'aux_7']),
    _net(_NASNET, 'pnasnet_mobile', 5065568, 587294280, (74.2, 91.9), head=['final_layer', 'aux_5']),
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
    """Refuses, before anything is built, an image of `size` x `size` pixels that `net` (a record) cannot take.

    single: whether an image has one row of logits, as it must in training; a map of them has no largest image.
    """
    if size < net.smallest or (single and net.largest and size > net.largest):
        raise UserError('%s takes no images of %dx%d: its sides are %s, usually %d' % (
            net.name, size, size, '%d to %d' % (net.smallest, net.largest) if net.largest
            else 'at least %d' % net.smallest, net.image_size))


def _function(record, name, **said):
    """A function of the net's module as the net's own: called with what is `said`, and with slim's attributes."""
    def function(*args, **kwargs):
        module = importlib.import_module('slimtune.nets.' + record.builder.split(':')[0])
        return getattr(module, name)(*args, **dict(said, **kwargs))
    function.default_image_size, function.net, function.__name__ = record.image_size, record, record.name
    return function


def slims_names_of(module):
    """A module's __getattr__ (PEP 562) that gives it slim's functions: vgg_16, vgg_16_arg_scope, inception_v3_base."""
    def attribute(name):
        net, _, suffix = re.match('(?:build_)?(.*?)(_(arg_scope|base))?$', name).groups()     # nasnet has build_
        if net in NETS and NETS[net].builder.split(':')[0] == module.split('.')[-1]:
            own = {None: networks_map, 'arg_scope': arg_scopes_map}.get(suffix)
            return own[net] if own else _function(NETS[net], 'base', scope=NETS[net].scope, **NETS[net].arguments)
        raise AttributeError('module %s has no attribute %r' % (module, name))
    return attribute


#: As in slim: name -> function (images, num_classes, is_training, ...) -> logits, end_points.
networks_map = {net.name: _function(net, net.builder.split(':')[1], scope=net.scope, **net.arguments) for net in _RECORDS}
#: As in slim: name -> function (weight_decay=...) -> arg scope.
arg_scopes_map = {net.name: _function(net, net.arg_scope, net=net) for net in _RECORDS}


def get_network_fn(name, num_classes, weight_decay=0.0, is_training=False, frozen=None, seed=0):
    """slim's get_network_fn, with what slimtune freezes.

    num_classes: None gives features instead of logits. weight_decay: of the L2 regularizer. frozen: None or a predicate
    on a layer's full variable scope, see layers.py. seed: of dropout.
    Returns network_fn(images, **kwargs) -> logits, end_points, with default_image_size and the record as `net`.
    UserError for an unknown name and, when called, for images of a size the net cannot take.
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
                slim.arg_scope([layers.batch_norm, layers.dropout], frozen=frozen), slim.arg_scope([layers.dropout], seed=seed):
            return networks_map[name](images, num_classes=num_classes, is_training=is_training, **kwargs)

    network_fn.default_image_size, network_fn.net = net.image_size, net
    return network_fn
