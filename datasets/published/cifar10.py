"""CIFAR-10: 60,000 images of 32x32 pixels, ten classes (Krizhevsky 2009).

Its archive holds six pickles of Python 2: dictionaries with `data`, uint8 [10000, 3072] (the red, the green
and the blue plane of an image in a row), and `labels`, a list.
"""
from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release, png
from slimtune.errors import UserError
from slimtune.storage.archives import Archive, members, unpickle

CLASS_NAMES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
_SIDE = 32
_BATCHES = {'train': [f'data_batch_{n}' for n in range(1, 6)], 'test': ['test_batch']}

get_split = register('cifar10', splits={'train': 50000, 'test': 10000}, file_pattern='cifar10_%s.tfrecord',
                     class_names=CLASS_NAMES)


def read(paths):
    """The images in the archive. paths: {archive's name: path}. Raises UserError for another archive."""
    path, = paths.values()
    wanted = {name for names in _BATCHES.values() for name in names}
    batches = {}
    for member in members(path):
        name = member.name.rsplit('/', 1)[-1]
        if name in wanted:
            batches[name] = _batch(member.stream.read(), f'{name} in {path}')
    missing = sorted(wanted.difference(batches))
    if missing:
        raise UserError(f'{path} holds no {", ".join(missing)}: fetch it again')
    return Contents(CLASS_NAMES, {split: [image for name in names for image in _images(name, *batches[name])]
                                  for split, names in _BATCHES.items()})


def _batch(pickled, what):
    """A batch's rows (uint8 [n, 3072]) and labels ([n])."""
    batch = unpickle(pickled, what)
    try:
        rows, labels = batch[b'data'], batch[b'labels']
        shape = (len(labels), 3 * _SIDE * _SIDE)
        if rows.shape == shape and rows.dtype == 'uint8' and set(labels) <= set(range(10)):
            return rows, labels
    except (KeyError, TypeError, AttributeError):
        pass
    raise UserError(f'{what} is no batch of CIFAR-10: fetch the archive again')


def _images(name, rows, labels):
    return [PublishedImage(label, f'{name}/{n:05d}.png', _image(row))
            for n, (row, label) in enumerate(zip(rows, labels))]


def _image(row):
    return lambda: png([plane.tobytes() for plane in row.reshape(3, -1)], (_SIDE, _SIDE))


RELEASE = Release(
    archives=[Archive('https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz', 170498071,
                      '6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce')],
    shards={'train': ('cifar10_train.tfrecord', 1), 'test': ('cifar10_test.tfrecord', 1)}, read=read,
    first_net='cifarnet')
