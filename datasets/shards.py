"""Files of records without a manifest: found by their names, checked to be one whole set, and counted.

A pattern is slim's: the names of a data set's files, with %s in the place of the split, * for anything, %%
for a percent sign.
"""
import collections
import fnmatch
import glob
import os
import re

from slimtune.datasets import manifest, records
from slimtune.errors import UserError
from slimtune.terminal import say

_SHARD = re.compile(r'(.*[-_])(\d{5})-of-(\d{5})(.*)')
_COUNTING_IS_LONG = 1 << 30     # bytes
_PLACEHOLDER = '\ue000'         # a character that no file name has, where a pattern has its split


def default_patterns(name):
    """The patterns of a data set's shards: as convert names them, and a looser one where none fit that."""
    escaped = glob.escape(name).replace('%', '%%')
    return [escaped + '_%s_?????-of-?????.tfrecord', escaped + '_%s_*.tfrecord']


def for_split(pattern, split):
    """A pattern with a split put into it. Raises UserError for one that slim could not read either."""
    if '%' not in pattern:
        return pattern
    try:
        return pattern % split
    except (TypeError, ValueError) as e:
        raise UserError(f'{pattern}: a pattern of file names has one %s, for the split, and %% for a percent '
                        f'sign ({e})')


def paths(dataset_dir, pattern, split):
    """The paths of a split's files, sorted; [] where there are none."""
    return sorted(glob.glob(os.path.join(glob.escape(dataset_dir), for_split(pattern, glob.escape(split)))))


def splits(dataset_dir, pattern):
    """The splits of which files with such names lie in the folder: a set."""
    expression = fnmatch.translate(for_split(pattern, _PLACEHOLDER))
    expression = expression.replace(_PLACEHOLDER, '(?P<split>.+?)', 1)
    matches = [re.match(expression, name) for name in os.listdir(dataset_dir)]
    return {match.group('split') for match in matches if match and 'split' in match.groupdict()}


def states(files):
    """What shows that files were replaced or removed: [(path, bytes, time, inode) or None, ...]."""
    statuses = [os.stat(path) if os.path.isfile(path) else None for path in files]
    return [(path, status.st_size, status.st_mtime_ns, status.st_ino) if status else None
            for path, status in zip(files, statuses)]


def complete(files):
    """Returns the paths of shards, sorted, if they are one whole set. Raises UserError where they are not."""
    sets = collections.defaultdict(set)
    for path in files:
        match = _SHARD.fullmatch(path)
        if match:
            sets[match.group(1), int(match.group(3)), match.group(4)].add(int(match.group(2)))
    for (stem, total, ending), numbers in sorted(sets.items()):
        missing = sorted(set(range(total)) - numbers)
        if missing:
            raise UserError(f'{stem}{missing[0]:05d}-of-{total:05d}{ending} is missing: convert the images '
                            'again, or bring it back')
    if len(sets) > 1:
        listed = ' and '.join(f'{stem}*-of-{total:05d}{ending}' for stem, total, ending in sorted(sets))
        raise UserError(f'more than one set of shards: {listed}: remove the old one')
    return sorted(files)


def count(files):
    """Counts the records of shards: ({label: records}, channels). Raises UserError for damaged files."""
    size = sum(os.path.getsize(path) for path in files)
    if size > _COUNTING_IS_LONG:
        say(f'Counting the records of {len(files)} files ({size / 1e9:.1f} GB): there is no {manifest.NAME}.')
    scanned = [records.scan(path) for path in files]
    counts = sum((shard.labels for shard in scanned), collections.Counter())
    return counts, max(shard.channels for shard in scanned)


def by_label(counts, num_classes, name):
    """{label: records} as a list by label. Raises UserError for labels that are not 0 to num_classes - 1."""
    low, high = min(counts), max(counts)
    if low < 0 or high >= num_classes:
        from_one = (low, high) == (1, num_classes)
        remedy = 'number them from 0 on' if from_one else 'put every class into label.txt'
        raise UserError(f'{name}: labels are {low} to {high} in the records, but with {num_classes} classes '
                        f'they must be 0 to {num_classes - 1}: {remedy}')
    return [counts.get(label, 0) for label in range(num_classes)]
