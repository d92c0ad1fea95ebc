"""Prints the tables of options that README.md holds; a test compares them.

    python scripts/options_table.py
"""
import dataclasses

from slimtune import options


def markdown():
    """Every option of every command, a table for each concern."""
    groups = dict.fromkeys(group for command in options.COMMANDS.values() for group in command.groups)
    lines = []
    for group in sorted(groups, key=lambda group: group is options.Terminal):       # what all commands have comes last
        commands = [name for name, command in options.COMMANDS.items() if group in command.groups]
        lines += ['**%s** (%s)' % (group.__doc__.rstrip('.'), ', '.join(commands)), '', '| option | default | |', '|-|-|-|']
        lines += [row(field, commands) for field in dataclasses.fields(group)] + ['']
    return '\n'.join(lines)


def row(field, commands):
    """The row of an option that these commands have."""
    shown = {command: options.shown_default(command, field.name) for command in commands}
    if len(set(shown.values())) == 1:
        default = shown[commands[0]]
    else:
        default = ', '.join('%s (%s)' % (text, command) for command, text in shown.items())
    choices = field.metadata['choices']
    return '| `%s` | %s | %s%s |' % (options.flag(field.name), default, field.metadata['help'],
                                     ' One of %s.' % ', '.join(choices) if choices else '')


if __name__ == '__main__':
    print(markdown())
