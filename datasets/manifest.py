"""dataset.json, the manifest: what convert wrote, so that nobody counts, guesses or matches patterns afterwards."""
import dataclasses
import json
import os
import re

from slimtune.errors import UserError

NAME = 'dataset.json'
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """name: of the data set. classes: names by label; labels begin at 0.

    splits: {split: {'images': n, 'per_class': [n, ...], 'shards': [{'name', 'bytes', 'records'}, ...]}}.
    left_out: [{'file', 'why'}, ...]. channels: 1 where every image is grey, else 3. seed, validation_fraction: as
    convert was told (fraction None: the folder was split already). source: the images' folder, seen from this one.
    fingerprint: of the images' names, sizes and times. version: slimtune's.
    """
    name: str
    classes: list
    splits: dict
    channels: int = 3
    left_out: list = dataclasses.field(default_factory=list)
    seed: int = 0
    validation_fraction: float = None
    source: str = '.'
    fingerprint: str = ''
    version: str = ''
    format: int = FORMAT

    def text(self):
        """The content of dataset.json; short lists on one line each."""
        text = json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)
        return re.sub(r'\[\n[\d\s,]*\]', lambda numbers: re.sub(r'\s+', ' ', numbers.group()), text) + '\n'

    def shards(self, split, folder):
        """The paths of a split's shards, each proved to be there with its size. Raises UserError naming one."""
        paths = []
        for shard in self.splits[split]['shards']:
            path = os.path.join(folder, shard['name'])
            size = os.path.getsize(path) if os.path.isfile(path) else None
            if size != shard['bytes']:
                raise UserError('%s is %s: convert the images again' % (
                    path, 'gone' if size is None else 'empty' if not size else
                    '%d bytes long where %s says %d' % (size, NAME, shard['bytes'])))
            paths.append(path)
        return paths


def load(folder):
    """The manifest of a folder, or None without one. Raises UserError for a damaged one."""
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as f:
            facts = json.load(f)
        if facts['format'] > FORMAT:
            raise UserError('%s was written by slimtune %s: install that version or a later one'
                            % (path, facts['version']))
        names = {field.name for field in dataclasses.fields(Manifest)}
        return Manifest(**{name: value for name, value in facts.items() if name in names})
    except (ValueError, KeyError, TypeError) as e:
        raise UserError('%s is damaged (%s): convert the images again' % (path, e)) from e
