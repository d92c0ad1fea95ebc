"""The records of the nets: one for each of slim's 41, plain data, in slim's order.

A record names the function that builds the net; its module is imported when a net is built, so that this
module needs neither TensorFlow nor numpy. Whatever has to know about a net reads its record: preprocessing,
the scopes of its head, where its published weights are and what they score, `slimtune nets`.

A new net is a record in RECORDS, a reference in tests/nets and, where no table fits, a table in its family's
module.
"""
import dataclasses
from typing import Optional, Tuple

from slimtune.storage.archives import Archive


@dataclasses.dataclass(frozen=True)
class Net:
    """What is to be known about a net. Image sizes are sides of square images in pixels.

    An Archive's `checkpoint` is the name of the checkpoint in it, as a pattern. Where nobody publishes the
    SHA-256 sum of an archive it is None; then the first download is recorded, and every later one is compared
    with it.
    """
    name: str
    builder: str                    #: 'inception:build': a function of a module of slimtune.nets
    arg_scope: str                  #: its arg scope, a function of the same module
    scope: str                      #: the variable scope all of it lies in; '' where there is none
    head: Tuple[str, ...]           #: scopes of the variables whose shapes depend on the classes
    output: str                     #: the op of the probabilities; of the logits where slim has no other
    arguments: dict                 #: of the builder: its table, its width
    parameters: int                 #: trainable ones, without an auxiliary head, for `classes`
    multiply_adds: int              #: per image (video: 64 frames) of image_size
    accuracy: Optional[Tuple[float, Optional[float]]] = None    #: published ImageNet top-1 and top-5, percent
    source: str = 'slim'            #: who published the accuracy: 'slim' is the table of slim's README
    weights: Optional[Archive] = None    #: the published weights that have this accuracy
    #: {image size: Archive} of weights that were trained at another size
    other_weights: dict = dataclasses.field(default_factory=dict)
    classes: int = 1001             #: of the published weights
    image_size: int = 224
    smallest: int = 1               #: the smallest image size the net can be built for
    largest: Optional[int] = None   #: the largest that gives one row of logits, where there is a limit
    preprocessing: str = 'inception'
    channels: int = 3
    video: bool = False
    batch_norm_decay: Optional[float] = None
    batch_norm_epsilon: Optional[float] = None
    dropout: Optional[float] = None  #: the share that is dropped, not kept
    weight_decay: float = 0.00004   #: slim's default of the L2 regularizer


# What the records of a family have in common. `head` and `output` are relative to `scope` (default: the net's
# name); a leading / makes `output` absolute.
_CLASSIC = dict(builder='classic:build', arg_scope='vgg_arg_scope', head=['fc8'], output='fc8/squeezed',
                smallest=224, largest=255, preprocessing='vgg', dropout=0.5, weight_decay=0.0005,
                classes=1000)
_SMALL = dict(builder='classic:build_small', smallest=4, dropout=0.5, classes=10)
_INCEPTION = dict(builder='inception:build', arg_scope='inception_arg_scope', head=['Logits'],
                  output='Predictions/Reshape_1', batch_norm_decay=0.9997, batch_norm_epsilon=0.001,
                  dropout=0.2)
_INCEPTION_299 = dict(_INCEPTION, head=['Logits', 'AuxLogits'], image_size=299, smallest=107)
_VIDEO = dict(_INCEPTION, builder='video:build', arg_scope='video_arg_scope', scope='InceptionV1',
              output='Logits/Predictions/Reshape_1', largest=224, video=True, batch_norm_decay=0.999,
              weight_decay=1e-7, classes=400)     # Kinetics'
_RESNET = dict(builder='resnet:build', arg_scope='resnet_arg_scope', head=['logits'],
               output='predictions/Reshape_1', preprocessing='vgg', batch_norm_decay=0.997,
               batch_norm_epsilon=1e-5, weight_decay=0.0001)
_RESNET_V1 = dict(_RESNET, classes=1000)
_MOBILENET_V1 = dict(builder='mobilenet:build_v1', arg_scope='mobilenet_v1_arg_scope', scope='MobilenetV1',
                     head=['Logits'], output='Predictions/Reshape_1', largest=256, batch_norm_decay=0.9997,
                     batch_norm_epsilon=0.001, dropout=0.001, source="slim's mobilenet_v1.md")
_MOBILENET = dict(builder='mobilenet:mobilenet', arg_scope='training_scope', head=['Logits'],
                  output='Predictions/Reshape_1', batch_norm_decay=0.997, batch_norm_epsilon=0.001,
                  dropout=0.2, source="slim's mobilenet/README.md")
_MOBILENET_V2 = dict(_MOBILENET, scope='MobilenetV2')
_MOBILENET_V3 = dict(_MOBILENET, scope='MobilenetV3')
_EDGETPU = dict(_MOBILENET, scope='MobilenetEdgeTPU', source="slim's mobilenet/README.md, 8-bit")
_NASNET = dict(builder='nasnet:build', arg_scope='nasnet_arg_scope', scope='',
               output='final_layer/predictions', smallest=67, batch_norm_decay=0.9997,
               batch_norm_epsilon=0.001, dropout=0.5)
_NASNET_LARGE = dict(_NASNET, image_size=331, weight_decay=0.00005)


def _net(family, name, parameters, multiply_adds, accuracy=None, **own):
    """A record: what its family has in common, and over that what is its own."""
    fields = {'arg_scope': f'{name}_arg_scope', 'scope': name, 'arguments': {'table': name}}
    fields.update(family)
    fields.update(own)

    def absolute(scope):
        return scope[1:] if scope.startswith('/') else f"{fields['scope']}/{scope}".lstrip('/')

    fields['head'] = tuple(absolute(scope) for scope in fields['head'])
    fields['output'] = absolute(fields['output'])
    return Net(name, parameters=parameters, multiply_adds=multiply_adds, accuracy=accuracy, **fields)


def _wide(table, width=1.0):
    """The arguments of a MobileNet of another width. The narrow ones keep the depth of their last layer."""
    return {'table': table, 'depth_multiplier': width, 'finegrain_classification_mode': width < 1}


# Where slim's README and its MobileNet pages say that the weights are. http://download.tensorflow.org, which
# they name, is the storage bucket of that name; here it is asked over TLS, because most of its files have no
# published sum. Sizes and SHA-256 sums are those that the Open Model Zoo publishes for the same files.
_STORAGE = 'https://storage.googleapis.com/'


def _weights(folder):
    """A function that makes the Archives of one folder of _STORAGE."""
    def archive(file, checkpoint, size=None, sha256=None):
        return Archive(f'{_STORAGE}{folder}/{file}', size, sha256, checkpoint)
    return archive


_slim = _weights('download.tensorflow.org/models')
_v1 = _weights('download.tensorflow.org/models/mobilenet_v1_2018_08_02')
_v2 = _weights('mobilenet_v2/checkpoints')
# v3's archives hold two checkpoints; the moving averages, in ema/, have the accuracy.
_v3 = _weights('mobilenet_v3/checkpoints')
# What EdgeTPU's checkpoints are called is not documented: '*' is the only one, or the one in ema/.
_edgetpu = _weights('mobilenet_edgetpu/checkpoints')

RECORDS = [
    _net(_CLASSIC, 'alexnet_v2', 50303912, 736555776,
         arg_scope='alexnet_v2_arg_scope', smallest=195, largest=226),
    _net(_SMALL, 'cifarnet', 1756426, 32778112, scope='CifarNet', head=['logits'],
         output='Predictions/Reshape_1', preprocessing='cifarnet', image_size=32, weight_decay=0.004),
    _net(_CLASSIC, 'overfeat', 145704424, 2647011328, image_size=231, smallest=231, largest=262),
    _net(_CLASSIC, 'vgg_a', 132863336, 7609090048),
    _net(_CLASSIC, 'vgg_16', 138357544, 15470264320, (71.5, 89.8),
         weights=_slim('vgg_16_2016_08_28.tar.gz', 'vgg_16.ckpt')),
    _net(_CLASSIC, 'vgg_19', 143667240, 19632062464, (71.1, 89.8),
         weights=_slim('vgg_19_2016_08_28.tar.gz', 'vgg_19.ckpt')),

    _net(_INCEPTION, 'inception_v1', 6618649, 1498377216, (69.8, 89.6), scope='InceptionV1', largest=256,
         output='Logits/Predictions/Reshape_1',
         weights=_slim('inception_v1_2016_08_28.tar.gz', 'inception_v1.ckpt', 24642554,
                       '7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6')),
    _net(_INCEPTION, 'inception_v2', 11179361, 1934858240, (73.9, 91.8), scope='InceptionV2', largest=256,
         weights=_slim('inception_v2_2016_08_28.tar.gz', 'inception_v2.ckpt', 41577079)),
    _net(_INCEPTION_299, 'inception_v3', 23819401, 5713218144, (78.0, 93.9), scope='InceptionV3', largest=346,
         weights=_slim('inception_v3_2016_08_28.tar.gz', 'inception_v3.ckpt')),
    _net(_INCEPTION_299, 'inception_v4', 42649769, 12253976160, (80.2, 95.2), scope='InceptionV4',
         output='Logits/Predictions',
         weights=_slim('inception_v4_2016_09_09.tar.gz', 'inception_v4.ckpt')),
    _net(_INCEPTION_299, 'inception_resnet_v2', 55814729, 13155795552, (80.4, 95.3),
         scope='InceptionResnetV2', output='Logits/Predictions', arg_scope='inception_resnet_v2_arg_scope',
         weights=_slim('inception_resnet_v2_2016_08_30.tar.gz', 'inception_resnet_v2_2016_08_30.ckpt')),
    _net(_VIDEO, 'i3d', 12689984, 111153143808),
    _net(_VIDEO, 's3dg', 9518848, 64184810240),
    _net(_SMALL, 'lenet', 3274634, 13883904, scope='LeNet', head=['fc4'], output='/Predictions/Reshape_1',
         preprocessing='lenet', image_size=28, channels=1, weight_decay=0.0),

    _net(_RESNET_V1, 'resnet_v1_50', 25557032, 3482255360, (75.2, 92.2),
         weights=_slim('resnet_v1_50_2016_08_28.tar.gz', 'resnet_v1_50.ckpt')),
    _net(_RESNET_V1, 'resnet_v1_101', 44549160, 7194476544, (76.4, 92.9),
         weights=_slim('resnet_v1_101_2016_08_28.tar.gz', 'resnet_v1_101.ckpt')),
    _net(_RESNET_V1, 'resnet_v1_152', 60192808, 10906697728, (76.8, 93.2),
         weights=_slim('resnet_v1_152_2016_08_28.tar.gz', 'resnet_v1_152.ckpt')),
    _net(_RESNET_V1, 'resnet_v1_200', 64673832, 14400552960),
    # v2's published weights were trained with the preprocessing 'inception' at 299, although slim's map has
    # vgg's.
    _net(_RESNET, 'resnet_v2_50', 25570409, 3482257408, (75.6, 92.8),
         weights=_slim('resnet_v2_50_2017_04_14.tar.gz', 'resnet_v2_50.ckpt')),
    _net(_RESNET, 'resnet_v2_101', 44579945, 7194478592, (77.0, 93.7),
         weights=_slim('resnet_v2_101_2017_04_14.tar.gz', 'resnet_v2_101.ckpt')),
    _net(_RESNET, 'resnet_v2_152', 60238953, 10906699776, (77.8, 94.1),
         weights=_slim('resnet_v2_152_2017_04_14.tar.gz', 'resnet_v2_152.ckpt')),
    _net(_RESNET, 'resnet_v2_200', 64728169, 14400555008, (79.9, 95.2), source='He et al. 2016, at 320'),

    _net(_MOBILENET_V1, 'mobilenet_v1', 4233001, 568741376, (70.9, 89.9),
         arguments={'depth_multiplier': 1.0},
         weights=_v1('mobilenet_v1_1.0_224.tgz', 'mobilenet_v1_1.0_224.ckpt', 94321559,
                     '2fadeabb9968ec6833bee903900dda6e61b3947200535874ce2fe42a8493abc0')),
    _net(_MOBILENET_V1, 'mobilenet_v1_075', 2586329, 325401216, (68.4, 88.2),
         arguments={'depth_multiplier': 0.75},
         weights=_v1('mobilenet_v1_0.75_224.tgz', 'mobilenet_v1_0.75_224.ckpt')),
    _net(_MOBILENET_V1, 'mobilenet_v1_050', 1332105, 149497600, (63.3, 84.9),
         arguments={'depth_multiplier': 0.5},
         weights=_v1('mobilenet_v1_0.5_224.tgz', 'mobilenet_v1_0.5_224.ckpt')),
    _net(_MOBILENET_V1, 'mobilenet_v1_025', 470329, 41030528, (49.8, 74.2),
         arguments={'depth_multiplier': 0.25},
         weights=_v1('mobilenet_v1_0.25_224.tgz', 'mobilenet_v1_0.25_224.ckpt'),
         other_weights={128: _v1('mobilenet_v1_0.25_128.tgz', 'mobilenet_v1_0.25_128.ckpt', 10800019,
                                 '879ddc3e0857f3611b5cf248e36de2288c7a11ea8c2ed8a8bdded635e6010dfe')}),
    _net(_MOBILENET_V2, 'mobilenet_v2', 3506153, 300775552, (71.8, 91.0),
         weights=_v2('mobilenet_v2_1.0_224.tgz', 'mobilenet_v2_1.0_224.ckpt', 78306834,
                     '318084bc1b63d6d7b854553e09cdf77078b1c0168be27c59a0d44253b5ed49dc')),
    _net(_MOBILENET_V2, 'mobilenet_v2_140', 6110569, 582197616, (75.0, 92.5),
         arguments=_wide('mobilenet_v2', 1.4),
         weights=_v2('mobilenet_v2_1.4_224.tgz', 'mobilenet_v2_1.4_224.ckpt', 135977516)),
    _net(_MOBILENET_V2, 'mobilenet_v2_050', 1969961, 97133120, (65.4, 86.4),
         arguments=_wide('mobilenet_v2', 0.5),
         weights=_v2('mobilenet_v2_0.5_224.tgz', 'mobilenet_v2_0.5_224.ckpt')),
    _net(_MOBILENET_V2, 'mobilenet_v2_035', 1678409, 59287088, (60.3, 82.9),
         arguments=_wide('mobilenet_v2', 0.35),
         weights=_v2('mobilenet_v2_0.35_224.tgz', 'mobilenet_v2_0.35_224.ckpt')),
    _net(_MOBILENET_V3, 'mobilenet_v3_small', 2543881, 56511424, (67.5, None),
         weights=_v3('v3-small_224_1.0_float.tgz', '*ema/model-*', 113230261,
                     'e60ad9f450f892ae56f8b9122ffc750d88940d9e6b63f6dc70649179fb3a9065')),
    _net(_MOBILENET_V3, 'mobilenet_v3_large', 5484313, 216591040, (75.2, None),
         weights=_v3('v3-large_224_1.0_float.tgz', '*ema/model-*')),
    _net(_MOBILENET_V3, 'mobilenet_v3_small_minimalistic', 2045761, 52289472, (61.9, None),
         weights=_v3('v3-small-minimalistic_224_1.0_float.tgz', '*ema/model-*')),
    _net(_MOBILENET_V3, 'mobilenet_v3_large_minimalistic', 3925569, 209137984, (72.3, None),
         weights=_v3('v3-large-minimalistic_224_1.0_float.tgz', '*ema/model-*')),
    _net(_EDGETPU, 'mobilenet_edgetpu', 4092713, 990670464, (75.6, None),
         weights=_edgetpu('mobilenet_edgetpu_224_1.0.tgz', '*')),
    _net(_EDGETPU, 'mobilenet_edgetpu_075', 2989441, 624487584, (73.5, None),
         arguments=_wide('mobilenet_edgetpu', 0.75),
         weights=_edgetpu('mobilenet_edgetpu_224_0.75.tgz', '*')),

    _net(_NASNET, 'nasnet_cifar', 3346538, 544333312, head=['final_layer', 'aux_11'],
         image_size=32, smallest=9, classes=10, preprocessing='cifarnet', batch_norm_decay=0.9,
         batch_norm_epsilon=1e-5, dropout=None, weight_decay=0.0005),
    _net(_NASNET, 'nasnet_mobile', 5291035, 563639872, (74.0, 91.6), head=['final_layer', 'aux_7'],
         weights=_slim('nasnet-a_mobile_04_10_2017.tar.gz', 'model.ckpt')),
    _net(_NASNET_LARGE, 'nasnet_large', 88757183, 23783418690, (82.7, 96.2), head=['final_layer', 'aux_11'],
         weights=_slim('nasnet-a_large_04_10_2017.tar.gz', 'model.ckpt')),
    _net(_NASNET_LARGE, 'pnasnet_large', 86061989, 24937400112, (82.9, 96.2), head=['final_layer', 'aux_7'],
         weights=_slim('pnasnet-5_large_2017_12_13.tar.gz', 'model.ckpt')),
    _net(_NASNET, 'pnasnet_mobile', 5065568, 587294280, (74.2, 91.9), head=['final_layer', 'aux_5'],
         weights=_slim('pnasnet-5_mobile_2017_12_13.tar.gz', 'model.ckpt')),
]
