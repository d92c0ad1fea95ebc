"""A full disk, whoever notices it: Python raises OSError for it, TensorFlow an OpError or a RuntimeError."""
import contextlib
import errno
import os

from slimtune.errors import UserError
from slimtune.runtime import tf

_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def explain(folder, remedy):
    """A context in which a full disk is a UserError that names `folder`.

    remedy: a function that gives the end of the line.
    """
    try:
        yield
    except (tf.errors.OpError, OSError, RuntimeError) as e:
        reason = next((text for text in map(os.strerror, _ERRORS) if text in str(e)), None)
        if not reason:
            raise
        raise UserError(f'{folder} cannot be written ({reason}): make room, {remedy()}')
