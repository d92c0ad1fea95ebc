"""Visual Wake Words: is there a person in the image? From COCO (Chowdhery et al. 2019, arXiv:1906.05721).

An image is labelled 1 where a person takes up more than 0.5% of it.
"""
import collections
import json
import os

from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release
from slimtune.errors import UserError
from slimtune.storage.archives import index

NEEDS = ('train2014.zip, val2014.zip and annotations_trainval2014.zip of COCO, or the folders train2014, '
         'val2014 and annotations that were in them')
CLASS_NAMES = ['background', 'person']
SMALLEST_SHARE = 0.005

get_split = register('visualwakewords', splits={'train': 82783, 'val': 40504}, file_pattern='%s.record-*',
                     class_names=CLASS_NAMES)


def read(folder):
    """The images in a folder that holds what NEEDS says. Raises UserError naming what is missing."""
    annotations = _files(folder, 'annotations', 'annotations_trainval2014.zip')
    splits = {}
    for split in ('train', 'val'):
        name = f'instances_{split}2014.json'
        if name not in annotations:
            raise UserError(f'no {name} in the annotations in {folder}: it must hold {NEEDS}')
        splits[split] = _images(json.loads(annotations[name]().decode('utf-8')),
                                _files(folder, split + '2014', split + '2014.zip'))
    return Contents(CLASS_NAMES, splits)


def _images(coco, readers):
    """The images of a COCO file, in its order. readers: {file's name: function that returns the bytes}."""
    person = next(category['id'] for category in coco['categories'] if category['name'] == 'person')
    people = collections.defaultdict(list)
    for annotation in coco['annotations']:
        if annotation['category_id'] == person:
            people[annotation['image_id']].append(annotation)
    missing = [image['file_name'] for image in coco['images'] if image['file_name'] not in readers]
    if missing:
        raise UserError(f'{len(missing)} images are missing, {missing[0]} first: the folder must hold '
                        f'{NEEDS}')
    return [_image(image, people[image['id']], readers[image['file_name']]) for image in coco['images']]


def _image(image, people, reader):
    width, height = image['width'], image['height']
    large = [person for person in people if person['area'] / (width * height) > SMALLEST_SHARE]
    features = {'image/source_id': [str(image['id'])]}
    if large:
        boxes = [person['bbox'] for person in large]        # x, y, width, height in pixels
        features.update({
            'image/object/bbox/xmin': [box[0] / width for box in boxes],
            'image/object/bbox/xmax': [(box[0] + box[2]) / width for box in boxes],
            'image/object/bbox/ymin': [box[1] / height for box in boxes],
            'image/object/bbox/ymax': [(box[1] + box[3]) / height for box in boxes],
            'image/object/area': [float(person['area']) for person in large]})
    return PublishedImage(int(bool(large)), image['file_name'], reader, features)


def _files(folder, unpacked, archive):
    """{file's name: function that returns the bytes} of a folder, or of the zip it came in."""
    for path in (os.path.join(folder, unpacked), os.path.join(folder, archive)):
        if os.path.exists(path):
            return {name.rsplit('/', 1)[-1]: reader for name, reader in index(path).items()}
    raise UserError(f'no {archive} in {folder}: it must hold {NEEDS}')


RELEASE = Release(
    archives=[], shards={'train': ('train.record-%05d-of-%05d', 100), 'val': ('val.record-%05d-of-%05d', 10)},
    read=read, first_net='mobilenet_v1_025', needs=NEEDS)
