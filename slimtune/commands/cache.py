"""`slimtune cache`: lists what the cache holds, and removes it."""
import datetime

from slimtune import options
from slimtune.checkpoints.published import all_weights
from slimtune.datasets import published_data
from slimtune.errors import UsageError
from slimtune.storage import cache_contents
from slimtune.storage.cache import cache_folder
from slimtune.terminal import result, say, table


def run(request):
    """The command."""
    chosen = request[options.CacheContents]
    if chosen.clear and chosen.max_size is not None:
        raise UsageError('--clear and --max-size: give one of them')
    folder = cache_folder(chosen.cache_dir)
    found = cache_contents.entries(folder, archive_names())
    if not found:
        result(f'The cache is empty: {folder}')
    elif chosen.clear or chosen.max_size is not None:
        shrink(folder, found, 0 if chosen.clear else chosen.max_size * (1 << 30))
    else:
        result(*overview(found))
        result(f'{_size(found)} in {folder}')
        say('Remove the least recently used: slimtune cache --max-size GIB. All: slimtune cache --clear')


def archive_names():
    """The names of all published files that may lie in the cache."""
    releases = [published_data.release(name) for name in published_data.names()]
    archives = [weights.archive for weights in all_weights().values()]
    archives += [archive for release in releases for archive in release.archives]
    return sorted({archive.name for archive in archives})


def overview(found):
    """A table of Entries, those used last first: its lines."""
    rows = [[entry.kind, entry.name + ' (unfinished)' * entry.unfinished, f'{entry.size / 1e6:.1f}',
             datetime.datetime.fromtimestamp(entry.used).strftime('%Y-%m-%d %H:%M'),
             'now' if cache_contents.is_used(entry) else ''] for entry in reversed(found)]
    return table(['type', 'name', 'MB', 'last used', 'in use'], rows)


def shrink(folder, found, size):
    """Removes Entries until they take `size` bytes at most, and prints what came of it."""
    removed = cache_contents.shrink(folder, found, size)
    kept = [entry for entry in found if entry not in removed]
    result(f'Removed {len(removed)} of {len(found)} entries, {_size(removed)}; {_size(kept)} in {folder}')
    if sum(entry.size for entry in kept) > size:
        names = ', '.join(f'{entry.kind} {entry.name}' for entry in kept)
        say(f'What other commands use now was kept: {names}')


def _size(found):
    return f'{sum(entry.size for entry in found) / 1e6:.1f} MB'
