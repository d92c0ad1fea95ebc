"""The help of a command, from its table of options."""
import dataclasses
import shutil
import textwrap

from slimtune.options.fields import flag
from slimtune.options.request import COMMANDS, command_options, shown_default

_WIDEST, _COLUMN = 110, 34      # characters: of a line, and before the text of an option
_VALUES = {int: 'N', float: 'X', str: 'NAME', bool: '', 'path': 'PATH', 'scopes': 'SCOPE,...'}
_EPILOG = (
    'Options may be typed with - or _, as --name=value or --name value, and may be abbreviated: --batch for '
    '--batch-size. A switch such as --quiet may be followed by =true or =false. Where two defaults are '
    'shown, [slim; folder], the second one applies when the first word is a folder.')


def help_text(command):
    """The text of `slimtune COMMAND --help`, as wide as the terminal and at most 110 columns."""
    row, width = COMMANDS[command], min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    words = ''
    if row.first:
        words = ' [FOLDER]' if command_options(command)[row.first].metadata['kind'] == 'path' else ' [NAME]'
    lines = [f'usage: slimtune {command}{words}{" IMAGE ..." if row.rest else ""} [options]', '', row.summary,
             f'Example: {row.example}']
    for group in row.groups:
        lines += ['', f'{heading(group)}:']
        for field in dataclasses.fields(group):
            lines += _entry(command, field, width)
    return '\n'.join([*lines, '', *textwrap.wrap(_EPILOG, width)])


def heading(group):
    """The title of a group of options: its docstring without the full stop."""
    return group.__doc__.rstrip('.')


def _entry(command, field, width):
    """The lines of an option: its name and value, and from _COLUMN on what it does and its default."""
    choices, default = field.metadata['choices'], shown_default(command, field.name)
    value = _VALUES.get(field.metadata['kind'], _VALUES[field.type])
    if choices:
        value = '{' + ','.join(choices) + '}'
    name = f'  {flag(field.name)} {value}'.rstrip()
    text = f'{field.metadata["help"]} [{default}]' if default else field.metadata['help']
    lines = textwrap.wrap(text, max(width - _COLUMN, 20), break_on_hyphens=False)
    lines = [' ' * _COLUMN + line for line in lines]
    if len(name) > _COLUMN - 2:
        return [name, *lines]
    return [name.ljust(_COLUMN) + lines[0].lstrip(), *lines[1:]]
