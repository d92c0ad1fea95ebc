"""The data sets with a name: one module each in slimtune.datasets.published, which is all there is to add.

Such a module registers its name, classes and splits (dataset_factory.register). Where it defines RELEASE, a
Release, it can be downloaded: where its archives are, how to read them, and which net to train first.
"""
import collections
import importlib
import io
import pkgutil

from slimtune.datasets import published

#: How a data set is published. archives: archives.Archives to fetch; none where the user must bring them.
#: shards: {split: (pattern of slim's file names, their number)}. read: function of {archive's name: path}, or
#: of the user's folder, that returns Contents. first_net: the net to train first. needs: what the user's
#: folder must hold.
Release = collections.namedtuple('Release', 'archives shards read first_net needs')
Release.__new__.__defaults__ = ('',)

#: class_names: by label. splits: {split: [PublishedImage, ...]}, in the order of the records.
Contents = collections.namedtuple('Contents', 'class_names splits')

#: label: an integer. name: of its file. read: function that returns the encoded image. features: {key:
#: [values]} of its record, beside those that every record has.
PublishedImage = collections.namedtuple('PublishedImage', 'label name read features')
PublishedImage.__new__.__defaults__ = (None,)


def modules():
    """The modules of the data sets with a name: {name: module}, sorted. Importing one registers it."""
    found = sorted(name for _, name, _ in pkgutil.iter_modules(published.__path__))
    return {name: importlib.import_module(f'{published.__name__}.{name}') for name in found}


def names():
    """The names of the data sets that can be downloaded, sorted."""
    return [name for name, module in modules().items() if hasattr(module, 'RELEASE')]


def release(name):
    """The Release of a data set of `names`."""
    return modules()[name].RELEASE


def png(planes, size):
    """An image as PNG. planes: the bytes of each channel, one (grey) or three. size: (width, height)."""
    from PIL import Image
    bands = [Image.frombytes('L', size, plane) for plane in planes]
    encoded = io.BytesIO()
    (bands[0] if len(bands) == 1 else Image.merge('RGB', bands)).save(encoded, 'PNG')
    return encoded.getvalue()
