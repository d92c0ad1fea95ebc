"""Which data set modules this user trained with: eval and export run a module that run.json names only if it
is one of them.

A train folder may come from somebody else, so the record lies outside of it, in the cache: a file per user
and train folder. It counts only for the same folder and the same bytes of the module.
"""
import contextlib
import dataclasses
import hashlib
import os

from slimtune.errors import UserError
from slimtune.storage import cache, json_file

_KIND = 'trusted_modules'


@dataclasses.dataclass(frozen=True)
class Record:
    """A training with a data set module. train_dir, module: real paths. sha256: of the module's bytes."""
    train_dir: str
    module: str
    sha256: str


def remember(train_dir, module):
    """Records that this user trains in `train_dir` with the data set module at the path `module`.

    Only for a module that was typed. Where the cache cannot be written, eval and export ask for the module
    again.
    """
    record = _record(train_dir, module)
    cache.write_record(None, _KIND, _key(record), dataclasses.asdict(record))


def is_trusted(train_dir, module):
    """Whether this user trained in `train_dir` with this module, as it is now."""
    with contextlib.suppress(OSError):      # no module
        record = _record(train_dir, module)
        for folder in cache.folders_to_read():
            path = os.path.join(folder, _KIND, f'{_key(record)}.json')
            with contextlib.suppress(OSError, UserError):       # no record, or a damaged one
                # The owner: a cache may be shared with others, who must not decide what this user runs.
                if os.stat(path).st_uid == os.getuid() and json_file.read(Record, path,
                                                                          'remove it') == record:
                    return True
    return False


def _record(train_dir, module):
    with open(module, 'rb') as f:
        return Record(os.path.realpath(train_dir), os.path.realpath(module),
                      hashlib.sha256(f.read()).hexdigest())


def _key(record):
    return hashlib.sha256(os.fsencode(f'{os.getuid()} {record.train_dir}')).hexdigest()
