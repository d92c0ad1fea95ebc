"""Checkpoints: finding one from whatever names it, reading it, and comparing it with a net's variables."""
import glob
import os
import re
import tempfile

from slimtune.errors import UserError
from slimtune.runtime import tf
from slimtune.storage import checksums

AVERAGE = '/ExponentialMovingAverage'
_FILE = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_TEMPORARY = re.compile(r'\.tempstate\d*$')        # TensorFlow writes this first, then renames it
_TABLE_END = bytes.fromhex('57fb808b247547db')      # the last bytes of a checkpoint of 2016
#: What TensorFlow's reader raises over a damaged file, by version.
_UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, LookupError)


def find(path):
    """The prefix of the checkpoint that `path` names: a folder (its latest), a prefix, or any of its files.

    Checkpoints of 2016 are single files, their own prefix. Raises UserError where there is no checkpoint, or
    only a part of one.
    """
    if os.path.isdir(path):
        prefix = _latest(path)
        if prefix:
            return prefix
        named = _state(path)[0]
        if named:
            raise UserError(f'no checkpoint in {path}: its file `checkpoint` names {named}, which is not in '
                            'this folder: copy its files here, or give its own path')
        raise UserError(f'no checkpoint in {path}: train first, or name another folder')
    prefix = _prefix_of(path)
    if _complete(prefix):
        return prefix
    if glob.glob(glob.escape(prefix) + '.*'):
        raise UserError(f'an incomplete checkpoint at {path}: it needs {os.path.basename(prefix)}.index and '
                        'all its .data files: copy them again, or name another checkpoint')
    raise UserError(f'no checkpoint at {path}: name a train folder or a file of a checkpoint')


def find_latest(folder):
    """The prefix of the latest checkpoint that training left in a folder, or None.

    Ignores published weights in the folder (their names carry no step).
    """
    prefix = _latest(folder) if os.path.isdir(folder) else None
    return prefix if prefix and step_of(prefix) >= 0 else None


def find_listed(folder):
    """The prefixes of the complete checkpoints that a folder's `checkpoint` file lists, the latest last."""
    names = {_base_name(name) for name in _state(folder)[1]}
    return [prefix for prefix in _all(folder) if os.path.basename(prefix) in names]


def _latest(folder):
    """The checkpoint in `folder` that its `checkpoint` file names, else the one of the most steps, else None.

    The file may have been written elsewhere, or by somebody else: its paths are looked for in `folder` by
    their base name, never where they point to.
    """
    name = _base_name(_state(folder)[0])
    if name and _complete(os.path.join(folder, name)):
        return os.path.join(folder, name)
    return (_all(folder) or [None])[-1]


def _base_name(path):
    """The last part of a path that any system may have written."""
    return re.split(r'[\\/]', path)[-1].replace('\0', '')


def _state(folder):
    """The `checkpoint` file as (latest path, all paths); ('', []) where there is none or it is damaged."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except (tf.errors.OpError, ValueError):
        state = None
    return (state.model_checkpoint_path, state.all_model_checkpoint_paths) if state else ('', [])


def _all(folder):
    """The prefixes of the complete checkpoints in a folder, by their steps."""
    prefixes = {_prefix_of(name) for name in glob.glob(os.path.join(glob.escape(folder), '*ckpt*'))}
    complete = [prefix for prefix in prefixes
                if _complete(prefix) and (not os.path.isfile(prefix) or _is_table(prefix))]
    return sorted(complete, key=lambda prefix: (step_of(prefix), os.path.getmtime(_first_file(prefix))))


def step_of(prefix):
    """The number behind the last dash of a checkpoint's name, or -1."""
    match = re.search(r'-(\d+)$', prefix)
    return int(match.group(1)) if match else -1


def files(prefix):
    """The paths of all files of a checkpoint, sorted, without those that TensorFlow was still writing."""
    if os.path.isfile(prefix):
        return [prefix]
    return sorted(name for name in glob.glob(glob.escape(prefix) + '.*') if _FILE.sub('', name) == prefix)


def sha256(prefix):
    """The SHA-256, in hexadecimal, of a checkpoint's weights: of all its files but the .meta."""
    return checksums.sha256(*[path for path in files(prefix) if not path.endswith('.meta')])


def _prefix_of(path):
    return _FILE.sub('', _TEMPORARY.sub('', path))


def _first_file(prefix):
    return prefix if os.path.isfile(prefix) else prefix + '.index'


def _is_table(path):
    """Whether a file is a checkpoint of 2016. A folder may hold other files with ckpt in their names."""
    with open(path, 'rb') as f:
        f.seek(max(0, os.path.getsize(path) - len(_TABLE_END)))
        return f.read() == _TABLE_END


def _complete(prefix):
    if os.path.isfile(prefix) and os.path.basename(prefix) != 'checkpoint':
        return True
    shards = [name for name in glob.glob(glob.escape(prefix) + '.data-*') if re.search(r'-of-\d{5}$', name)]
    return os.path.isfile(prefix + '.index') and bool(shards) and len(shards) == int(shards[0][-5:])


class Checkpoint:
    """A checkpoint's variables, slots included. prefix: its path without an ending. shapes: {variable:
    [sides]}.

    A changed bit is noticed: TensorFlow compares a checksum of each block of the index when the checkpoint is
    opened, and of each variable when its value is read. Only bytes that it does not use are free: the table's
    end and its empty list of meta blocks.
    """

    def __init__(self, path):
        self.prefix = find(path)
        try:
            self._reader = tf.train.load_checkpoint(self._literal(self.prefix))
            self.shapes = self._reader.get_variable_to_shape_map()
        except _UNREADABLE as e:
            reason = str(e).split('\n')[0]
            raise UserError(f'{self.prefix} is not a checkpoint, or it is damaged ({reason}): '
                            'copy or download it again, or name another')

    def _literal(self, prefix):
        """A path of the checkpoint for TensorFlow, which takes * ? [ in a path for a pattern."""
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
            reason = str(e).split('\n')[0]
            raise UserError(f'{self.prefix} is damaged ({reason}): '
                            'remove its files, then the checkpoint before it is used')

    @property
    def step(self):
        """The global step, 0 where it holds none (published weights)."""
        return int(self.value('global_step')) if self.shapes.get('global_step') == [] else 0

    @property
    def has_averages(self):
        """Whether it holds moving averages of the weights."""
        return any(name.endswith(AVERAGE) for name in self.shapes)


def compare(checkpoint, variables):
    """Compares variables with those of a Checkpoint: three lists of names, (fitting, missing, differing).

    variables: {name in the checkpoint: shape}. missing: the checkpoint lacks them. differing: of another
    shape.
    """
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
    """Gives variables their values, all in one run. names: {variable: its name in the checkpoint}."""
    feeds = {v.initializer.inputs[1]: checkpoint.value(name) for v, name in names.items()}
    session.run([v.initializer for v in names], feeds)


def folder_of(path):
    """The folder of a checkpoint. path: that folder, or any file of the checkpoint."""
    return path if os.path.isdir(path) else os.path.dirname(path) or '.'
