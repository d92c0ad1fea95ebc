"""Locks on folders and files. The kernel releases them when their process ends, however it ends.

On Linux and macOS (flock). Where the system or the file system has no such locks, work goes on unlocked.
"""
import contextlib
import errno
import os

try:
    import fcntl
except ImportError:
    fcntl = None
_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EACCES)


class Lock:
    """A lock that is held until `release`, the end of its `with` block or of its process.

    excludes: whether it keeps others away; False where there are no locks.
    """

    def __init__(self, descriptor, excludes):
        self._descriptor, self.excludes = descriptor, excludes

    def share(self):
        """Lets others have the lock too, shared.

        flock may give the lock away before it is shared: then this waits until the other process releases it.
        """
        if self.excludes:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            except OSError:         # some network file systems have no shared locks
                self.excludes = False

    def release(self):
        """Gives the lock back. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.release()

    __del__ = release


def lock_file(path):
    """The path of the file that is locked for a file that may not exist yet: .NAME.lock beside it."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f'.{name}.lock')


def acquire(path, shared=False, wait=False, make=False):
    """A Lock on a folder or a file; None where another process has it.

    shared: others may have it too, shared. wait: until the others release it. make: an empty file, where
    there is nothing. Raises OSError where `path` cannot be opened.
    """
    if fcntl is None:
        return Lock(None, excludes=False)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT if make else os.O_RDONLY, 0o666)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        return Lock(descriptor, excludes=True)
    except OSError as e:
        if e.errno in _HELD_BY_ANOTHER:
            os.close(descriptor)
            return None
        return Lock(descriptor, excludes=False)      # some network file systems lock no folders
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
