"""How an option is written down: a field of a frozen dataclass, with its help and defaults."""
import dataclasses


def option(default, help, folder=dataclasses.MISSING, choices=None, slim=True, kind=None, only=None, least=None):
    """A field that is a flag.

    default: what slim's scripts have. folder: ours, where the folder form differs. choices: the values allowed.
    slim: slim's scripts have this flag, so its abbreviations win. kind: 'path' (~ and variables are expanded),
    'scopes' (spaces around commas are forgiven) or 'words' (positional, any number). only: the only values that act so far.
    least: the smallest number that makes sense.
    """
    return dataclasses.field(default=default, metadata=dict(
        help=help, folder=default if folder is dataclasses.MISSING else folder, choices=choices, slim=slim, kind=kind,
        only=only, least=least))
