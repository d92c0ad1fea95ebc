"""What the cache holds, entry by entry, to list it and to remove it: features, weights, archives, records.

Only what slimtune wrote is listed, so that nothing else in the folder can be removed: CACHE may be any
folder.
"""
import contextlib
import dataclasses
import os
import re
import shutil

from slimtune.storage import locks

FEATURES, WEIGHTS, ARCHIVES = 'features', 'weights', 'archives'
#: The kinds of records that slimtune writes. Another folder of the cache may be another program's.
RECORDS = ('agreement', 'feature_engines', 'trusted_modules')
_KEY = r'[0-9a-f]{16,64}'
_FEATURES = re.compile(_KEY)
#: Features that are being computed; what no process holds was left by a killed one (the second: of earlier
#: versions).
_UNFINISHED = re.compile(rf'{_KEY}(-\w+\.part|\.part-\d+)')
_RECORD = re.compile(_KEY + r'\.json')
#: The files in a folder of weights; {} is its name. The last ones: those of atomic.exchange.
_WEIGHTS = r'{}\.ckpt(|\.index|\.data-\d+-of-\d+)|\.slimtune-.*'


@dataclasses.dataclass(frozen=True)
class Entry:
    """Something that is removed as a whole.

    paths: its files, or its folder. lock: the path that a process locks as long as it uses the entry. size:
    bytes. used: seconds since the epoch. unfinished: features that are not complete yet, or never will be.
    """
    kind: str
    name: str
    paths: tuple
    lock: str
    size: int
    used: float
    unfinished: bool = False


def entries(folder, archives=()):
    """The Entries of a cache, the least recently used first.

    archives: the names of published files, which lie in the cache itself.
    """
    found = features(folder)
    for place in _folders(os.path.join(folder, WEIGHTS)):
        name, files = os.path.basename(place), _names(place)
        if files and all(re.fullmatch(_WEIGHTS.format(re.escape(name)), file) for file in files):
            found.append(_entry(WEIGHTS, name, [place], place))
    for kind in RECORDS:
        place = os.path.join(folder, kind)
        records = [os.path.join(place, file) for file in _names(place) if _RECORD.fullmatch(file)]
        records = [path for path in records if os.path.isfile(path)]
        if records:
            found.append(_entry(kind, f'{len(records)} records', records, place))
    for name in archives:
        paths = [os.path.join(folder, name + ending) for ending in ('', '.part', '.part.json')]
        paths = [path for path in paths if os.path.isfile(path)]
        if paths:
            found.append(_entry(ARCHIVES, name, paths, locks.lock_file(os.path.join(folder, name))))
    return sorted(found, key=lambda entry: entry.used)


def features(folder):
    """The Entries of a cache's features, the least recently used first."""
    found = []
    for place in _folders(os.path.join(folder, FEATURES)):
        name = os.path.basename(place)
        unfinished = bool(_UNFINISHED.fullmatch(name))
        if unfinished or _FEATURES.fullmatch(name):
            found.append(_entry(FEATURES, name, [place], place, unfinished))
    return sorted(found, key=lambda entry: entry.used)


@contextlib.contextmanager
def alone(folder):
    """One process at a time makes room, begins or ends a computation. Makes the folder of the features."""
    place = os.path.join(folder, FEATURES)
    os.makedirs(place, exist_ok=True)
    with locks.acquire(place, wait=True):
        yield


def is_used(entry):
    """Whether a process uses the entry now."""
    try:
        lock = locks.acquire(entry.lock)
    except FileNotFoundError:
        return False
    if lock is None:
        return True
    lock.release()
    return False


def remove(entry):
    """Removes an Entry, unless a process uses it; returns whether it is gone."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FileNotFoundError):        # no lock file: nobody has downloaded the archive
            lock = locks.acquire(entry.lock)
            if lock is None or entry.unfinished and not lock.excludes:
                return False
            held.enter_context(lock)
        for path in entry.paths:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    return True


def shrink(folder, found, size):
    """Removes Entries of a cache, the first ones first, until all together take `size` bytes at most.

    Returns those removed; what a process uses stays.
    """
    total, removed = sum(entry.size for entry in found), []
    with alone(folder):
        for entry in found:
            if total > size and remove(entry):
                total -= entry.size
                removed.append(entry)
    return removed


def _entry(kind, name, paths, lock, unfinished=False):
    files = [path for path in paths if os.path.isfile(path)]
    for path in paths:
        files += [os.path.join(place, file) for place, _, inner in os.walk(path) for file in inner]
    used = max(_status(path).st_mtime for path in paths)
    size = sum(_status(file).st_size for file in files)
    return Entry(kind, name, tuple(paths), lock, size, used, unfinished)


def _status(path):
    """os.stat; of a file that another command removes meanwhile, an empty one's."""
    try:
        return os.stat(path)
    except OSError:
        return os.stat_result((0,) * 10)


def _folders(folder):
    """The paths of the folders in a folder. A link is not one: what it leads to is not the cache's."""
    paths = [os.path.join(folder, name) for name in _names(folder)]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
