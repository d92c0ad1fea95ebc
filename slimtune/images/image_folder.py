"""Folders of images: which folders are splits, which are classes, and what lies in them."""
import collections
import hashlib
import heapq
import os
import re
import unicodedata

from slimtune.datasets import manifest
from slimtune.errors import UserError

#: Folders that are splits, and what the split is called.
SPLITS = {'train': 'train', 'validation': 'validation', 'val': 'validation', 'test': 'test'}
#: A folder that holds one of these is slimtune's own (a train folder, an export), not a class.
_OURS = ('run.json', 'model.json', 'checkpoint', manifest.NAME)
#: A file that may be an image. path: on the disk. name: relative to the source, as text. size, time: of the
#: file.
Candidate = collections.namedtuple('Candidate', 'path name split label size time')


class NoImages(UserError):
    """A folder without a single image in a class folder."""


def default_name(source):
    """A data set's name, from its folder's."""
    return re.sub(r'\W+', '_', _text(os.path.basename(os.path.abspath(source)))).strip('_') or 'images'


def find(source, output):
    """The files that may be images: (Candidates sorted by name, the splits given, [(what is passed over,
    why), ...]).

    Raises NoImages where no class folder holds any, UserError where `output` lies among the images.
    """
    if not os.path.isdir(source):
        raise UserError(f'no folder {source}: give the folder that holds a folder of images for every class')
    splits = _split_folders(source)
    candidates, passed = [], []
    for split, place in splits.items() or [('train', source)]:
        passed += [(_name(path, source), 'not in a class folder') for path in _loose(place)]
        for folder in class_folders(place):
            paths, not_followed = walk(folder, source)
            passed += [(_name(path, source), why) for path, why in not_followed]
            if paths:
                _refuse_inside(output, folder)
                label = _label(folder)
                candidates += [_candidate(path, source, split, label) for path in paths]
    if splits:
        passed += [(_name(path, source), 'neither train nor validation nor test')
                   for path in class_folders(source) if path not in splits.values()]
    elif os.path.realpath(output) != os.path.realpath(source):
        _refuse_inside(output, source)
    if not candidates:
        with_splits = os.path.join(source, 'train', 'CLASS', '*.jpg')
        without = os.path.join(source, 'CLASS', '*.jpg')
        loose = len(_loose(source))
        found = f'{loose} images directly in {source}' if loose else 'no image'
        raise NoImages(f'no class folders in {source}: expected {with_splits} or {without}, found {found}')
    return sorted(candidates, key=lambda one: one.name), list(splits), passed


def class_folders(place):
    """The paths of the folders in `place` that may be classes."""
    paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if not is_junk(name)]
    return [path for path in paths
            if os.path.isdir(path) and not any(os.path.exists(os.path.join(path, ours)) for ours in _OURS)]


def fingerprint(candidates):
    """Changes when an image is added, removed, renamed or written again."""
    lines = [f'{one.name}\t{one.size}\t{one.time}\n' for one in candidates]
    return hashlib.sha256(''.join(lines).encode('utf-8')).hexdigest()


def _candidate(path, source, split, label):
    try:
        status = os.stat(path)
        size, time = status.st_size, status.st_mtime_ns
    except OSError:     # a link to nowhere
        size = time = None
    return Candidate(path, _name(path, source), split, label, size, time)


def _loose(place):
    """The images, going by their names, that lie directly in `place`."""
    paths = [os.path.join(place, name) for name in sorted(os.listdir(place)) if not is_junk(name)]
    return [path for path in paths if path.lower().endswith(ENDINGS) and not os.path.isdir(path)]


def _split_folders(source):
    """The folders of SPLITS in `source` that hold class folders: {split: path}; {} where train is none."""
    found = {}
    for name, split in SPLITS.items():
        path = os.path.join(source, name)
        if os.path.isdir(path) and class_folders(path):
            if split in found:
                raise UserError(f'{found[split]} and {path} both exist: which one is the {split} set? '
                                'Move the other one away')
            found[split] = path
    if found and 'train' not in found and set(found.values()) == set(class_folders(source)):
        raise UserError(f'no {os.path.join(source, "train")} beside {" and ".join(found.values())}')
    return found if 'train' in found else {}


def _refuse_inside(output, folder):
    inside = os.path.realpath(output) + os.sep
    if inside.startswith(os.path.realpath(folder) + os.sep):
        raise UserError(
            f'--output-dir={output} lies inside {folder}, among the images: choose a folder outside')


def _text(name):
    """A file's name as text in any locale: UTF-8, else GBK; letters composed, as most systems write them."""
    data = os.fsencode(name)
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError:
        text = data.decode('gbk', 'replace')
    return unicodedata.normalize('NFC', text)


def _label(folder):
    label = _text(os.path.basename(folder)).strip()
    if not label or len(label.splitlines()) > 1:
        raise UserError(f'{folder!r} is not a name for a class: rename the folder')
    return label


def _name(path, source):
    return _text(os.path.relpath(path, source)).replace(os.sep, '/')


#: Endings of names of images; only for messages about files in the wrong place.
ENDINGS = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff')
#: What operating systems and network drives put into folders, in lower case.
_JUNK = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', '__macosx', '@eadir', '#recycle', '$recycle.bin',
         'lost+found', 'system volume information')


def is_junk(name):
    """Whether a file or folder of this name is the system's own: hidden, Thumbs.db and the like."""
    return name.startswith('.') or name.lower() in _JUNK


def walk(folder, root=None):
    """Finds all files in a folder and its subfolders but the system's own, those of is_junk.

    Returns (paths, sorted by name, [(folder that is passed over, why), ...]). Links to folders are followed
    after all real folders, in the order of their names, so that every folder is walked once, under the same
    name on every disk. A link to `root` (default: `folder`) or to a folder that holds it is not followed: a
    link to / would bring in the whole disk. A loop, because folders may be nested deeper than functions.
    """
    above = _identities_above(root or folder)
    paths, passed, seen = [], [], set()
    real, links = ([], [folder]) if os.path.islink(folder) else ([folder], [])
    while real or links:
        is_link = not real
        place = heapq.heappop(links) if is_link else real.pop()
        try:
            identity = _identity(place)
            is_start = root is None and place == folder     # it may be a link itself
            if is_link and identity in above and not is_start:
                passed.append((place, 'a link to a folder that holds this one, not followed'))
                continue
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(place) as entries:
                inside = [entry for entry in entries if not is_junk(entry.name)]
        except OSError as e:
            passed.append((place, e.strerror))
            continue
        for entry in inside:
            if not entry.is_dir():
                paths.append(entry.path)
            elif entry.is_symlink():
                heapq.heappush(links, entry.path)
            else:
                real.append(entry.path)
    return sorted(paths), sorted(passed)


def _identity(path):
    """What two names of one folder have in common."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _identities_above(folder):
    """The identities of a folder and of all folders that hold it."""
    path, found = os.path.realpath(folder), set()
    while True:
        found.add(_identity(path))
        if path == os.path.dirname(path):
            return found
        path = os.path.dirname(path)
