"""Published weights, from the nets' records: found in the cache, fetched, and taken out of their archives."""
import dataclasses
import fnmatch
import os
import re
import shutil

from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.storage import atomic
from slimtune.storage.archives import Archive, members, reading
from slimtune.storage.cache import cache_folder, folders_to_read, is_temporary, writable_folder
from slimtune.terminal import say

_COPY = 1 << 20


@dataclasses.dataclass(frozen=True)
class Weights:
    """Published weights. net: a record. image_size: of the images they were trained on, in pixels."""
    net: nets_factory.Net
    image_size: int
    archive: Archive


def all_weights():
    """{name: Weights}, everything that `slimtune download` can fetch for a net.

    The name is the net's; weights for another image size are called as their archive is,
    mobilenet_v1_0.25_128.
    """
    found = {}
    for net in nets_factory.NETS.values():
        if net.weights:
            found[net.name] = Weights(net, net.image_size, net.weights)
        for size, archive in net.other_weights.items():
            found[re.sub(r'\.(tgz|tar\.gz)$', '', archive.name)] = Weights(net, size, archive)
    return found


def find_weights(name, cache_dir=None):
    """The prefix of a downloaded checkpoint, or None. name: a key of all_weights."""
    for cache in folders_to_read(cache_dir):
        folder = _weights_folder(name, cache)
        atomic.settle(folder)
        prefix = os.path.join(folder, f'{name}.ckpt')
        if _exists(prefix):
            return prefix
    return None


def how_to_get(net_name, cache_dir=None):
    """One line: how to get a net's published weights."""
    archive, cache = nets_factory.get_net(net_name).weights, cache_folder(cache_dir)
    if not archive:
        return f'nobody publishes weights of {net_name}'
    return (f'slimtune download {net_name} (where there is no network, first copy {archive.name} '
            f'from {archive.address} into {cache})')


def download_weights(download_options):
    """Fetches published weights and returns the prefix of their checkpoint.

    download_options: options.Download. Raises UserError where the weights cannot be fetched or kept, are not
    what they should be, or the archive holds no checkpoint.
    """
    name, cache = download_options.dataset_name, cache_folder(download_options.cache_dir)
    copy = download_options.output_dir and os.path.join(download_options.output_dir, f'{name}.ckpt')
    if copy and _exists(copy):
        say(f'{name} is already in {copy}')
        return copy
    prefix = None if download_options.from_where else find_weights(name, cache)
    if prefix:
        say(f'{name} was downloaded before: {prefix}')
    else:
        writable = writable_folder(cache)
        if writable is None or is_temporary(writable) and not copy:
            raise UserError(f'no folder keeps the weights of {name}: '
                            'add --cache-dir FOLDER or --output-dir FOLDER')
        archive = all_weights()[name].archive
        from slimtune.storage import http  # requests: a tenth of a second that convert does not need
        path = http.fetch(archive, cache, download_options.from_where, download_options.checksums)
        extract(path, archive.checkpoint, _weights_folder(name, writable), name)
        prefix = find_weights(name, cache)
        say(f'{name}: {prefix}')
    if copy:
        folder = os.path.dirname(prefix)
        with atomic.exchange(download_options.output_dir) as exchange:
            for file in os.listdir(folder):
                shutil.copyfile(os.path.join(folder, file), exchange.path(file))
        say(f'{name}: copied to {copy}')
    return copy or prefix


def extract(path, pattern, folder, name):
    """Puts the checkpoint in an archive into `folder` as NAME.ckpt, whole.

    pattern: of the checkpoint's prefix in the archive. Of several that fit, the one in a folder ema/ (moving
    averages) is taken. Raises UserError for an archive that holds no such checkpoint, or several.
    """
    files = [member.name for member in members(path)]
    prefixes = sorted({re.sub(r'\.index$', '', file) for file in files if file.endswith(('.index', '.ckpt'))})
    fitting = [prefix for prefix in prefixes
               if any(fnmatch.fnmatchcase(path_or_name, pattern)
                      for path_or_name in (prefix, os.path.basename(prefix)))]
    averages = [prefix for prefix in fitting if '/ema/' in f'/{prefix}']
    chosen = fitting if len(fitting) == 1 else averages
    if len(chosen) != 1:
        found = ', '.join(prefixes) or 'none'
        raise UserError(f'{path} should hold one checkpoint {pattern}, but holds {found}')
    with atomic.exchange(folder) as exchange:
        exchange.remove([file for file in os.listdir(folder) if file.startswith(name + '.ckpt')])
        for member in members(path):
            ending = re.fullmatch(re.escape(chosen[0]) + r'(|\.index|\.data-\d{5}-of-\d{5})', member.name)
            if ending:
                with open(exchange.path(f'{name}.ckpt{ending.group(1)}'), 'wb') as f:
                    _copy(member, f, path)


def _copy(member, out, path):
    while True:
        with reading(path):      # an error in reading is the archive's; one in writing (a full disk) is not
            data = member.stream.read(_COPY)
        if not data:
            return
        out.write(data)


def _exists(prefix):
    """Whether there is a checkpoint: of 2016, a single file, or a newer one."""
    return os.path.exists(prefix) or os.path.exists(f'{prefix}.index')


def _weights_folder(name, cache):
    return os.path.join(cache, 'weights', name)
