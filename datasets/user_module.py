"""The user's own data set module, loaded by its path; one written for slim works unchanged.

While its code runs, `datasets` means slimtune.datasets, as it did beside slim's scripts; before and after, it
means whatever is installed under that name, such as Hugging Face's.
"""
import contextlib
import glob
import importlib
import os
import sys
import traceback
import types

from slimtune.datasets import dataset_factory, shards
from slimtune.errors import UserError


def load(path, name=None):
    """Loads a module with slim's `get_split`, or one that calls `register`. Returns the name of its data set.

    name: of the data set; by default the name that the module registers, else the file's. Raises UserError,
    which names the module's own line where it fails.
    """
    if not os.path.isfile(path):
        raise UserError(f'no file {path}: --dataset-module is the path of your data set module')
    stem = os.path.splitext(os.path.basename(path))[0]
    module = types.ModuleType('slimtune_dataset_' + stem)
    module.__file__ = path
    before = dict(dataset_factory.registered())
    with open(path, 'rb') as f, _as_in_slim(path):
        exec(compile(f.read(), path, 'exec'), module.__dict__)
    if hasattr(module, 'get_split') and not hasattr(module.get_split, 'registered'):
        dataset_factory.register_module(name or stem, module)
        return name or stem
    new = [key for key, entry in dataset_factory.registered().items() if before.get(key) is not entry]
    if not new:
        raise UserError(f'{path} has no get_split(split_name, dataset_dir, file_pattern=None, reader=None), '
                        'and registers nothing')
    return name if name in new else new[0]


def split(entry, split_name, dataset_dir, file_pattern=None, reader=None):
    """A split from the module's get_split, with what the module states compared with the files.

    entry: the module's dataset_factory.DataSet. Returns a slim.dataset.Dataset with the fields that
    get_dataset's has. Raises UserError.
    """
    path = entry.get_split.__code__.co_filename
    if entry.splits and split_name not in entry.splits:
        raise dataset_factory.unknown_split(entry.name, split_name, entry.splits)
    with _as_in_slim(path):
        dataset = entry.get_split(split_name, dataset_dir, file_pattern=file_pattern, reader=reader)
    _check_features(dataset.decoder, path)
    patterns, paths = _files(dataset)
    if not paths:
        raise UserError(f'no {", ".join(patterns)}, the files that {path} expects')
    counts, channels = shards.count(shards.complete(paths))
    names = getattr(dataset, 'labels_to_names', None) or {}
    class_names = [names.get(label, f'class {label}') for label in range(dataset.num_classes)]
    per_class = shards.by_label(counts, len(class_names), entry.name)
    dataset_factory.compare(dataset.num_samples, sum(per_class), entry.name, split_name)
    image = _handlers(dataset.decoder).get('image')
    fields = {'data_sources': paths, 'num_samples': sum(per_class), 'class_names': class_names,
              'per_class': per_class, 'channels': getattr(image, '_channels', channels), 'name': entry.name,
              'split_name': split_name, 'dataset_dir': dataset_dir, 'shard_states': shards.states(paths),
              'generation': ''}
    for key, value in fields.items():
        setattr(dataset, key, value)
    return dataset


def sources(entry, split_name, dataset_dir):
    """The paths of the files that the module takes a split from; [] where there are none."""
    with _as_in_slim(entry.get_split.__code__.co_filename):
        return _files(entry.get_split(split_name, dataset_dir, file_pattern=None, reader=None))[1]


def _files(dataset):
    """What a slim.dataset.Dataset reads: (its file names or patterns, the paths that exist, sorted)."""
    patterns = [dataset.data_sources] if isinstance(dataset.data_sources, str) else list(dataset.data_sources)
    return patterns, sorted(path for pattern in patterns
                            for path in ([pattern] if os.path.isfile(pattern) else glob.glob(pattern)))


#: What slimtune's own pipelines read: {item of the decoder: (attribute of slim's handler with the feature's
#: name, the name)}
_FEATURES = {'image': ('_image_key', 'image/encoded'), 'label': ('_tensor_key', 'image/class/label')}


def _handlers(decoder):
    return getattr(decoder, '_items_to_handlers', {})


def _check_features(decoder, path):
    """Refuses a decoder that reads image or label from features of other names than the pipelines do."""
    for item, (attribute, key) in _FEATURES.items():
        theirs = getattr(_handlers(decoder).get(item), attribute, key)
        if theirs != key:
            raise UserError(f"{path} reads the {item} from the feature {theirs}, slimtune from {key}, slim's "
                            'name: use that name in the records')


@contextlib.contextmanager
def _as_in_slim(path):
    """`datasets` is slimtune.datasets in the block; an error in the user's file becomes a UserError."""
    from slimtune import runtime  # noqa: F401 - TensorFlow is set up before the user's file imports it
    ours = {name: module for name, module in sys.modules.items() if _is(name, 'datasets')}
    for name in ours:
        del sys.modules[name]
    for name in ('', '.dataset_utils', '.dataset_factory'):
        sys.modules['datasets' + name] = importlib.import_module('slimtune.datasets' + name)
    try:
        yield
    except UserError:
        raise
    except SyntaxError as e:
        raise UserError(f'{e.filename}, line {e.lineno}: {e.msg}: {(e.text or "").strip()}') from e
    except Exception as e:      # noqa: B902 - it is the user's code, it may raise anything
        raise UserError(_explanation(e, path)) from e
    finally:
        for name in [name for name in sys.modules if _is(name, 'datasets')]:
            del sys.modules[name]
        sys.modules.update(ours)


def _is(name, package):
    return name == package or name.startswith(package + '.')


def _explanation(error, path):
    """The error in the user's file, its last line there, and the remedy where TensorFlow 2 is the cause."""
    lines = [entry for entry in traceback.extract_tb(error.__traceback__) if entry.filename == path]
    where = f'{path}, line {lines[-1].lineno}' if lines else path
    what = f'{type(error).__name__}: {error}'.split('\n')[0]
    if 'contrib' in str(error):
        what = ('tf.contrib is gone from TensorFlow 2: write `import tf_slim as slim` instead of `slim = '
                'tf.contrib.slim`, and `import tensorflow.compat.v1 as tf`')
    elif isinstance(error, AttributeError) and "module 'tensorflow'" in str(error):
        what += ': write `import tensorflow.compat.v1 as tf`'
    return f'{where}: {what}: {lines[-1].line}' if lines and lines[-1].line else f'{where}: {what}'
