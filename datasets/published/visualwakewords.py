"""Visual Wake Words: is there a person in the image? From COCO (Chowdhery et al. 2019, arXiv:1906.05721).

An image is labelled 1 where a person takes up more than 0.5% of it.
"""
import collections
import json
import os

from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, Published, PublishedImage
from slimtune.errors import UserError
from slimtune.storage.archives import index

NEEDS = ('train2014.zip, val2014.zip and annotations_trainval2014.zip of COCO, or the folders train2014, val2014 and '
         'annotations that were in them')
CLASS_NAMES = ['background', 'person']
SMALLEST_SHARE = 0.005

get_split = register('visualwakewords', splits={'train': 82783, 'val': 40504}, file_pattern='%s.record-*',
                     class_names=CLASS_NAMES)


def read(folder):
    """The images in a folder that holds what NEEDS says. Raises UserError naming what is missing."""
    annotations = _files(folder, 'annotations', 'annotations_trainval2014.zip')
    splits = {}
    for split in ('train', 'val'):
        name = 'instances_%s2014.json' % split
        if name not in annotations:
            raise UserError('no %s in the annotations in %s: it must hold %s' % (name, folder, NEEDS))
        splits[split] = _images(json.loads(annotations[name]().decode('utf-8')),
                                  _files(folder, split + '2014', split + '2014.zip'))
    return Contents(CLASS_NAMES, splits)


def _images(coco, found):
    """The Images of a COCO file, in its order. found: {file's name: function that returns the bytes}."""
    person = next(category['id'] for category in coco['categories'] if category['name'] == 'person')
    people = collections.defaultdict(list)
    for annotation in coco['annotations']:
        if annotation['category_id'] == person:
            people[annotation['image_id']].append(annotation)
    missing = [image['file_name'] for image in coco['images'] if image['file_name'] not in found]
    if missing:
        raise UserError('%d images are missing, %s first: the folder must hold %s' % (len(missing), missing[0], NEEDS))
    return [_image(image, people[image['id']], found[image['file_name']]) for image in coco['images']]


def _image(image, people, read_it):
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
    return PublishedImage(int(bool(large)), image['file_name'], read_it, features)


def _files(folder, unpacked, archive):
    """{file's name: function that returns the bytes} of a folder, or of the zip it came in."""
    for path in (os.path.join(folder, unpacked), os.path.join(folder, archive)):
        if os.path.exists(path):
            return {name.rsplit('/', 1)[-1]: read_it for name, read_it in index(path).items()}
    raise UserError('no %s in %s: it must hold %s' % (archive, folder, NEEDS))


PUBLISHED = Published([], {'train': ('train.record-%05d-of-%05d', 100), 'val': ('val.record-%05d-of-%05d', 10)}, read, NEEDS)
