"""The train folder: what an earlier run left in it."""
import itertools
import os

from slimtune.checkpoints import checkpoint
from slimtune.terminal import say


def set_aside(train_dir):
    """Renames a train folder that holds anything, so that training begins anew and nothing is lost."""
    if os.path.isdir(train_dir) and os.listdir(train_dir):
        folder = os.path.normpath(train_dir)
        kept = next('%s.before-%d' % (folder, n) for n in itertools.count(1) if not os.path.exists('%s.before-%d' % (folder, n)))
        os.rename(folder, kept)
        say('Beginning anew; what %s held is now %s' % (folder, kept))


def keep_older(saver, train_dir):
    """Lets the saver know the checkpoints of earlier runs, so that the last five of all remain. Their folder may be a copy
    of another: those of the other stay."""
    saver.recover_last_checkpoints(checkpoint.listed(train_dir))
