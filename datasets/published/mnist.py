"""MNIST: 70,000 handwritten digits of 28x28 pixels, grey (LeCun et al. 1998).

Its files are in the IDX format: a number for the type, then the sizes, each in four bytes, high byte first,
then bytes.
"""
import struct

from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release, png
from slimtune.errors import UserError
from slimtune.storage.archives import Archive, gunzip

CLASS_NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
_LABELS, _IMAGES = 0x801, 0x803
_PREFIXES = {'train': 'train', 'test': 't10k'}
_ADDRESS = 'https://storage.googleapis.com/cvdf-datasets/mnist/'

get_split = register('mnist', splits={'train': 60000, 'test': 10000}, file_pattern='mnist_%s.tfrecord',
                     channels=1, class_names=CLASS_NAMES)


def read(paths):
    """The digits in the four files. paths: {archive's name: path}. Raises UserError for other files."""
    files = {split: (paths[f'{prefix}-images-idx3-ubyte.gz'], paths[f'{prefix}-labels-idx1-ubyte.gz'])
             for split, prefix in _PREFIXES.items()}
    return Contents(CLASS_NAMES, {split: _images(split, *pair) for split, pair in files.items()})


def _images(split, images_path, labels_path):
    (count, height, width), images = _idx(images_path, _IMAGES, 3)
    (labelled,), labels = _idx(labels_path, _LABELS, 1)
    if labelled != count or max(labels) > 9:
        raise UserError(f'{images_path} and {labels_path} do not belong together: {count} images, {labelled} '
                        f'labels up to {max(labels)}')
    return [PublishedImage(label, f'{split}/{n:05d}.png', _digit(images, n, width, height))
            for n, label in enumerate(labels)]


def _digit(images, n, width, height):
    pixels = width * height
    return lambda: png([images[n * pixels:(n + 1) * pixels]], (width, height))


def _idx(path, magic, dimensions):
    """An IDX file's sizes and bytes."""
    data, header = gunzip(path), 4 + 4 * dimensions
    if len(data) > header:
        numbers = struct.unpack_from(f'>{1 + dimensions}I', data)
        pixels = 1
        for size in numbers[1:]:
            pixels *= size
        if numbers[0] == magic and len(data) == header + pixels:
            return numbers[1:], data[header:]
    raise UserError(f'{path} is no whole IDX file of {dimensions} dimensions: fetch it again')


RELEASE = Release(
    archives=[Archive(_ADDRESS + 'train-images-idx3-ubyte.gz', 9912422,
                      '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609'),
              Archive(_ADDRESS + 'train-labels-idx1-ubyte.gz', 28881,
                      '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c'),
              Archive(_ADDRESS + 't10k-images-idx3-ubyte.gz', 1648877,
                      '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6'),
              Archive(_ADDRESS + 't10k-labels-idx1-ubyte.gz', 4542,
                      'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6')],
    shards={'train': ('mnist_train.tfrecord', 1), 'test': ('mnist_test.tfrecord', 1)},
    read=read, first_net='lenet')
