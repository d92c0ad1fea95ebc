"""Finds a data set by its name: `get_dataset` has slim's signature and returns what slim's provider takes.

A data set is a folder that `slimtune convert` wrote, whose manifest describes it; a module of
datasets/published, which registers itself; the user's own module (`load_module`); or simply shards of the
expected names beside a label file.
"""
import dataclasses
import os

from slimtune.datasets import labels, manifest, published_data, shards
from slimtune.errors import UserError, nearest
from slimtune.storage import atomic
from slimtune.terminal import warn

#: What slim's readers call the parts of a record.
DESCRIPTIONS = {
    'image': 'A color image of varying height and width.',
    'label': 'A single integer between 0 and the number of classes.',
    'object/bbox': 'A list of bounding boxes; empty where the records have none.',
}
#: What held-out splits are called, the preferred one first.
HELD_OUT = ('validation', 'val', 'valid', 'dev', 'test')


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What a module states about its data set; what lies in the folder is preferred.

    splits: {split: number of images, or None where unknown}. file_pattern: see `shards`. class_names: by
    label, or None. channels: 1 where the records, which slim wrote, do not state that their images are grey.
    get_split: slim's function of a user's module.
    """
    name: str
    num_classes: int
    splits: dict
    file_pattern: str
    class_names: list = None
    channels: int = None
    get_split: object = None


_registered = {}


def register(name, splits, class_names=None, num_classes=None, file_pattern=None, channels=None):
    """Registers a data set; the arguments are DataSet's fields. Returns slim's `get_split` for it."""
    _registered[name] = DataSet(name, num_classes or len(class_names), dict(splits),
                                file_pattern or shards.default_patterns(name)[0], class_names, channels)

    def get_split(split_name, dataset_dir, file_pattern=None, reader=None):
        return get_dataset(name, split_name, dataset_dir, file_pattern, reader)
    get_split.registered = name
    return get_split


def register_module(name, module):
    """Registers a user's module that has slim's `get_split`, with the constants that slim's modules have."""
    _registered[name] = DataSet(
        name, getattr(module, '_NUM_CLASSES', None), getattr(module, 'SPLITS_TO_SIZES', {}),
        getattr(module, '_FILE_PATTERN', shards.default_patterns(name)[0]), get_split=module.get_split)


def registered():
    """The registered data sets by name; those of datasets/published register themselves on first use."""
    published_data.modules()
    return _registered


def names():
    """The names of the registered data sets, sorted."""
    return sorted(registered())


def load_module(path, name=None):
    """Loads the user's own data set module and returns the data set's name: see `user_module.load`."""
    from slimtune.datasets import user_module
    return user_module.load(path, name)


def num_classes(name):
    """How many classes a registered data set has; needs no data. Raises UserError for an unknown name."""
    entry = registered().get(name)
    if entry is None or entry.num_classes is None:
        raise UserError(f'how many classes does {name} have? It is none of {", ".join(names())}: '
                        'add --dataset-dir or --dataset-module')
    return entry.num_classes


def class_names(name, dataset_dir=None):
    """The class names by label: of the folder's manifest or label files, else of the module; None if unknown.

    Raises UserError where manifest and label files disagree.
    """
    in_folder = None
    if dataset_dir and os.path.isdir(dataset_dir):
        in_folder = labels.in_folder(dataset_dir, _manifest(name, dataset_dir))
    entry = registered().get(name)
    return in_folder or (entry and entry.class_names)


def get_dataset(name, split_name, dataset_dir, file_pattern=None, reader=None):
    """A split of a data set as a slim.dataset.Dataset, checked: no shard is missing, no label out of range.

    dataset_dir: its folder; '' gives what the module states, without images. file_pattern: names of the
    shards in `dataset_dir`, %s being the split. reader: slim's; TFRecords by default. Beside slim's fields
    (data_sources: list of paths, num_samples, num_classes, labels_to_names, ...) it has the fields of
    `describe`. Raises UserError for an unknown name or split, missing, empty, stale or damaged shards and
    labels out of range.
    """
    if dataset_dir == '':
        return _without_folder(name, split_name)
    if not dataset_dir:
        raise UserError('which data? Add --dataset-dir, the folder of the records that convert wrote')
    if not os.path.isdir(dataset_dir):
        raise UserError(f'no folder {dataset_dir}: --dataset-dir is the folder of the records')
    entry = registered().get(name)
    if entry and entry.get_split:
        atomic.settle(dataset_dir)
        from slimtune.datasets import user_module
        return user_module.split(entry, split_name, dataset_dir, file_pattern, reader)
    written = None if file_pattern else _manifest(name, dataset_dir)
    if written:
        if split_name not in split_names(name, dataset_dir):
            raise unknown_split(name, split_name, split_names(name, dataset_dir))
        return describe(name, split_name, dataset_dir, written.shards(split_name, dataset_dir),
                        labels.in_folder(dataset_dir, written), written.splits[split_name].per_class,
                        written.channels, reader, written.generation(split_name))
    files = _find_shards(entry, name, split_name, dataset_dir, file_pattern)
    counts, channels = shards.count(files)
    of_labels = class_names(name, dataset_dir)
    if not of_labels and not entry:
        raise UserError(f'no label.txt in {dataset_dir}: write one there, a class name per line, by label')
    of_labels = of_labels or _numbered_classes(entry.num_classes)
    per_class = shards.by_label(counts, len(of_labels), name)
    if entry:
        compare(entry.splits.get(split_name), sum(per_class), name, split_name)
    return describe(name, split_name, dataset_dir, files, of_labels, per_class,
                    (entry and entry.channels) or channels, reader)


def _manifest(name, dataset_dir):
    """The manifest of a folder that holds the data set `name`, else None. Finishes a killed convert first."""
    atomic.settle(dataset_dir)
    written = manifest.load(dataset_dir)
    return written if written and written.name == name else None


def _without_folder(name, split_name):
    """What a module states, without images: slim's export script gives no folder, it needs the classes."""
    of_labels = class_names(name) or _numbered_classes(num_classes(name))
    return describe(name, split_name, '', [], of_labels, [], registered()[name].channels or 3)


def _numbered_classes(number):
    return [f'class {label}' for label in range(number)]


def describe(name, split_name, dataset_dir, paths, of_labels, per_class, channels, reader=None,
             generation=''):
    """The slim.dataset.Dataset of these shards.

    paths: of the shards. of_labels: the class names by label. per_class: numbers of images by label. Beside
    slim's fields it has name, split_name, dataset_dir, class_names (by label), per_class, channels (1 or 3)
    and, for `check_unchanged`, shard_states (see shards.states) and generation (see Manifest).
    """
    from slimtune.runtime import slim, tf
    decoder = slim.tfexample_decoder
    keys = {
        'image/encoded': tf.FixedLenFeature((), tf.string, default_value=''),
        'image/format': tf.FixedLenFeature((), tf.string, default_value='jpeg'),
        'image/class/label': tf.FixedLenFeature([], tf.int64, default_value=0),
    }
    sides, prefix = ['ymin', 'xmin', 'ymax', 'xmax'], 'image/object/bbox/'
    keys.update({prefix + side: tf.VarLenFeature(tf.float32) for side in sides})
    items = {
        'image': decoder.Image('image/encoded', 'image/format', channels=channels,
                               dct_method='INTEGER_ACCURATE'),
        'label': decoder.Tensor('image/class/label', shape=[]),
        'object/bbox': decoder.BoundingBox(sides, prefix),
    }
    return slim.dataset.Dataset(
        data_sources=paths, reader=reader or tf.TFRecordReader, decoder=decoder.TFExampleDecoder(keys, items),
        num_samples=sum(per_class), items_to_descriptions=dict(DESCRIPTIONS), num_classes=len(of_labels),
        labels_to_names=dict(enumerate(of_labels)), class_names=list(of_labels), per_class=list(per_class),
        channels=channels, name=name, split_name=split_name, dataset_dir=dataset_dir,
        shard_states=shards.states(paths), generation=generation)


def check_unchanged(dataset):
    """Raises UserError where a data set's shards were replaced or removed since get_dataset returned it.

    Long work on a data set calls it now and then, and before its result counts: convert replaces shards under
    the same names. Shards that were written again with the same content have not changed.
    """
    if shards.states(dataset.data_sources) == dataset.shard_states:
        return
    written = _manifest(dataset.name, dataset.dataset_dir) if os.path.isdir(dataset.dataset_dir) else None
    if not (written and dataset.generation and written.generation(dataset.split_name) == dataset.generation):
        raise UserError(f'the records of {dataset.name} in {dataset.dataset_dir} were replaced while they '
                        'were being read: type the same command again')
    written.shards(dataset.split_name, dataset.dataset_dir)


def names_in(folder):
    """The names of the data sets that have training shards in `folder`, sorted; slim's own sets too."""
    if not os.path.isdir(folder):
        return []
    by_slim = {name for name, entry in registered().items()
               if not entry.get_split and shards.paths(folder, entry.file_pattern, 'train')}
    strictly, loosely = (shards.splits(folder, '%s_train_' + ending)
                         for ending in ('?????-of-?????.tfrecord', '*.tfrecord'))
    return sorted(by_slim | (strictly or loosely))


def split_names(name, dataset_dir):
    """The splits of a data set in `dataset_dir` that hold images: a list, [] where there are none.

    They are the manifest's; without a manifest those of which shards lie in the folder; for the user's own
    module those that it declares and has files for. Raises UserError for a damaged manifest. Whether the
    shards are whole is not looked at: get_dataset does that, so that a damaged split is an error and never
    taken for one that does not exist.
    """
    if not dataset_dir or not os.path.isdir(dataset_dir):
        return []
    entry = registered().get(name)
    if entry and entry.get_split and entry.splits:
        from slimtune.datasets import user_module
        return [split for split in entry.splits if user_module.sources(entry, split, dataset_dir)]
    written = _manifest(name, dataset_dir)
    if written:
        return [split for split, content in written.splits.items() if content.images]
    # A pattern such as imagenet's fits many files: only the module's own splits count
    declared = shards.splits(dataset_dir, entry.file_pattern).intersection(entry.splits) if entry else set()
    strictly, loosely = (shards.splits(dataset_dir, pattern) for pattern in shards.default_patterns(name))
    return sorted(declared | (strictly or loosely))


def held_out_split(name, dataset_dir, preferred=None, trained_on=None):
    """The split of a data set to test on, or None.

    preferred: the one that is taken if it exists. trained_on: one that is not taken.
    """
    splits = split_names(name, dataset_dir)
    return next((split for split in (preferred,) + HELD_OUT if split in splits and split != trained_on), None)


def _find_shards(entry, name, split_name, dataset_dir, file_pattern):
    """The paths of a split's shards, by the first pattern that fits any file. entry: its DataSet, or None.

    Raises UserError that says what the folder holds instead.
    """
    own = [file_pattern] if file_pattern else [entry.file_pattern] if entry else []
    patterns = own + shards.default_patterns(name)
    for pattern in patterns:
        files = shards.paths(dataset_dir, pattern, split_name)
        if files:
            return shards.complete(files)
    splits = sorted(set().union(*[shards.splits(dataset_dir, pattern) for pattern in patterns]))
    if splits or entry and split_name not in entry.splits:
        raise unknown_split(name, split_name, splits or entry.splits)
    written = manifest.load(dataset_dir)
    in_folder = [written.name] if written else names_in(dataset_dir)
    if in_folder:
        raise UserError(f'{dataset_dir} holds the data set {" and ".join(in_folder)}, not {name}: '
                        f'add --dataset-name {in_folder[0]}')
    similar = [] if entry else nearest(name, names(), 1)
    expected = shards.for_split((own or patterns)[-1], split_name)
    question = f'; did you mean {similar[0]}?' if similar else ''
    raise UserError(f'no data set {name} in {dataset_dir}: expected {expected} there{question}')


def compare(stated, counted, name, split_name):
    """Warns where a module states another number of images than its records hold."""
    if stated not in (None, counted):
        warn(f'the module of {name} states that {split_name} has {stated} images, but its records hold '
             f'{counted}: using {counted}')


def unknown_split(name, split_name, splits):
    """The error for a split that a data set does not have."""
    return UserError(f'{name} has no split {split_name}: choose from {", ".join(splits) or "none"}')
