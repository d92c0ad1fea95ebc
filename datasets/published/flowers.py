"""Flowers: 3670 photographs of five kinds (TensorFlow's flower_photos).

350 of them are held out. Which ones, slim leaves to the order in which the disk lists the files; here the
names are sorted, shuffled with seed 0, and the first 350 are the validation set, so that it is the same on
every machine.
"""
import random

from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release
from slimtune.errors import UserError
from slimtune.storage.archives import Archive, members

CLASS_NAMES = ['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips']
VALIDATION = 350

get_split = register('flowers', splits={'train': 3320, 'validation': 350}, class_names=CLASS_NAMES)


def read(paths):
    """The photographs in the archive; holds out 350, or a tenth of a smaller archive.

    paths: {archive's name: path}. Raises UserError for another archive.
    """
    path, = paths.values()
    encoded = {}
    for member in members(path):
        label = member.name.split('/')[-2] if '/' in member.name else ''
        if label in CLASS_NAMES:
            encoded['/'.join(member.name.split('/')[-2:])] = member.stream.read()
    if len(encoded) < 2:
        raise UserError(f'{path} holds no photographs in folders {", ".join(CLASS_NAMES)}: fetch it again')
    names = sorted(encoded)
    random.Random(0).shuffle(names)
    photographs = [
        PublishedImage(CLASS_NAMES.index(name.split('/')[0]), name, lambda name=name: encoded[name])
        for name in names]
    held_out = min(VALIDATION, max(1, len(names) // 10))
    return Contents(CLASS_NAMES, {'train': photographs[held_out:], 'validation': photographs[:held_out]})


RELEASE = Release(
    archives=[Archive('https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz',
                      228813984, '4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c')],
    shards={'train': ('flowers_train_%05d-of-%05d.tfrecord', 5),
            'validation': ('flowers_validation_%05d-of-%05d.tfrecord', 5)},
    read=read, first_net='mobilenet_v1_025')
