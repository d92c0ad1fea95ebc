"""Files that appear whole or not at all.

One file is written beside its place and renamed. Where several belong together (`exchange`), all are first
written into a hidden folder; then a journal lists the renames, and from that moment the new set counts: the
next command finishes what a killed one began (`settle`), and what never got as far as its journal is removed.
"""
import contextlib
import dataclasses
import json
import os
import shutil
import uuid
from typing import List

from slimtune.errors import UserError
from slimtune.storage import json_file, locks

_STAGE = '.slimtune-new'
_JOURNAL = '.slimtune-journal.json'
#: Renamed before all others: slim's own scripts know no journal, and number the classes by these.
_FIRST = ('label.txt', 'labels.txt')


@dataclasses.dataclass(frozen=True)
class Journal:
    """The content of the journal. new: the files to rename into the folder. gone: those to remove from it."""
    new: List[json_file.FileName]
    gone: List[json_file.FileName]


def write_bytes(path, data):
    """Writes a file whole or not at all."""
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f'.{name}.{uuid.uuid4().hex[:8]}.part')
    try:
        with open(beside, 'wb') as f:
            f.write(data)
            sync(f)
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.remove(beside)


def write_text(path, text):
    """Writes a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode('utf-8'))


def sync(file):
    """Returns when what was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


class Exchange:
    """The files that a command will put into a folder and those it will remove, all at once."""

    def __init__(self, folder):
        self._folder = folder
        self._stage = os.path.join(folder, _STAGE)
        self._gone = set()

    def remove(self, names):
        """These files are slimtune's: they are replaced, or removed where no new one has their name.

        Raises UserError for a name that is no file's of this very folder.
        """
        for name in names:
            if not json_file.is_file_name(name) or _is_folder(os.path.join(self._folder, name)):
                raise UserError(f'{name!r} is not the name of a file in {self._folder}: it is not removed')
        self._gone.update(names)

    def path(self, name):
        """Where to write the file that will be called `name`.

        Raises UserError where there is such a file already, and `remove` was not told of it.
        """
        place = os.path.join(self._folder, name)
        if _is_folder(place) or os.path.lexists(place) and name not in self._gone:
            raise UserError(f'{place} exists and slimtune did not write it: move it, or choose another '
                            'folder')
        return os.path.join(self._stage, name)

    def commit(self):
        """Writes the journal, once everything is on the disk."""
        new = sorted(os.listdir(self._stage), key=lambda name: (name not in _FIRST, name))
        for name in new:
            with open(os.path.join(self._stage, name), 'rb+') as f:
                sync(f)
        journal = Journal(new, sorted(self._gone.difference(new)))
        staged = os.path.join(self._stage, _JOURNAL)
        write_text(staged, json.dumps(dataclasses.asdict(journal)))
        os.replace(staged, os.path.join(self._folder, _JOURNAL))


@contextlib.contextmanager
def exchange(folder):
    """Gives an Exchange for the block; its files appear in `folder` together at its end, or none does.

    Makes the folder where there is none. Raises UserError where another command is writing to it.
    """
    made = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        lock = locks.acquire(folder)
        if lock is None:
            raise UserError(f'another command is writing to {folder}: wait for it to end')
        with lock:
            _finish(folder)
            os.mkdir(os.path.join(folder, _STAGE))
            try:
                files = Exchange(folder)
                yield files
                files.commit()
            finally:
                _finish(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            if made:
                os.rmdir(folder)
        raise


def settle(folder):
    """Finishes or undoes what a killed command left in `folder`; readers of a set of files call it first.

    While another command is still preparing its files, the old ones stand, and this returns at once. Raises
    UserError where what lies there is not what a command of slimtune leaves: nothing is touched then.
    """
    if not any(os.path.lexists(os.path.join(folder, name)) for name in (_STAGE, _JOURNAL)):
        return
    lock = locks.acquire(folder, wait=os.path.exists(os.path.join(folder, _JOURNAL)))
    if lock is None:
        return
    with lock:
        try:
            _finish(folder)
        except OSError as e:
            raise UserError(f'{folder} was left half-written and cannot be put right: {e.strerror}') from e


def _finish(folder):
    """With a journal: does what it says, as often as need be. Without one: removes the new files."""
    path, stage = (os.path.join(folder, name) for name in (_JOURNAL, _STAGE))
    remedy = f'remove {_JOURNAL} and {_STAGE}, and trust nothing in {folder} if it came from elsewhere'
    if os.path.lexists(stage) and not _is_folder(stage):
        raise UserError(f'{stage} is not a folder, as slimtune would have made it: {remedy}')
    if os.path.lexists(path):
        if not os.path.isfile(path):
            raise UserError(f'{path} is not a file, as slimtune would have made it: {remedy}')
        journal = json_file.read(Journal, path, remedy)
        for name in journal.gone + journal.new:
            if _is_folder(os.path.join(folder, name)):
                raise UserError(f'{path}: {name} is a folder, expected a file: {remedy}')
        for name in journal.gone:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, name))
        for name in journal.new:
            with contextlib.suppress(FileNotFoundError):    # renamed before the kill
                os.replace(os.path.join(stage, name), os.path.join(folder, name))
        os.remove(path)
    shutil.rmtree(stage, ignore_errors=True)


def _is_folder(path):
    """Whether it is a folder itself, not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)
