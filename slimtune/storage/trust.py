"""Which data set modules this user trained with: eval and export run a module that run.json names only if it is one of them.

A train folder may come from somebody else, so the record lies outside of it: a file per train folder in the user's cache,
under the hash of the folder's real path. It counts only for the same folder and the same bytes of the module.
"""
import contextlib
import dataclasses
import hashlib
import json
import os

from slimtune.errors import UserError
from slimtune.storage import atomic, json_file
from slimtune.storage.cache import cache_folder
from slimtune.terminal import warn

_FOLDER = 'trusted_modules'


@dataclasses.dataclass(frozen=True)
class Record:
    """A training with a data set module. train_dir, module: real paths. sha256: of the module's bytes."""
    train_dir: str
    module: str
    sha256: str


def remember(train_dir, module):
    """Records that this user trains in `train_dir` with the data set module at the path `module`, which was typed."""
    record = _record(train_dir, module)
    try:
        os.makedirs(os.path.dirname(_path(record.train_dir)), mode=0o700, exist_ok=True)
        atomic.write_text(_path(record.train_dir), json.dumps(dataclasses.asdict(record), indent=1) + '\n')
    except OSError as e:
        warn(f'{module} cannot be recorded in the cache ({e.strerror}): eval and export will ask for --dataset-module')


def is_trusted(train_dir, module):
    """Whether this user trained in `train_dir` with this module, as it is now."""
    with contextlib.suppress(OSError, UserError):      # no record, a damaged one, no module: not trusted
        record = _record(train_dir, module)
        path = _path(record.train_dir)
        return os.stat(path).st_uid == os.getuid() and json_file.read(Record, path, 'remove it') == record
    return False


def _record(train_dir, module):
    with open(module, 'rb') as f:
        return Record(os.path.realpath(train_dir), os.path.realpath(module), hashlib.sha256(f.read()).hexdigest())


def _path(train_dir):
    name = hashlib.sha256(os.fsencode(train_dir)).hexdigest()
    return os.path.join(cache_folder(), _FOLDER, f'{name}.json')
