"""Files appear whole or not at all.

One file is written beside its place and renamed. Where several belong together (`exchange`), all are first written into
a hidden folder; then a journal names the renames, and from that moment the new set counts: whoever comes next finishes
what a killed command began (`settle`), and what never got as far as its journal is thrown away.
"""
import contextlib
import errno
import json
import os
import shutil

from slimtune.errors import UserError

try:
    import fcntl
except ImportError:     # Windows: no lock, one command at a time is up to the user
    fcntl = None
_STAGE = '.slimtune-new'
_JOURNAL = '.slimtune-journal.json'


def write_bytes(path, data):
    """Writes a file whole or not at all."""
    folder, name = os.path.split(path)
    beside = os.path.join(folder, '.%s.%d.part' % (name, os.getpid()))
    try:
        with open(beside, 'wb') as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.remove(beside)


def write_text(path, text):
    """Writes a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode('utf-8'))


class Exchange:
    """The files that a command will put into a folder and those it will take away, all at once."""

    def __init__(self, folder):
        self._folder = folder
        self._stage = os.path.join(folder, _STAGE)
        self._gone = []

    def path(self, name):
        """Where to write the file that will be called `name`."""
        return os.path.join(self._stage, name)

    def remove(self, names):
        """These files of the folder go, but for those that are written anew."""
        self._gone += names

    def commit(self):
        """Writes the journal, once everything is on the disk."""
        new = sorted(os.listdir(self._stage))
        for name in new:
            with open(self.path(name), 'rb') as f:
                os.fsync(f.fileno())
        journal = {'new': new, 'gone': sorted(set(self._gone) - set(new))}
        write_text(self.path(_JOURNAL), json.dumps(journal))
        os.replace(self.path(_JOURNAL), os.path.join(self._folder, _JOURNAL))


@contextlib.contextmanager
def exchange(folder):
    """Gives an Exchange for the block; its files appear in `folder` together when the block ends, or none does.

    Makes the folder where there is none. Raises UserError where another command is writing to it.
    """
    made = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        with _locked(folder) as free:
            if not free:
                raise UserError('another command is writing to %s: wait for it to end' % folder)
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
    """Finishes or undoes what a killed command left in `folder`. Every reader of a set of files calls it first.

    While another command is still preparing its files, the old ones stand, and this returns at once.
    """
    if not any(os.path.exists(os.path.join(folder, name)) for name in (_STAGE, _JOURNAL)):
        return
    with _locked(folder, wait=os.path.exists(os.path.join(folder, _JOURNAL))) as free:
        if free:
            try:
                _finish(folder)
            except OSError as e:
                raise UserError('%s was left half-written and cannot be put right: %s' % (folder, e.strerror)) from e


def _finish(folder):
    """With a journal: does what it says, as often as need be. Without one: throws the new files away."""
    journal, stage = (os.path.join(folder, name) for name in (_JOURNAL, _STAGE))
    if os.path.exists(journal):
        with open(journal, encoding='utf-8') as f:
            renames = json.load(f)
        for name in renames['gone']:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, name))
        for name in renames['new']:
            with contextlib.suppress(FileNotFoundError):    # renamed before the kill
                os.replace(os.path.join(stage, name), os.path.join(folder, name))
        os.remove(journal)
    shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder, wait=False):
    """Whether the folder is ours for the block. The kernel lets go of the lock when a process dies."""
    if fcntl is None:
        yield True
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            free = True
        except OSError as e:
            # Some network file systems lock no folders: better unlocked than not at all.
            free = e.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        yield free
    finally:
        os.close(held)
