"""Checkpoints: finding one from whatever names it, reading it, and comparing it with a net's variables."""
import glob
import os
import re
import tempfile

from slimtune.errors import UserError
from slimtune.runtime import tf

AVERAGE = '/ExponentialMovingAverage'
_PART = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})(\.tempstate\d*)?$')
#: What TensorFlow's reader raises over a damaged file, by version.
_UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, LookupError)


def find(path):
    """The prefix of the checkpoint that `path` names: a folder (its latest), a prefix, or any of its files.

    Checkpoints of 2016 are single files, their own prefix. UserError where there is none.
    """
    if os.path.isdir(path):
        prefix = _latest(path)
        if not prefix:
            raise UserError('no checkpoint in %s: train first, or name another folder' % path)
        return prefix
    prefix = _PART.sub('', path)
    if not _complete(prefix):
        there = 'an incomplete checkpoint' if glob.glob(glob.escape(prefix) + '.*') else 'no checkpoint'
        raise UserError('%s at %s' % (there, path))
    return prefix


def find_latest(folder):
    """The prefix of the latest checkpoint that training left in a folder, or None. Published weights that lie there, whose
    names have no step, are none."""
    prefix = _latest(folder) if os.path.isdir(folder) else None
    return prefix if prefix and step_of(prefix) >= 0 else None


def listed(folder):
    """The prefixes of the whole checkpoints in `folder` that its `checkpoint` file lists, the latest last."""
    names = {os.path.basename(name) for name in _state(folder)[1]}
    return [prefix for prefix in _all(folder) if os.path.basename(prefix) in names]


def _latest(folder):
    """The checkpoint the `checkpoint` file names, wherever the folder has been moved to, else the one of the most steps."""
    named = _state(folder)[0]
    for prefix in (os.path.join(folder, os.path.basename(named)), os.path.join(folder, named)):
        if named and _complete(prefix):
            return prefix
    return (_all(folder) or [None])[-1]


def _state(folder):
    """What the `checkpoint` file says, as (latest prefix, all prefixes): ('', []) where there is none or it is damaged."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except (tf.errors.OpError, ValueError):
        state = None
    return (state.model_checkpoint_path, state.all_model_checkpoint_paths) if state else ('', [])


def _all(folder):
    """The prefixes of the whole checkpoints in a folder, by their steps."""
    prefixes = {_PART.sub('', name) for name in glob.glob(os.path.join(glob.escape(folder), '*ckpt*'))}
    return sorted(filter(_complete, prefixes), key=lambda prefix: (step_of(prefix), os.path.getmtime(_first_file(prefix))))


def step_of(prefix):
    """The number behind the last dash of a checkpoint's name, or -1."""
    match = re.search(r'-(\d+)$', prefix)
    return int(match.group(1)) if match else -1


def files(prefix):
    """All files of a checkpoint."""
    if os.path.isfile(prefix):
        return [prefix]
    return sorted(name for name in glob.glob(glob.escape(prefix) + '.*') if _PART.sub('', name) == prefix)


def _first_file(prefix):
    return prefix if os.path.isfile(prefix) else prefix + '.index'


def _complete(prefix):
    if os.path.isfile(prefix) and not prefix.endswith('/checkpoint'):
        return True
    shards = [name for name in glob.glob(glob.escape(prefix) + '.data-*') if re.search(r'-of-\d{5}$', name)]
    return os.path.isfile(prefix + '.index') and bool(shards) and len(shards) == int(shards[0][-5:])


class Checkpoint:
    """A checkpoint's variables. prefix: what it is called. shapes: {variable: [sides]}, all of them, slots included."""

    def __init__(self, path):
        self.prefix = find(path)
        try:
            self._reader = tf.train.load_checkpoint(self._literal(self.prefix))
            self.shapes = self._reader.get_variable_to_shape_map()
        except _UNREADABLE as e:
            raise UserError('%s is not a checkpoint, or damaged: %s' % (self.prefix, str(e).split('\n')[0]))

    def _literal(self, prefix):
        """A path of the checkpoint that means itself to TensorFlow, which takes paths for patterns."""
        if not set(prefix) & set('*?['):
            return prefix
        self._links = tempfile.TemporaryDirectory()     # lives as long as the reader
        for name in files(prefix):
            os.symlink(os.path.abspath(name), os.path.join(self._links.name, os.path.basename(name)))
        return os.path.join(self._links.name, os.path.basename(prefix))

    def value(self, name):
        """A variable's value as an array."""
        try:
            return self._reader.get_tensor(name)
        except _UNREADABLE as e:
            raise UserError('%s is damaged (%s): remove its files, and the checkpoint before it is taken'
                            % (self.prefix, str(e).split('\n')[0]))

    @property
    def step(self):
        """The global step, 0 where it holds none (published weights)."""
        return int(self.value('global_step')) if self.shapes.get('global_step') == [] else 0

    @property
    def has_averages(self):
        """Whether it holds moving averages of the weights."""
        return any(name.endswith(AVERAGE) for name in self.shapes)


def compare(checkpoint, variables):
    """What of `variables` ({name in the checkpoint: shape}) fits: (fitting, missing, differing) lists of names."""
    fitting, missing, differing = [], [], []
    for name, shape in variables.items():
        if name not in checkpoint.shapes:
            missing.append(name)
        else:
            (fitting if checkpoint.shapes[name] == list(shape) else differing).append(name)
    return fitting, missing, differing


def within(name, scopes):
    """Whether a variable lies in one of `scopes`, as slim excludes: by prefix."""
    return any(name.startswith(scope) for scope in scopes)


def restore(session, checkpoint, names):
    """Gives variables their values. names: {variable: its name in the checkpoint}. One run, whatever their number."""
    feeds = {v.initializer.inputs[1]: checkpoint.value(name) for v, name in names.items()}
    session.run([v.initializer for v in names], feeds)


def folder_of(path):
    """The folder of a checkpoint, or the path itself where it is one."""
    return path if os.path.isdir(path) else os.path.dirname(path) or '.'
