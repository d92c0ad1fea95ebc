"""Finds a data set by its name: `get_dataset`, with slim's signature, returns what slim's DatasetDataProvider takes.

A data set is a folder that `slimtune convert` wrote (its manifest says everything), a module of this package that
registers itself, the user's own module (`load_module`), or simply shards of the right name beside a label file.
"""
import collections
import dataclasses
import glob
import importlib
import os
import pkgutil
import re

from slimtune.datasets import labels, manifest, records
from slimtune.errors import UserError, nearest
from slimtune.storage import atomic
from slimtune.terminal import say, warn

#: What slim's readers call the parts of a record.
DESCRIPTIONS = {
    'image': 'A color image of varying height and width.',
    'label': 'A single integer between 0 and the number of classes.',
    'object/bbox': 'A list of bounding boxes; empty where the records have none.',
}
_SHARD = re.compile(r'(.*[-_])(\d{5})-of-(\d{5})(.*)')
_COUNTING_IS_LONG = 1 << 30     # bytes


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What a module says about its data set; what lies in the folder says it better.

    splits: {split: images, or None where unknown}. file_pattern: file names with %s for the split. class_names: by
    label, or None. channels: 1 where the records, being older than ours, do not say that they are grey. get_split:
    slim's function of a user's module.
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
    """Makes a data set known by its name; the fields are DataSet's. Returns slim's `get_split` for it."""
    _registered[name] = DataSet(name, num_classes or len(class_names), dict(splits),
                                file_pattern or default_pattern(name), class_names, channels)

    def get_split(split_name, dataset_dir, file_pattern=None, reader=None):
        return get_dataset(name, split_name, dataset_dir, file_pattern, reader)
    get_split.registered = name
    return get_split


def register_module(name, module):
    """Makes a user's module known that has slim's `get_split`, and what it says beside it."""
    _registered[name] = DataSet(name, getattr(module, '_NUM_CLASSES', None), getattr(module, 'SPLITS_TO_SIZES', {}),
                                getattr(module, '_FILE_PATTERN', default_pattern(name)), get_split=module.get_split)


def default_pattern(name):
    """The names of the shards that convert writes."""
    return name + '_%s_*.tfrecord'


def registered():
    """The registered data sets by name; on first use guangdong and the published ones register themselves."""
    from slimtune.datasets import guangdong, published  # noqa: F401
    for _, module, _ in pkgutil.iter_modules(published.__path__):
        importlib.import_module('slimtune.datasets.published.' + module)
    return _registered


def names():
    """The names of the registered data sets, sorted."""
    return sorted(registered())


def load_module(path, name=None):
    """Loads the user's own data set module by its path and returns the data set's name: see `user_module.load`."""
    from slimtune.datasets import user_module
    return user_module.load(path, name)


def num_classes(name):
    """How many classes a registered data set has; no data needed. Raises UserError for a name nobody registered."""
    known = registered().get(name)
    if known is None or known.num_classes is None:
        raise UserError('how many classes has %s? It is none of %s: add --dataset-dir or --dataset-module'
                        % (name, ', '.join(names())))
    return known.num_classes


def class_names(name, dataset_dir=None):
    """The names of the classes by label: the folder's manifest or label files, else the module's. None if nobody knows.

    Raises UserError where manifest and label files disagree.
    """
    found = None
    if dataset_dir and os.path.isdir(dataset_dir):
        atomic.settle(dataset_dir)
        written = manifest.load(dataset_dir)
        found = labels.known(dataset_dir, written if written and written.name == name else None)
    known = registered().get(name)
    return found or (known and known.class_names)


def get_dataset(name, split_name, dataset_dir, file_pattern=None, reader=None):
    """A split of a data set as a slim.dataset.Dataset, checked: every shard there and whole, every label in range.

    dataset_dir: its folder; '' gives what the module says, without images. file_pattern: names of the shards in
    `dataset_dir`, %s being the split. reader: slim's; TFRecords by default.
    Beside slim's fields (data_sources: list of paths, num_samples, num_classes, labels_to_names, ...) it has name,
    split_name, dataset_dir, class_names (by label), per_class (images by label) and channels (1 or 3).
    Raises UserError for an unknown name or split, missing, empty, stale or damaged shards and labels out of range.
    """
    if dataset_dir == '':
        return _without_folder(name, split_name)
    if not dataset_dir:
        raise UserError('which data? Add --dataset-dir, the folder of the records that convert wrote')
    if not os.path.isdir(dataset_dir):
        raise UserError('no folder %s: --dataset-dir is the folder of the records that convert wrote' % dataset_dir)
    atomic.settle(dataset_dir)
    known = registered().get(name)
    if known and known.get_split:
        from slimtune.datasets import user_module
        return user_module.split(known, split_name, dataset_dir, file_pattern, reader)
    written = manifest.load(dataset_dir)
    if written and written.name == name and not file_pattern:
        split = _split_of(written.splits, split_name, name)
        return describe(name, split_name, dataset_dir, written.shards(split_name, dataset_dir),
                        labels.known(dataset_dir, written), split['per_class'], written.channels, reader)
    patterns = [file_pattern] if file_pattern else [known.file_pattern] if known else []
    paths = find_shards(name, split_name, dataset_dir, patterns + [default_pattern(name)], known, written)
    counts, channels = count(paths)
    found = class_names(name, dataset_dir)
    if not found and not known:
        raise UserError('no label.txt in %s: write one there, the names of the classes by label, a line each'
                        % dataset_dir)
    found = found or ['class %d' % label for label in range(known.num_classes)]
    per_class = by_label(counts, len(found), name)
    if known:
        compare(known.splits.get(split_name), sum(per_class), name, split_name)
    return describe(name, split_name, dataset_dir, paths, found, per_class, (known and known.channels) or channels,
                    reader)


def _without_folder(name, split_name):
    """What a data set's module knows, and no images: slim's export script gives no folder, it asks for the classes alone."""
    found = class_names(name) or ['class %d' % label for label in range(num_classes(name))]
    return describe(name, split_name, '', [], found, [], registered()[name].channels or 3)


def describe(name, split_name, dataset_dir, paths, found, per_class, channels, reader=None):
    """The slim.dataset.Dataset of these shards. found: the classes' names. per_class: records by label."""
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
        'image': decoder.Image('image/encoded', 'image/format', channels=channels, dct_method='INTEGER_ACCURATE'),
        'label': decoder.Tensor('image/class/label', shape=[]),
        'object/bbox': decoder.BoundingBox(sides, prefix),
    }
    return slim.dataset.Dataset(
        data_sources=paths, reader=reader or tf.TFRecordReader, decoder=decoder.TFExampleDecoder(keys, items),
        num_samples=sum(per_class), items_to_descriptions=dict(DESCRIPTIONS), num_classes=len(found),
        labels_to_names=dict(enumerate(found)), class_names=list(found), per_class=list(per_class), channels=channels,
        name=name, split_name=split_name, dataset_dir=dataset_dir)


def names_in(folder):
    """The names of the data sets whose training shards lie in `folder`, sorted."""
    return sorted(_splits_there(folder, '%s_train_*.tfrecord')) if os.path.isdir(folder) else []


def split_names(name, dataset_dir):
    """The splits of a data set in `dataset_dir` that hold images: a list, [] where there are none.

    They are the manifest's; without a manifest those of which shards lie in the folder; for the user's own module those that
    it declares and has files for. Raises UserError for a damaged manifest. Whether the shards are whole is not asked here:
    get_dataset finds out, so that a damaged split is an error and never taken for one that does not exist.
    """
    if not dataset_dir or not os.path.isdir(dataset_dir):
        return []
    atomic.settle(dataset_dir)
    known = registered().get(name)
    if known and known.get_split and known.splits:
        from slimtune.datasets import user_module
        return [split for split in known.splits if user_module.sources(known, split, dataset_dir)]
    written = manifest.load(dataset_dir)
    if written and written.name == name:
        return [split for split, facts in written.splits.items() if facts['images']]
    found = _splits_there(dataset_dir, default_pattern(name))
    # A pattern such as imagenet's %s-* fits many files: only the module's own splits count
    declared = _splits_there(dataset_dir, known.file_pattern).intersection(known.splits) if known else set()
    return sorted(found | declared)


#: What held-out splits are called, the preferred one first.
HELD_OUT = ('validation', 'val', 'valid', 'dev', 'test')


def held_out_split(name, dataset_dir, preferred=None, trained_on=None):
    """The split of a data set to test on, or None. preferred: taken where it exists. trained_on: a split that is not taken."""
    splits = split_names(name, dataset_dir)
    return next((split for split in (preferred,) + HELD_OUT if split in splits and split != trained_on), None)


def find_shards(name, split_name, dataset_dir, patterns, known=None, written=None):
    """The paths of a split's shards, by the first of the patterns that finds any, sorted. Raises UserError."""
    for pattern in patterns:
        paths = sorted(glob.glob(os.path.join(glob.escape(dataset_dir), _for_split(pattern, split_name))))
        if paths:
            return complete(paths)
    splits = sorted(set().union(*[_splits_there(dataset_dir, pattern) for pattern in patterns]))
    if splits or known and split_name not in known.splits:
        return _split_of(dict.fromkeys(splits or known.splits), split_name, name)
    there = [written.name] if written else names_in(dataset_dir)
    if there:
        raise UserError('%s holds the data set %s, not %s: add --dataset-name %s'
                        % (dataset_dir, ' and '.join(there), name, there[0]))
    close = [] if known else nearest(name, names(), 1)
    raise UserError('no data set %s in %s: expected %s there%s' % (
        name, dataset_dir, _for_split(patterns[0], split_name), '; did you mean %s?' % close[0] if close else ''))


def complete(paths):
    """Returns the paths of shards, sorted, if they are one whole set. Raises UserError naming what is wrong with it."""
    sets = collections.defaultdict(set)
    for path in paths:
        match = _SHARD.fullmatch(path)
        if match:
            sets[match.group(1), int(match.group(3)), match.group(4)].add(int(match.group(2)))
    for (stem, total, ending), numbers in sorted(sets.items()):
        missing = sorted(set(range(total)) - numbers)
        if missing:
            raise UserError('%s%05d-of-%05d%s is missing: convert the images again, or bring it back'
                            % (stem, missing[0], total, ending))
    if len(sets) > 1:
        raise UserError('more than one set of shards: %s: remove the stale one' % ' and '.join(
            '%s*-of-%05d%s' % key for key in sorted(sets)))
    return sorted(paths)


def count(paths):
    """Counts records, once: ({label: records}, channels). Raises UserError for empty and damaged files."""
    size = sum(os.path.getsize(path) for path in paths)
    if size > _COUNTING_IS_LONG:
        say('Counting the records of %d files (%.1f GB): there is no %s that says how many.'
            % (len(paths), size / 1e9, manifest.NAME))
    shards = [records.scan(path) for path in paths]
    return sum((shard.labels for shard in shards), collections.Counter()), max(shard.channels for shard in shards)


def by_label(counts, classes, name):
    """{label: records} as a list by label. Raises UserError for labels that are not 0 to classes-1."""
    low, high = min(counts), max(counts)
    if low < 0 or high >= classes:
        raise UserError('%s: labels are %d to %d in the records, but with %d classes they must be 0 to %d: %s' % (
            name, low, high, classes, classes - 1,
            'number them from 0 on' if (low, high) == (1, classes) else 'put every class into label.txt'))
    return [counts.get(label, 0) for label in range(classes)]


def compare(said, counted, name, split_name):
    """Says loudly where a module's count of a split is wrong."""
    if said not in (None, counted):
        warn('the module of %s says that %s has %d images, but its records hold %d: using %d'
             % (name, split_name, said, counted, counted))


def unknown_split(name, split_name, splits):
    """The error for a split that a data set has not."""
    return UserError('%s has no split %s: choose from %s' % (name, split_name, ', '.join(splits) or 'none'))


def _split_of(splits, split_name, name):
    """splits[split_name]; a UserError where there is none or it is empty."""
    usable = [split for split, facts in splits.items() if facts is None or facts['images']]
    if split_name not in usable:
        raise unknown_split(name, split_name, usable)
    return splits[split_name]


def _for_split(pattern, split):
    return pattern % split if '%s' in pattern else pattern


def _splits_there(dataset_dir, pattern):
    """The splits of which files lie in the folder."""
    expression = re.compile(re.escape(pattern).replace(re.escape('%s'), '(.+?)', 1).replace(r'\*', '.*'))
    matches = [expression.fullmatch(name) for name in os.listdir(dataset_dir)]
    return {match.group(1) for match in matches if match and match.groups()}
