"""The folder of what can be made or fetched again."""
import os


def cache_folder(cache_dir=None):
    """The folder of what can be made or fetched again: the one given, else SLIMTUNE_CACHE, else the user's own."""
    home = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return cache_dir or os.environ.get('SLIMTUNE_CACHE') or os.path.join(home, 'slimtune')
