"""Folders of images: which folders are splits, which are classes, and what lies in them."""
import collections
import hashlib
import os
import re
import unicodedata

from slimtune.datasets import manifest
from slimtune.errors import UserError

#: Folders that are splits, and what the split is called.
SPLITS = {'train': 'train', 'validation': 'validation', 'val': 'validation', 'test': 'test'}
#: A folder that holds one of these is slimtune's own (a train folder, an export), not a class.
_OURS = ('run.json', 'model.json', 'checkpoint', manifest.NAME)
#: A file that may be an image. path: on the disk. name: relative to the source, as text. size, time: of the file.
Candidate = collections.namedtuple('Candidate', 'path name split label size time')


def default_name(source):
    """A data set's name, from its folder's."""
    return re.sub(r'\W+', '_', _text(os.path.basename(os.path.abspath(source)))).strip('_') or 'images'


def find(source, output):
    """The files that may be images: (Candidates sorted by name, the splits given, [(what is passed over, why), ...]).

    Raises UserError where there are no class folders, or where `output` lies among the images.
    """
    if not os.path.isdir(source):
        raise UserError('no folder %s: give the folder that holds a folder of images for every class' % source)
    splits = _split_folders(source)
    candidates, passed = [], []
    for split, place in splits.items() or [('train', source)]:
        passed += [(_name(path, source), 'not in a class folder') for path in _loose(place)]
        for folder in class_folders(place):
            _refuse_inside(output, folder)
            label = _label(folder)
            candidates += [_candidate(path, source, split, label) for path in walk(folder)]
    if splits:
        passed += [(_name(path, source), 'neither train nor validation nor test')
                   for path in class_folders(source) if path not in splits.values()]
    elif os.path.realpath(output) != os.path.realpath(source):
        _refuse_inside(output, source)
    if not candidates:
        raise UserError('no class folders in %s: expected %s or %s, found %s' % (
            source, os.path.join(source, 'train', 'CLASS', '*.jpg'), os.path.join(source, 'CLASS', '*.jpg'),
            '%d images directly in %s' % (len(passed), source) if passed else 'no image'))
    return sorted(candidates, key=lambda one: one.name), list(splits), passed


def class_folders(place):
    """The paths of the folders in `place` that may be classes."""
    paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if not is_junk(name)]
    return [path for path in paths
            if os.path.isdir(path) and not any(os.path.exists(os.path.join(path, ours)) for ours in _OURS)]


def fingerprint(candidates):
    """Changes when an image is added, removed, renamed or written again."""
    lines = ['%s\t%s\t%s\n' % (one.name, one.size, one.time) for one in candidates]
    return hashlib.sha256(''.join(lines).encode('utf-8')).hexdigest()


def _candidate(path, source, split, label):
    facts = os.stat(path) if os.path.exists(path) else None     # a link to nowhere
    return Candidate(path, _name(path, source), split, label, facts and facts.st_size, facts and facts.st_mtime_ns)


def _loose(place):
    """The images, going by their names, that lie directly in `place`."""
    paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if not is_junk(name)]
    return [path for path in paths if path.lower().endswith(ENDINGS) and not os.path.isdir(path)]


def _split_folders(source):
    """The folders of SPLITS in `source` that hold class folders: {split: path}; {} where there is no train."""
    found = {}
    for name, split in SPLITS.items():
        path = os.path.join(source, name)
        if os.path.isdir(path) and class_folders(path):
            if split in found:
                raise UserError('%s and %s are both there: which one is the %s set? Move the other one away'
                                % (found[split], path, split))
            found[split] = path
    if found and 'train' not in found and set(found.values()) == set(class_folders(source)):
        raise UserError('no %s beside %s' % (os.path.join(source, 'train'), ' and '.join(found.values())))
    return found if 'train' in found else {}


def _refuse_inside(output, folder):
    inside = os.path.realpath(output) + os.sep
    if inside.startswith(os.path.realpath(folder) + os.sep):
        raise UserError('--output-dir=%s lies inside %s, among the images: choose a folder outside'
                        % (output, folder))


def _text(name):
    """A file's name as text, whatever the locale: UTF-8, else GBK; composed letters, as most systems write them."""
    data = os.fsencode(name)
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError:
        text = data.decode('gbk', 'replace')
    return unicodedata.normalize('NFC', text)


def _label(folder):
    label = _text(os.path.basename(folder)).strip()
    if not label or len(label.splitlines()) > 1:
        raise UserError('%r is no name for a class: rename the folder' % folder)
    return label


def _name(path, source):
    return _text(os.path.relpath(path, source)).replace(os.sep, '/')


#: Names that say "image"; only for what is said about files lying in the wrong place.
ENDINGS = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff')
_JUNK = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', '__macosx')


def is_junk(name):
    """Whether a file or folder of this name is the system's own: hidden, Thumbs.db and the like."""
    return name.startswith('.') or name.lower() in _JUNK


def walk(folder):
    """The paths of all files in a folder and its subfolders but the system's own, in the order of their names."""
    found, seen = [], set()
    for path, folders, names in os.walk(folder, followlinks=True):
        # A link to a folder above would be walked for ever.
        seen.add(os.path.realpath(path))
        folders[:] = [name for name in folders
                      if not is_junk(name) and os.path.realpath(os.path.join(path, name)) not in seen]
        found += [os.path.join(path, name) for name in names if not is_junk(name)]
    return sorted(found)
