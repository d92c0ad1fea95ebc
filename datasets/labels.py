"""Names of classes: reading and writing label.txt (a name a line) and labels.txt (slim's `0:name`)."""
import os
import re

from slimtune.errors import UserError
from slimtune.terminal import say

_NUMBERED = re.compile(r'\s*(\d+)\s*:(.*)', re.DOTALL)
#: Where names are looked for, the manifest aside.
FILES = ('labels.txt', 'label.txt')


def decode(data, what):
    """Bytes as text: UTF-8, with or without its mark, else GBK, which is said. what: for the message."""
    for encoding in ('utf-8-sig', 'gbk'):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == 'gbk':
            say('%s is not UTF-8: read as GBK' % what)
        return text
    raise UserError('%s is neither UTF-8 nor GBK: save it as UTF-8' % what)


def read(path):
    """The names in a label file, by label: a list. Blank lines do not count.

    Lines are names, or all of them are `number:name` with the numbers 0 to N-1 in any order. Raises UserError.
    """
    with open(path, 'rb') as f:
        lines = [line.strip() for line in decode(f.read(), path).splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        names = {int(match.group(1)): match.group(2).strip() for match in numbered}
        if sorted(names) == list(range(len(lines))):
            return [names[label] for label in range(len(lines))]
        if os.path.basename(path) == 'labels.txt':
            raise UserError('%s: its %d lines must be numbered 0 to %d, each number once'
                            % (path, len(lines), len(lines) - 1))
    return lines


def text_plain(names):
    """The content of label.txt."""
    return ''.join('%s\n' % name for name in names)


def text_numbered(names):
    """The content of labels.txt. names: a list, or {label: name}."""
    items = sorted(names.items()) if isinstance(names, dict) else enumerate(names)
    return ''.join('%d:%s\n' % item for item in items)


def known(folder, manifest=None):
    """The names that a folder's manifest and label files give, or None where there are none of them.

    Raises UserError naming both where two of them disagree.
    """
    sources = [('dataset.json', manifest.classes)] if manifest else []
    sources += [(name, read(os.path.join(folder, name))) for name in FILES
                if os.path.isfile(os.path.join(folder, name))]
    sources = [(name, names) for name, names in sources if names]
    for name, names in sources[1:]:
        first, classes = sources[0]
        if names != classes:
            label = next((n for n, pair in enumerate(zip(names, classes)) if pair[0] != pair[1]),
                         min(len(names), len(classes)))
            raise UserError('%s and %s in %s disagree from label %d on (%s, %s): remove the one that is wrong' % (
                first, name, folder, label, _at(classes, label), _at(names, label)))
    return list(sources[0][1]) if sources else None


def _at(names, label):
    return names[label] if label < len(names) else 'nothing'


def write_folder(folder, class_names):
    """Writes label.txt and labels.txt into a folder."""
    from slimtune.storage import atomic
    atomic.write_text(os.path.join(folder, 'label.txt'), text_plain(class_names))
    atomic.write_text(os.path.join(folder, 'labels.txt'), text_numbered(class_names))
