"""Published weights: found in the cache, fetched, and taken out of their archives."""
import fnmatch
import os
import re
import shutil

from slimtune.checkpoints.weights import WEIGHTS
from slimtune.errors import UserError
from slimtune.storage import atomic, http
from slimtune.storage.archives import explained, members
from slimtune.storage.cache import cache_folder
from slimtune.terminal import say

_COPY = 1 << 20


def find_weights(net_name, cache_dir=None):
    """The prefix of a net's downloaded checkpoint, or None."""
    folder = _weights_folder(net_name, cache_folder(cache_dir))
    atomic.settle(folder)
    prefix = os.path.join(folder, net_name + '.ckpt')
    return prefix if os.path.exists(prefix) or os.path.exists(prefix + '.index') else None


def how_to_get(net_name, cache_dir=None):
    """One line: how to come by a net's published weights."""
    if net_name not in WEIGHTS:
        return 'nobody publishes weights of %s' % net_name
    archive, cache = WEIGHTS[net_name], cache_folder(cache_dir)
    return 'slimtune download %s (where the network does not reach, first carry %s from %s into %s)' % (
        net_name, archive.name, archive.address, cache)


def weights(asked):
    """Fetches a net's published weights and returns the prefix of their checkpoint. asked: options.Download."""
    name, cache = asked.dataset_name, cache_folder(asked.cache_dir)
    there = asked.output_dir and os.path.join(asked.output_dir, name + '.ckpt')
    if there and (os.path.exists(there) or os.path.exists(there + '.index')):
        say('%s is there already: %s' % (name, there))
        return there
    prefix = None if asked.from_where else find_weights(name, cache)
    if prefix:
        say('%s was downloaded before: %s' % (name, prefix))
    else:
        path = http.fetch(WEIGHTS[name], cache, asked.from_where, asked.checksums)
        extract(path, WEIGHTS[name].checkpoint, _weights_folder(name, cache), name)
        prefix = find_weights(name, cache)
        say('%s: %s' % (name, prefix))
    if there:
        folder = os.path.dirname(prefix)
        with atomic.exchange(asked.output_dir) as exchange:
            for file in os.listdir(folder):
                shutil.copyfile(os.path.join(folder, file), exchange.path(file))
        say('%s: copied to %s' % (name, there))
    return there or prefix


def extract(path, pattern, folder, name):
    """Puts the checkpoint in an archive into `folder` as NAME.ckpt, whole. pattern: of its prefix in the archive.

    Raises UserError for an archive that holds no such checkpoint, or several.
    """
    found = [member.name for member in members(path)]
    prefixes = sorted({re.sub(r'\.index$', '', file) for file in found if file.endswith(('.index', '.ckpt'))})
    fitting = [prefix for prefix in prefixes if fnmatch.fnmatchcase(prefix, pattern)
               or fnmatch.fnmatchcase(os.path.basename(prefix), pattern)]
    averages = [prefix for prefix in fitting if '/ema/' in '/' + prefix]
    chosen = fitting if len(fitting) == 1 else averages
    if len(chosen) != 1:
        raise UserError('%s should hold one checkpoint %s, but holds %s' % (path, pattern, ', '.join(prefixes) or 'none'))
    with atomic.exchange(folder) as exchange:
        exchange.remove([file for file in os.listdir(folder) if file.startswith(name + '.ckpt')])
        for member in members(path):
            ending = re.fullmatch(re.escape(chosen[0]) + r'(|\.index|\.data-\d{5}-of-\d{5})', member.name)
            if ending:
                with open(exchange.path(name + '.ckpt' + ending.group(1)), 'wb') as f:
                    _copy(member, f, path)


def _copy(member, out, path):
    while True:
        with explained(path):      # a full disk is no damaged archive
            data = member.stream.read(_COPY)
        if not data:
            return
        out.write(data)


def _weights_folder(name, cache):
    return os.path.join(cache, 'weights', name)
