"""Names of classes: reading and writing label.txt (a name per line) and labels.txt (slim's `0:name`)."""
import os
import re
import unicodedata

from slimtune.errors import UserError
from slimtune.storage import atomic
from slimtune.terminal import say

_NUMBERED = re.compile(r'\s*(\d+)\s*:(.*)', re.DOTALL)
#: The label files of a folder, the one that is read first.
FILES = ('labels.txt', 'label.txt')
LARGEST = 8 << 20       # bytes of a label file: more than 100,000 names


def canonical(name):
    """A class name as slimtune compares and writes it: composed letters (NFC), no white space at its ends."""
    return unicodedata.normalize('NFC', name).strip()


def unrepresentable(names):
    """The first name that no label file can hold, or None: empty, of several lines, or not canonical."""
    return next((name for name in names if name != canonical(name) or len(name.splitlines()) != 1), None)


def decode(data, what):
    """Bytes as text: UTF-8, with or without a mark, else GBK, which is reported. what: for the message."""
    for encoding in ('utf-8-sig', 'gbk'):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == 'gbk':
            say(f'{what} is not UTF-8: read as GBK')
        return text
    raise UserError(f'{what} is neither UTF-8 nor GBK: save it as UTF-8')


def read(path):
    """The names in a label file, by label: a list. Blank lines do not count.

    Lines are names, or all of them are `number:name` with the numbers 0 to N-1 in any order. Raises
    UserError.
    """
    if os.path.getsize(path) > LARGEST:
        raise UserError(f'{path} has {os.path.getsize(path) / 1e6:.0f} MB: a label file has a class name per '
                        f'line, at most {LARGEST >> 20} MB')
    with open(path, 'rb') as f:
        names, numbers = _parse(decode(f.read(), path))
    if os.path.basename(path) == 'labels.txt' and numbers and sorted(numbers) != list(range(len(numbers))):
        raise UserError(f'{path}: its {len(numbers)} lines must be numbered 0 to {len(numbers) - 1}, '
                        'each number once')
    return names


def _parse(text):
    """The names in a label file's text, by label, and the numbers before them, None if a line has none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if not lines or not all(numbered):
        return [canonical(line) for line in lines], None
    numbers = [int(match.group(1)) for match in numbered]
    if sorted(numbers) != list(range(len(lines))):
        return [canonical(line) for line in lines], numbers
    by_number = dict(zip(numbers, (canonical(match.group(2)) for match in numbered)))
    return [by_number[label] for label in range(len(lines))], numbers


def text_plain(names):
    """The content of label.txt: a name per line.

    Names that would be read as numbered lines (0:00, 1:00, ...) are numbered themselves, so that they read
    back.
    """
    text = ''.join(f'{name}\n' for name in names)
    return text if _parse(text.lstrip('\ufeff'))[0] == list(names) else text_numbered(names)


def text_numbered(names):
    """The content of labels.txt. names: a list, or {label: name}."""
    items = sorted(names.items()) if isinstance(names, dict) else enumerate(names)
    return ''.join(f'{label}:{name}\n' for label, name in items)


def in_folder(folder, manifest=None):
    """The class names that a folder's manifest and label files give, by label; None where there are none.

    Raises UserError naming both where two of them disagree.
    """
    sources = [('dataset.json', [canonical(name) for name in manifest.classes])] if manifest else []
    sources += [(name, read(os.path.join(folder, name))) for name in FILES
                if os.path.isfile(os.path.join(folder, name))]
    sources = [(name, names) for name, names in sources if names]
    for name, names in sources[1:]:
        first, classes = sources[0]
        if names != classes:
            label = next((n for n, pair in enumerate(zip(names, classes)) if pair[0] != pair[1]),
                         min(len(names), len(classes)))
            raise UserError(f'{first} and {name} in {folder} disagree from label {label} on '
                            f'({_at(classes, label)}, {_at(names, label)}): remove the wrong one')
    return list(sources[0][1]) if sources else None


def _at(names, label):
    return names[label] if label < len(names) else 'nothing'


def write(path, class_names):
    """Writes both label files. path: a function that gives the path for a file's name."""
    atomic.write_text(path('label.txt'), text_plain(class_names))
    atomic.write_text(path('labels.txt'), text_numbered(class_names))


def write_folder(folder, class_names):
    """Writes label.txt and labels.txt into a folder."""
    write(lambda name: os.path.join(folder, name), class_names)
