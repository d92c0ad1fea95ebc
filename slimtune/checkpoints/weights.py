"""Where the published weights of slim's nets are: one table, facts only.

Addresses are those of slim's README and its MobileNet pages; http://download.tensorflow.org, which they name, is the
bucket of that name, asked here over TLS, because most of its files have no published sum. Sizes and SHA-256 sums are
those that the Open Model Zoo publishes for the same files; where nobody does, they are None: then the first download is
recorded, and every later one compared with it.
"""
from slimtune.storage.archives import Archive

_MODELS = 'https://storage.googleapis.com/download.tensorflow.org/models/'
_V1 = _MODELS + 'mobilenet_v1_2018_08_02/'
_V2 = 'https://storage.googleapis.com/mobilenet_v2/checkpoints/'
_V3 = 'https://storage.googleapis.com/mobilenet_v3/checkpoints/'
_EDGETPU = 'https://storage.googleapis.com/mobilenet_edgetpu/checkpoints/'
#: net: its weights; also under the archive's own name where they are for another size of images than the net's.
WEIGHTS = {
    'vgg_16': Archive(_MODELS + 'vgg_16_2016_08_28.tar.gz', checkpoint='vgg_16.ckpt'),
    'vgg_19': Archive(_MODELS + 'vgg_19_2016_08_28.tar.gz', checkpoint='vgg_19.ckpt'),
    'inception_v1': Archive(_MODELS + 'inception_v1_2016_08_28.tar.gz', 24642554,
                            '7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6', 'inception_v1.ckpt'),
    'inception_v2': Archive(_MODELS + 'inception_v2_2016_08_28.tar.gz', 41577079, checkpoint='inception_v2.ckpt'),
    'inception_v3': Archive(_MODELS + 'inception_v3_2016_08_28.tar.gz', checkpoint='inception_v3.ckpt'),
    'inception_v4': Archive(_MODELS + 'inception_v4_2016_09_09.tar.gz', checkpoint='inception_v4.ckpt'),
    'inception_resnet_v2': Archive(_MODELS + 'inception_resnet_v2_2016_08_30.tar.gz',
                                   checkpoint='inception_resnet_v2_2016_08_30.ckpt'),
    'resnet_v1_50': Archive(_MODELS + 'resnet_v1_50_2016_08_28.tar.gz', checkpoint='resnet_v1_50.ckpt'),
    'resnet_v1_101': Archive(_MODELS + 'resnet_v1_101_2016_08_28.tar.gz', checkpoint='resnet_v1_101.ckpt'),
    'resnet_v1_152': Archive(_MODELS + 'resnet_v1_152_2016_08_28.tar.gz', checkpoint='resnet_v1_152.ckpt'),
    'resnet_v2_50': Archive(_MODELS + 'resnet_v2_50_2017_04_14.tar.gz', checkpoint='resnet_v2_50.ckpt'),
    'resnet_v2_101': Archive(_MODELS + 'resnet_v2_101_2017_04_14.tar.gz', checkpoint='resnet_v2_101.ckpt'),
    'resnet_v2_152': Archive(_MODELS + 'resnet_v2_152_2017_04_14.tar.gz', checkpoint='resnet_v2_152.ckpt'),
    'mobilenet_v1': Archive(_V1 + 'mobilenet_v1_1.0_224.tgz', 94321559,
                            '2fadeabb9968ec6833bee903900dda6e61b3947200535874ce2fe42a8493abc0', 'mobilenet_v1_1.0_224.ckpt'),
    'mobilenet_v1_075': Archive(_V1 + 'mobilenet_v1_0.75_224.tgz', checkpoint='mobilenet_v1_0.75_224.ckpt'),
    'mobilenet_v1_050': Archive(_V1 + 'mobilenet_v1_0.5_224.tgz', checkpoint='mobilenet_v1_0.5_224.ckpt'),
    'mobilenet_v1_025': Archive(_V1 + 'mobilenet_v1_0.25_224.tgz', checkpoint='mobilenet_v1_0.25_224.ckpt'),
    'mobilenet_v1_0.25_128': Archive(_V1 + 'mobilenet_v1_0.25_128.tgz', 10800019,
                                     '879ddc3e0857f3611b5cf248e36de2288c7a11ea8c2ed8a8bdded635e6010dfe',
                                     'mobilenet_v1_0.25_128.ckpt'),
    'mobilenet_v2': Archive(_V2 + 'mobilenet_v2_1.0_224.tgz', 78306834,
                            '318084bc1b63d6d7b854553e09cdf77078b1c0168be27c59a0d44253b5ed49dc', 'mobilenet_v2_1.0_224.ckpt'),
    'mobilenet_v2_140': Archive(_V2 + 'mobilenet_v2_1.4_224.tgz', 135977516, checkpoint='mobilenet_v2_1.4_224.ckpt'),
    'mobilenet_v2_050': Archive(_V2 + 'mobilenet_v2_0.5_224.tgz', checkpoint='mobilenet_v2_0.5_224.ckpt'),
    'mobilenet_v2_035': Archive(_V2 + 'mobilenet_v2_0.35_224.tgz', checkpoint='mobilenet_v2_0.35_224.ckpt'),
    # v3's archives hold two checkpoints; the moving averages, in ema/, are the ones that were measured.
    'mobilenet_v3_small': Archive(_V3 + 'v3-small_224_1.0_float.tgz', 113230261,
                                  'e60ad9f450f892ae56f8b9122ffc750d88940d9e6b63f6dc70649179fb3a9065', '*ema/model-*'),
    'mobilenet_v3_large': Archive(_V3 + 'v3-large_224_1.0_float.tgz', checkpoint='*ema/model-*'),
    'mobilenet_v3_small_minimalistic': Archive(_V3 + 'v3-small-minimalistic_224_1.0_float.tgz', checkpoint='*ema/model-*'),
    'mobilenet_v3_large_minimalistic': Archive(_V3 + 'v3-large-minimalistic_224_1.0_float.tgz', checkpoint='*ema/model-*'),
    # What EdgeTPU's checkpoints are called is documented nowhere: '*' is the only one, or the one in ema/.
    'mobilenet_edgetpu': Archive(_EDGETPU + 'mobilenet_edgetpu_224_1.0.tgz', checkpoint='*'),
    'mobilenet_edgetpu_075': Archive(_EDGETPU + 'mobilenet_edgetpu_224_0.75.tgz', checkpoint='*'),
    'nasnet_mobile': Archive(_MODELS + 'nasnet-a_mobile_04_10_2017.tar.gz', checkpoint='model.ckpt'),
    'nasnet_large': Archive(_MODELS + 'nasnet-a_large_04_10_2017.tar.gz', checkpoint='model.ckpt'),
    'pnasnet_mobile': Archive(_MODELS + 'pnasnet-5_mobile_2017_12_13.tar.gz', checkpoint='model.ckpt'),
    'pnasnet_large': Archive(_MODELS + 'pnasnet-5_large_2017_12_13.tar.gz', checkpoint='model.ckpt'),
}
