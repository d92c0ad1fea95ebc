"""An option: a field of a frozen dataclass with its help, its defaults and the values that it accepts."""
import dataclasses
import math
import os
import re

from slimtune.errors import UsageError

TRUE, FALSE = ('true', 't', '1', 'yes', 'y'), ('false', 'f', '0', 'no', 'n')


def option(default, help, folder=dataclasses.MISSING, choices=None, slim=True, kind=None, only=None,
           least=None, most=None):
    """A field that is a flag.

    default: slim's default. folder: slimtune's default, where the folder form has another. choices: the
    accepted values. slim: slim's scripts have this flag, so that its abbreviations win. kind: 'path' (`~` and
    `$VARIABLES` are expanded where it is typed) or 'scopes' (spaces around commas are ignored). only: the
    values that this version supports, of a flag whose other values come later. least, most: the smallest and
    the largest number, both accepted.
    """
    return dataclasses.field(default=default, metadata={
        'help': help, 'folder': default if folder is dataclasses.MISSING else folder, 'choices': choices,
        'slim': slim, 'kind': kind, 'only': only, 'least': least, 'most': most})


def flag(name):
    """An option's name as messages spell it: `--batch-size`."""
    return '--' + name.replace('_', '-')


def value_of(field, text):
    """The value of an option that was typed as `text`. UsageError names what the option accepts."""
    try:
        value = _CONVERT[field.type](text)
    except ValueError:
        value = None
    only = field.metadata['only']
    if value is not None and only is not None and value not in only:
        usual = only[0] or repr(only[0])
        raise UsageError(f'{flag(field.name)}={text} comes in a later version: leave it at {usual}')
    if not fits(field, value):
        raise UsageError(f'{flag(field.name)}={text}: expected {expectation(field)}')
    if field.metadata['kind'] == 'path':
        return os.path.expanduser(os.path.expandvars(value))
    if field.metadata['kind'] == 'scopes':
        return ','.join(scopes(value))
    return value


def fits(field, value):
    """Whether a value has the option's type and lies in its choices or its range."""
    row, types = field.metadata, (int, float) if field.type is float else field.type
    if not isinstance(value, types) or isinstance(value, bool) != (field.type is bool):
        return False
    if row['choices'] is not None:
        return value in row['choices']
    return field.type not in (int, float) or row['least'] is None or row['least'] <= value <= row['most']


def expectation(field):
    """What an option accepts, as the end of a sentence."""
    row = field.metadata
    if row['choices'] is not None:
        return 'one of ' + ', '.join(row['choices'])
    what = _EXPECTED[row['kind'] or field.type]
    return what if row['least'] is None else f'{what} from {_short(row["least"])} to {_short(row["most"])}'


_EXPECTED = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a text', 'path': 'a path',
             'scopes': 'scopes, separated by commas'}


def scopes(text):
    """The scopes of a comma-separated list; spaces around commas and empty entries are ignored."""
    return [scope for scope in re.split(r'\s*,\s*', (text or '').strip()) if scope]


def _boolean(text):
    if text.lower() not in TRUE + FALSE:
        raise ValueError
    return text.lower() in TRUE


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


_CONVERT = {bool: _boolean, int: int, float: _finite, str: str}


def _short(number):
    return str(number) if isinstance(number, int) else f'{number:g}'
