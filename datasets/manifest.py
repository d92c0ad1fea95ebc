"""dataset.json, the manifest of a data set: classes, splits and shards, so that nothing is guessed later.

Others may have written or damaged it: its reader checks types, names and sums, and nothing outside its folder
is named.
"""
import dataclasses
import hashlib
import json
import os
import re
import shlex
from typing import Dict, List, Optional

from slimtune.datasets import labels
from slimtune.errors import UserError
from slimtune.storage import json_file
from slimtune.storage.json_file import FileName

NAME = 'dataset.json'
FORMAT = 1
REMEDY = 'convert the images again'
#: What describes a data set, beside its shards.
DESCRIPTION_FILES = ('label.txt', 'labels.txt', NAME)
#: What a data set that slimtune converts may be called: the name is a part of file names.
DATA_SET_NAME = re.compile(r'\w[\w.-]*')


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of records. name: without a folder. bytes: its size. records: their number.

    checksum: SHA-256 over the lengths and checksums of its records; '' where an earlier version wrote the
    manifest.
    """
    name: FileName
    bytes: int
    records: int
    checksum: str = ''


@dataclasses.dataclass(frozen=True)
class Split:
    """A part of a data set. images: their number. per_class: their number by label."""
    images: int = json_file.renamed('pictures')     # as version 0.1.0 wrote it
    per_class: List[int]
    shards: List[Shard]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A file that is not in the records. file: relative to the images' folder. why: the reason, a phrase."""
    file: str
    why: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of dataset.json.

    name: of the data set. classes: names by label, which begin at 0. splits: by name. channels: 1 where every
    image is grey, else 3. seed: of the order of the records. validation_fraction: the share that convert held
    out, None where the folder was split already. source: the folder of the images, relative to this one; ''
    where they were downloaded. fingerprint: changes with the names, sizes and times of the images. version:
    slimtune's.
    """
    name: str
    classes: List[str]
    splits: Dict[str, Split]
    channels: int = 3
    left_out: List[LeftOut] = dataclasses.field(default_factory=list)
    seed: int = 0
    validation_fraction: Optional[float] = None
    source: str = '.'
    fingerprint: str = ''
    version: str = ''
    format: int = FORMAT

    def text(self):
        """The content of dataset.json; short lists on one line each."""
        text = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)
        return re.sub(r'\[\n[\d\s,]*\]', lambda numbers: re.sub(r'\s+', ' ', numbers.group()), text) + '\n'

    def shards(self, split, folder):
        """The paths of a split's shards. Raises UserError for one that is missing or has another size."""
        paths = []
        for shard in self.splits[split].shards:
            path = os.path.join(folder, shard.name)
            size = os.path.getsize(path) if os.path.isfile(path) else None
            if size != shard.bytes:
                problem = ('gone' if size is None else 'empty' if not size else
                           f'{size} bytes long where {NAME} states {shard.bytes}')
                remedy = REMEDY if self.source else (
                    f'slimtune download {self.name} --dataset-dir {shlex.quote(folder)} downloads it again')
                raise UserError(f'{path} is {problem}: {remedy}')
            paths.append(path)
        return paths

    def is_whole(self, folder):
        """Whether the shards of all splits are there, each of the stated size."""
        try:
            for split in self.splits:
                self.shards(split, folder)
        except UserError:
            return False
        return True

    def generation(self, split):
        """A text that changes when the records of a split do; '' if an earlier version wrote no checksums."""
        if not all(shard.checksum for shard in self.splits[split].shards):
            return ''
        entries = ''.join(f'{shard.name} {shard.bytes} {shard.records} {shard.checksum}\n'
                          for shard in self.splits[split].shards)
        return hashlib.sha256(entries.encode('utf-8')).hexdigest()

    def files(self):
        """The names of this data set's files that convert wrote: the next convert may replace or remove them.

        Shards of other names than convert gives are not among them, whatever this manifest lists.
        """
        return sorted(shard.name for split in self.splits.values() for shard in split.shards
                      if is_shard_name(self.name, shard.name)) + list(DESCRIPTION_FILES)


@dataclasses.dataclass(frozen=True)
class _Header:
    """What every version writes."""
    version: str = ''
    format: int = FORMAT


def shard_name(name, split, number, total):
    """The name of one of a split's shards, as convert and slim's scripts give it. number: from 0 on."""
    return f'{name}_{split}_{number:05d}-of-{total:05d}.tfrecord'


def is_shard_name(name, file):
    """Whether convert gives this name to a shard of the data set `name`."""
    return bool(re.fullmatch(re.escape(name) + r'_(train|validation|test)_\d{5}-of-\d{5}\.tfrecord', file))


def load(folder, remedy=REMEDY):
    """The manifest of a folder, or None without one.

    remedy: what to do about a damaged one, the end of the message. Raises UserError that names the file, the
    key, what it holds and what was expected.
    """
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        return None
    header = json_file.read(_Header, path, remedy)
    if header.format > FORMAT:
        raise UserError(f'{path} was written by slimtune {header.version}: install that or a later version')
    written = json_file.read(Manifest, path, remedy)
    written = dataclasses.replace(written, classes=[labels.canonical(name) for name in written.classes])
    problem = _contradiction(written)
    if problem:
        raise UserError(f'{path}: {problem}: {remedy}')
    return written


def _contradiction(written):
    """What in a manifest cannot be, although every type is correct; None where there is nothing."""
    if not DATA_SET_NAME.fullmatch(written.name):
        return f'name is {written.name!r}, expected letters, digits, _, - and .'
    if written.channels not in (1, 3):
        return f'channels is {written.channels}, expected 1 or 3'
    if not 0 <= (written.validation_fraction or 0) < 1:
        return f'validation_fraction is {written.validation_fraction:g}, expected at least 0 and less than 1'
    if '\0' in written.source:
        return f'source is {written.source!r}, expected the path of a folder'
    unreadable = labels.unrepresentable(written.classes)
    if unreadable is not None:
        return f'classes has {unreadable!r}, expected names of one line'
    names = [shard.name for split in written.splits.values() for shard in split.shards]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        return f'the shard {repeated} is listed twice'
    if not written.splits:
        return 'splits is empty, expected at least one'
    return next(filter(None, (_contradiction_in(f'splits.{name}', split, len(written.classes))
                              for name, split in written.splits.items())), None)


def _contradiction_in(key, split, num_classes):
    """As _contradiction, for one split. key: where it stands."""
    numbers = [('images', split.images)]
    numbers += [(f'per_class[{n}]', count) for n, count in enumerate(split.per_class)]
    numbers += [(f'shards[{n}].{what}', getattr(shard, what))
                for n, shard in enumerate(split.shards) for what in ('bytes', 'records')]
    negative = next((place for place, number in numbers if number < 0), None)
    if negative:
        return f'{key}.{negative} is {dict(numbers)[negative]}, expected no negative number'
    if len(split.per_class) != num_classes:
        return f'{key}.per_class has {len(split.per_class)} numbers for {num_classes} classes'
    for what, total in (('the numbers of per_class', sum(split.per_class)),
                        ('the records of its shards', sum(shard.records for shard in split.shards))):
        if total != split.images:
            return f'{key}.images is {split.images}, but {what} are {total} together'
    return None
