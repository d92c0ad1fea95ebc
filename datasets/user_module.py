"""The user's own data set module, loaded by its path: one written for slim (a copy of flowers.py) works unchanged.

While it is loaded and asked, `datasets` means slimtune.datasets, as it did beside slim's scripts; before and after, it
means whatever is installed under that name, such as Hugging Face's.
"""
import contextlib
import glob
import importlib
import os
import sys
import traceback
import types

from slimtune.datasets import dataset_factory
from slimtune.errors import UserError


def load(path, name=None):
    """Loads a module with slim's `get_split`, or one that calls `register`. Returns the name of its data set.

    name: what the data set is to be called; by default the name it registers, else the file's. Raises UserError,
    naming the module's own line where it fails.
    """
    if not os.path.isfile(path):
        raise UserError('no file %s: --dataset-module is the path of your data set module' % path)
    stem = os.path.splitext(os.path.basename(path))[0]
    module = types.ModuleType('slimtune_dataset_' + stem)
    module.__file__ = path
    before = dict(dataset_factory.registered())
    with open(path, 'rb') as f, _as_in_slim(path):
        exec(compile(f.read(), path, 'exec'), module.__dict__)
    if hasattr(module, 'get_split') and not hasattr(module.get_split, 'registered'):
        dataset_factory.register_module(name or stem, module)
        return name or stem
    new = [key for key, known in dataset_factory.registered().items() if before.get(key) is not known]
    if not new:
        raise UserError('%s has no get_split(split_name, dataset_dir, file_pattern=None, reader=None), '
                        'and registers nothing' % path)
    return name if name in new else new[0]


def split(known, split_name, dataset_dir, file_pattern=None, reader=None):
    """Asks the module for a split, then looks whether what it says is so. A slim.dataset.Dataset, as get_dataset's."""
    path = known.get_split.__code__.co_filename
    if known.splits and split_name not in known.splits:
        raise dataset_factory.unknown_split(known.name, split_name, known.splits)
    with _as_in_slim(path):
        dataset = known.get_split(split_name, dataset_dir, file_pattern=file_pattern, reader=reader)
    _check_features(dataset.decoder, path)
    patterns, paths = _files(dataset)
    if not paths:
        raise UserError('no %s, the files that %s expects' % (', '.join(patterns), path))
    counts, channels = dataset_factory.count(dataset_factory.complete(paths))
    names = dataset.labels_to_names or {}
    found = [names.get(label, 'class %d' % label) for label in range(dataset.num_classes)]
    per_class = dataset_factory.by_label(counts, len(found), known.name)
    dataset_factory.compare(dataset.num_samples, sum(per_class), known.name, split_name)
    image = _handlers(dataset.decoder).get('image')
    facts = {'data_sources': paths, 'num_samples': sum(per_class), 'class_names': found, 'per_class': per_class,
             'channels': getattr(image, '_channels', channels), 'name': known.name, 'split_name': split_name,
             'dataset_dir': dataset_dir}
    for key, value in facts.items():
        setattr(dataset, key, value)
    return dataset


def sources(known, split_name, dataset_dir):
    """The paths of the files that the module takes a split from; [] where there are none."""
    with _as_in_slim(known.get_split.__code__.co_filename):
        return _files(known.get_split(split_name, dataset_dir))[1]


def _files(dataset):
    """What a slim.dataset.Dataset reads: (file names or patterns, as the module gives them; the paths that exist, sorted)."""
    patterns = [dataset.data_sources] if isinstance(dataset.data_sources, str) else list(dataset.data_sources)
    return patterns, sorted(path for pattern in patterns
                            for path in ([pattern] if os.path.isfile(pattern) else glob.glob(pattern)))


#: Where slimtune's own pipelines look: {what the decoder gives: (where slim's handlers keep the feature's name, the name)}
_FEATURES = {'image': ('_image_key', 'image/encoded'), 'label': ('_tensor_key', 'image/class/label')}


def _handlers(decoder):
    return getattr(decoder, '_items_to_handlers', {})


def _check_features(decoder, path):
    """Refuses a decoder that takes image or label from features of other names: they would be passed over."""
    for item, (attribute, key) in _FEATURES.items():
        theirs = getattr(_handlers(decoder).get(item), attribute, key)
        if theirs != key:
            raise UserError("%s reads the %s from the feature %s, slimtune from %s, slim's name: call it so in the records"
                            % (path, item, theirs, key))


@contextlib.contextmanager
def _as_in_slim(path):
    """`datasets` means slimtune.datasets, and what fails in the user's file is a UserError naming its line."""
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
        raise UserError('%s, line %s: %s: %s' % (e.filename, e.lineno, e.msg, (e.text or '').strip())) from e
    except Exception as e:      # noqa: B902 - it is the user's code, it may raise anything
        raise UserError(_told(e, path)) from e
    finally:
        for name in [name for name in sys.modules if _is(name, 'datasets')]:
            del sys.modules[name]
        sys.modules.update(ours)


def _is(name, package):
    return name == package or name.startswith(package + '.')


def _told(error, path):
    """What failed in the user's file, its last line there, and what to write where TensorFlow 2 is to blame."""
    lines = [entry for entry in traceback.extract_tb(error.__traceback__) if entry.filename == path]
    where = '%s, line %d' % (path, lines[-1].lineno) if lines else path
    what = '%s: %s' % (type(error).__name__, str(error).split('\n')[0])
    code = lines[-1].line if lines else ''
    if 'contrib' in str(error):
        what = ('tf.contrib is gone from TensorFlow 2: write `import tf_slim as slim` instead of `slim = '
                'tf.contrib.slim`, and `import tensorflow.compat.v1 as tf`')
    elif isinstance(error, AttributeError) and "module 'tensorflow'" in str(error):
        what += ': write `import tensorflow.compat.v1 as tf`'
    return '%s: %s%s' % (where, what, ': ' + code if code else '')
