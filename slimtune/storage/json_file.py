"""JSON files that other people may have written or damaged: read into dataclasses, every type checked.

A schema is a dataclass whose fields are annotated with str, int, float, bool, object (anything), Optional,
List, Dict[str, ...], FileName or another dataclass. Unknown keys are ignored: a later version may have
written them. A field of `renamed` is also found under the key that earlier versions wrote.
"""
import dataclasses
import json
import typing

from slimtune.errors import UserError

_NAMES = {str: 'a text', int: 'a whole number', float: 'a number', bool: 'true or false', list: 'a list',
          dict: 'an object'}
_SHOWN = 40     # characters of a wrong value


class FileName(str):
    """The annotation for the name of a file in the JSON file's own folder: no path, nothing outside."""


def renamed(earlier):
    """A required field of a schema that earlier versions wrote with the key `earlier`."""
    return dataclasses.field(metadata={'earlier': earlier})


class WrongValue(Exception):
    """Where in a JSON file a value is wrong, what it is, and what was expected."""


def read(schema, path, remedy):
    """The file as an instance of the dataclass `schema`.

    remedy: what the user does about a damaged file, the end of the message. Raises UserError naming the file,
    the key, what it holds and what was expected; FileNotFoundError where there is no file.
    """
    try:
        with open(path, encoding='utf-8') as f:
            return checked(schema, json.load(f))
    except WrongValue as e:
        raise UserError(f'{path}: {e}: {remedy}')
    except (ValueError, RecursionError) as e:
        raise UserError(f'{path} is damaged ({e}): {remedy}')


def checked(schema, value, key=''):
    """`value` as the annotation `schema` says, dataclasses made. Raises WrongValue."""
    if dataclasses.is_dataclass(schema):
        return _dataclass(schema, _instance(dict, value, key), key)
    origin, inner = getattr(schema, '__origin__', None), getattr(schema, '__args__', ())
    if origin is typing.Union:          # Optional
        return None if value is None else checked(inner[0], value, key)
    if origin in (list, typing.List):
        elements = enumerate(_instance(list, value, key))
        return [checked(inner[0], one, f'{key}[{n}]') for n, one in elements]
    if origin in (dict, typing.Dict):
        entries = _instance(dict, value, key).items()
        return {name: checked(inner[1], one, _join(key, name)) for name, one in entries}
    if schema is object:
        return value
    if schema is FileName:
        if not is_file_name(_instance(str, value, key)):
            raise WrongValue(f'{key} is {_shown(value)}, expected the name of a file in the same folder')
        return value
    return _instance(schema, value, key)


def is_file_name(text):
    """Whether a text names a file in its own folder, whatever the system: no separators, no NUL, neither .
    nor ..
    """
    return bool(text) and text not in ('.', '..') and not any(mark in text for mark in '/\\\0')


def _dataclass(schema, value, key):
    hints, given = typing.get_type_hints(schema), {}
    for field in dataclasses.fields(schema):
        names = (field.name, field.metadata.get('earlier'))
        found = next((name for name in names if name in value), None)
        if found:
            given[field.name] = checked(hints[field.name], value[found], _join(key, found))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise WrongValue(f'{_join(key, field.name)} is missing')
    return schema(**given)


def _instance(kind, value, key):
    """The value, if it is of that type. A bool is no number; a whole number is one."""
    types = (int, float) if kind is float else kind
    fits = isinstance(value, types) and (kind is bool or not isinstance(value, bool))
    if not fits:
        raise WrongValue(f'{key or "it"} is {_shown(value)}, expected {_NAMES[kind]}')
    return value


def _join(key, name):
    return f'{key}.{name}' if key else name


def _shown(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + '…'
