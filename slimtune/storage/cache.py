"""The cache: what can be computed or fetched again, kept for all projects of a user.

CACHE/features, CACHE/weights and the archives are files of the modules that write them; small results are
records here: CACHE/KIND/KEY.json. A cache that cannot be written is still read, and work goes on in a
temporary folder.
"""
import atexit
import contextlib
import json
import os
import shutil
import tempfile

from slimtune.storage import atomic
from slimtune.terminal import warn

_fallback = []      # the temporary folder of this process, once it was needed; [None] where none can be made


def cache_folder(cache_dir=None):
    """The folder that the cache is read from: --cache-dir, else SLIMTUNE_CACHE, else the user's own.

    It need not exist. Where the user has no home folder, it is a temporary one.
    """
    default = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.join('~', '.cache'), 'slimtune')
    folder = os.path.expanduser(cache_dir or os.environ.get('SLIMTUNE_CACHE') or default)
    if folder.startswith('~'):      # nobody's home: a container's user without an entry
        return _temporary('there is no home folder') or folder
    return folder


def writable_folder(cache_dir=None):
    """The folder to write to: the cache's, else a temporary one that is removed at the end, else None.

    Warns once per process where it is not the cache's.
    """
    folder = cache_folder(cache_dir)
    if folder in _fallback:
        return folder
    if folder.startswith('~'):
        return None
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as e:
        return _temporary(f'the cache {folder} cannot be written ({e.strerror})')


def is_temporary(folder):
    """Whether a folder that `writable_folder` returned is removed at the end of this process."""
    return folder in _fallback


def folders_to_read(cache_dir=None):
    """The folders in which a file of the cache may lie: where this process has written first."""
    return list(dict.fromkeys([folder for folder in _fallback if folder] + [cache_folder(cache_dir)]))


def read_record(cache_dir, kind, key):
    """The record KIND/KEY as a dict; None where there is none or it is damaged.

    cache_dir: --cache-dir, or None. kind, key: bare file names.
    """
    for folder in folders_to_read(cache_dir):
        path = _path(folder, kind, key)
        with contextlib.suppress(OSError, ValueError, RecursionError):
            with open(path, encoding='utf-8') as f:
                record = json.load(f)
            touch(path)
            if isinstance(record, dict):
                return record
    return None


def write_record(cache_dir, kind, key, record):
    """Keeps a dict of JSON values as KIND/KEY. Where nothing can be written, warns once and returns."""
    folder = writable_folder(cache_dir)
    if folder is None:
        return
    path = _path(folder, kind, key)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic.write_text(path, json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + '\n')
    except OSError as e:
        _warn_once(f'{path} cannot be written ({e.strerror}); going on without')


def touch(path):
    """Marks a file or folder of the cache as used now; a cache that cannot be written is left as it is."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _path(folder, kind, key):
    return os.path.join(folder, kind, f'{key}.json')


def _temporary(reason):
    """The temporary folder that stands for the cache in this process, None where there can be none.

    reason: for the one warning about it.
    """
    if not _fallback:
        try:
            _fallback.append(tempfile.mkdtemp(prefix='slimtune-'))
            atexit.register(shutil.rmtree, _fallback[0], ignore_errors=True)
            _warn_once(f'{reason}: results are cached in {_fallback[0]} and removed at the end')
        except OSError:
            _fallback.append(None)
            _warn_once(f'{reason}: nothing is cached')
    return _fallback[0]


_warned = []


def _warn_once(text):
    if not _warned:
        _warned.append(text)
        warn(f'{text}; set SLIMTUNE_CACHE to a folder that can be written')
