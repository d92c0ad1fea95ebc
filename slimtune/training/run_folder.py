"""The train folder: what of it training may touch, what an earlier run left in it, and a disk that fills."""
import contextlib
import itertools
import os
import re

from slimtune.checkpoints import checkpoint
from slimtune.datasets import labels
from slimtune.errors import UserError
from slimtune.options import load_run
from slimtune.storage import full_disk, locks
from slimtune.terminal import say

_CHECKPOINT = re.compile(r'model\.ckpt-\d+(\.(index|meta|data-\d{5}-of-\d{5}))?')   # slim's names and ours
#: What a kill or a full disk leaves of a file that was being written.
_UNFINISHED = re.compile(r'model\.ckpt-\d+\..*\.tempstate\d+'
                         r'|(graph\.pbtxt|checkpoint|model\.ckpt-\d+\.meta)\.tmp\w+'
                         r'|\.(run\.json|labels?\.txt)\.\w+\.part')
_LOCK = '.train.lock'


@contextlib.contextmanager
def locked(train_dir):
    """A context in which no other process trains in the folder, which is made where there is none.

    What is made here is removed at the end, but for a folder that something was put into. Raises UserError
    that names the other process.
    """
    # A file, not the folder itself: slim's eval writes into the train folder while it trains, and locks it.
    path, made = os.path.join(train_dir, _LOCK), not os.path.isdir(train_dir)
    os.makedirs(train_dir, exist_ok=True)
    lock = locks.acquire(path, make=True)
    if lock is None:
        raise UserError(f'{_owner(path)} trains in {train_dir}: wait for it to end, or choose another '
                        '--train-dir')
    with lock:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.remove(path)
                if made:
                    os.rmdir(train_dir)


def _owner(path):
    """The process that holds the lock on a file, for a message.

    Linux lists locks in lines such as '1: FLOCK ADVISORY WRITE PID DEVICE:INODE 0 EOF'.
    """
    inode = os.stat(path).st_ino
    with contextlib.suppress(OSError), open('/proc/locks', encoding='ascii') as f:
        for line in f:
            fields = line.split()
            if fields[1] == 'FLOCK' and fields[5].rpartition(':')[2] == str(inode):
                return f'process {fields[4]}'
    return 'another process'


def is_train_folder(folder):
    """Whether slimtune or slim trained in a folder: it holds checkpoints, or the run.json of a training."""
    if any(_CHECKPOINT.fullmatch(name) for name in os.listdir(folder)):
        return True
    try:
        return load_run(folder).path is not None
    except UserError:
        return False


def check(train_dir, class_names, dataset, restart):
    """Raises UserError where training would replace files that are the user's own, or --restart rename them.

    dataset: it must not lie in a folder that is renamed.
    """
    if restart:
        _check_restart(train_dir, dataset)
        return
    if not os.path.isdir(train_dir) or is_train_folder(train_dir):
        return
    contents = {'label.txt': labels.text_plain(class_names), 'labels.txt': labels.text_numbered(class_names),
                'run.json': None}
    for name, content in contents.items():
        path = os.path.join(train_dir, name)
        if os.path.exists(path) and not _holds(path, content):
            raise UserError(f'{path} is not of a training, and training would replace it: choose another '
                            '--train-dir')


def _holds(path, content):
    with open(path, 'rb') as f:
        return content is not None and f.read() == content.encode('utf-8')


def _check_restart(train_dir, dataset):
    """Raises UserError where --restart must not rename the folder: it is no train folder, or it is in use."""
    if not _contents(train_dir):
        return
    if not is_train_folder(train_dir):
        raise UserError(f'--restart renames a train folder, but {train_dir} holds no training: choose '
                        'another --train-dir')
    for path in [os.getcwd(), *dataset.data_sources]:
        if _inside(path, train_dir):
            raise UserError(f'--restart cannot rename {train_dir}, because {path} is in use: choose another '
                            '--train-dir')


def set_aside(train_dir, path=None):
    """Renames a train folder that holds anything, so that training starts over and nothing is lost.

    To be called after `check`. Returns where the file `path`, which may lie in it, is afterwards.
    """
    if not _contents(train_dir):
        return path
    folder = os.path.normpath(train_dir)
    names = (f'{folder}.before-{n}' for n in itertools.count(1))
    moved = next(name for name in names if not os.path.lexists(name))
    if path and _inside(path, folder):
        path = os.path.join(moved, os.path.relpath(os.path.realpath(path), os.path.realpath(folder)))
    try:
        os.rename(folder, moved)
        with contextlib.suppress(OSError):
            os.remove(os.path.join(moved, _LOCK))
    except OSError as e:        # a mount point, or a folder that may not be renamed
        raise UserError(f'--restart cannot rename {folder} ({e.strerror}): choose another --train-dir')
    say(f'Starting over; the previous run was moved to {moved}')
    return path


def _contents(folder):
    return set(os.listdir(folder)).difference([_LOCK]) if os.path.isdir(folder) else set()


def _inside(path, folder):
    """Whether a path lies in a folder, or is it; links are followed."""
    return (os.path.realpath(path) + os.sep).startswith(os.path.realpath(folder) + os.sep)


def sweep(train_dir):
    """Removes the unfinished files of a training that was killed, or whose disk was full."""
    for name in os.listdir(train_dir):
        if _UNFINISHED.fullmatch(name):
            os.remove(os.path.join(train_dir, name))


@contextlib.contextmanager
def writing(train_dir):
    """A context in which a full disk is one line that names the folder and what to do."""
    def remedy():
        latest = checkpoint.find_latest(train_dir)
        continues = f'it goes on from {latest}' if latest else 'it starts over'
        return f'then type the same command again, and {continues}; or choose another --train-dir'

    with full_disk.explain(train_dir, remedy):
        yield
