"""ImageNet: 1.3 million photographs (Russakovsky et al. 2015).

1001 classes: label 0 is the background, of which the records have no images; 1 to 1000 are the synsets,
sorted. Only registered users get its archives, so that the user brings them; see NEEDS.
"""
import collections
import csv
import os
import random

from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release
from slimtune.errors import UserError
from slimtune.storage.archives import index

NEEDS = ('ILSVRC2012_img_train.tar (or its images in train/SYNSET/), ILSVRC2012_img_val.tar (or validation/) '
         'with imagenet_2012_validation_synset_labels.txt, and, where you have them, imagenet_metadata.txt '
         '(names of the synsets) and imagenet_2012_bounding_boxes.csv')
CLASSES = 1000
_SEED = 12345       # of the shuffle, as slim's

get_split = register('imagenet', splits={'train': 1281167, 'validation': 50000}, file_pattern='%s-*-of-*',
                     num_classes=CLASSES + 1)


def read(folder):
    """The photographs in a folder that holds what NEEDS says. Raises UserError naming what is missing."""
    training = _images(folder, 'ILSVRC2012_img_train.tar', 'train')
    synset_of = {name: name.split('/')[0] for name in training}
    synsets = sorted(set(synset_of.values()))
    if len(synsets) != CLASSES:
        raise UserError(f'{folder} holds the images of {len(synsets)} synsets instead of {CLASSES}')
    label_of = {synset: label for label, synset in enumerate(synsets, 1)}
    validation = _images(folder, 'ILSVRC2012_img_val.tar', 'validation')
    synset_of.update(_validation_synsets(folder, validation))
    words = dict(line.split('\t', 1) for line in _lines(folder, 'imagenet_metadata.txt'))
    boxes = _boxes(folder)

    def split(readers):
        images = [PublishedImage(label_of[synset_of[name]], name, reader,
                                 _features(synset_of[name], boxes.get(name.rsplit('/', 1)[-1].split('.')[0])))
                  for name, reader in readers.items()]
        random.Random(_SEED).shuffle(images)
        return images

    return Contents(['background'] + [words.get(synset, synset) for synset in synsets],
                    {'train': split(training), 'validation': split(validation)})


def _images(folder, archive, unpacked):
    """{name: function that returns the bytes} of an archive, or of a folder in its place."""
    for path in (os.path.join(folder, archive), os.path.join(folder, unpacked)):
        if os.path.exists(path):
            return {name: reader for name, reader in sorted(index(path).items())
                    if name.lower().endswith('.jpeg')}
    raise UserError(f'no {archive} in {folder}: it must hold {NEEDS}')


def _validation_synsets(folder, validation):
    """{name: synset}: the folder's name, or what the list of synsets has in the order of the files' names."""
    if all('/' in name for name in validation):
        return {name: name.split('/')[0] for name in validation}
    synsets = list(_lines(folder, 'imagenet_2012_validation_synset_labels.txt'))
    if len(synsets) != len(validation):
        path = os.path.join(folder, 'imagenet_2012_validation_synset_labels.txt')
        raise UserError(f'{path} lists {len(synsets)} synsets for {len(validation)} validation images: '
                        f'{folder} must hold {NEEDS}')
    return dict(zip(sorted(validation), synsets))


def _boxes(folder):
    """{name of an image, without ending: [(xmin, ymin, xmax, ymax), ...]}, as fractions."""
    boxes = collections.defaultdict(list)
    for name, *sides in csv.reader(_lines(folder, 'imagenet_2012_bounding_boxes.csv')):
        boxes[name.split('.')[0]].append([float(side) for side in sides])
    return boxes


def _features(synset, boxes):
    features = {'image/class/synset': [synset]}
    for n, side in enumerate(('xmin', 'ymin', 'xmax', 'ymax') if boxes else ()):
        features['image/object/bbox/' + side] = [box[n] for box in boxes]
    return features


def _lines(folder, name):
    """The lines of a text file; none where there is no such file."""
    path = os.path.join(folder, name)
    if os.path.isfile(path):
        with open(path, encoding='utf-8') as f:
            for line in f:
                if line.strip():
                    yield line.strip()


RELEASE = Release(
    archives=[],
    shards={'train': ('train-%05d-of-%05d', 1024), 'validation': ('validation-%05d-of-%05d', 128)},
    read=read, first_net='mobilenet_v1', needs=NEEDS)
