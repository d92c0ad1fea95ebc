"""`slimtune download`: published weights, and published data sets as records that slimtune and slim read."""
import fnmatch
import importlib
import os
import re
import shlex
import shutil

from slimtune import __version__, archives, fetch, files, options, shards
from slimtune.datasets import labels, manifest
from slimtune.errors import UserError, nearest
from slimtune.nets import nets_factory
from slimtune.terminal import next_step, result, say, table
from slimtune.weights import WEIGHTS

#: data set: the net to try first.
DATA_SETS = {'mnist': 'lenet', 'cifar10': 'cifarnet', 'flowers': 'mobilenet_v1_025', 'imagenet': 'mobilenet_v1',
             'visualwakewords': 'mobilenet_v1_025'}
_COPY = 1 << 20


def run(request):
    """The command."""
    asked = request[options.Download]
    if not asked.dataset_name:
        result(overview(fetch.cache_folder(asked.cache_dir)))
    elif asked.dataset_name in DATA_SETS:
        folder = data_set(asked)
        next_step('slimtune train %s --model %s' % (shlex.quote(folder), DATA_SETS[asked.dataset_name]))
    else:
        prefix = weights(asked)
        net = asked.dataset_name if asked.dataset_name in nets_factory.NETS else 'NET'
        found = net != 'NET' and not asked.output_dir and not asked.cache_dir      # train looks there by itself
        next_step('slimtune train FOLDER --model %s%s' % (net, '' if found else ' --checkpoint-path ' + shlex.quote(prefix)))


def overview(cache):
    """What there is to download, and what was."""
    rows = [[name, 'data set', 'bring its archives' if not _published(name).archives else
             _megabytes(_published(name).archives), ''] for name in DATA_SETS]
    rows += [[name, 'weights', _megabytes([archive]), find_weights(name, cache) or ''] for name, archive in WEIGHTS.items()]
    return table(['name', 'what', 'MB', 'downloaded'], rows)


# Weights

def find_weights(net_name, cache_dir=None):
    """The prefix of a net's downloaded checkpoint, or None."""
    folder = _weights_folder(net_name, fetch.cache_folder(cache_dir))
    files.settle(folder)
    prefix = os.path.join(folder, net_name + '.ckpt')
    return prefix if os.path.exists(prefix) or os.path.exists(prefix + '.index') else None


def how_to_get(net_name, cache_dir=None):
    """One line: how to come by a net's published weights."""
    if net_name not in WEIGHTS:
        return 'nobody publishes weights of %s' % net_name
    archive, cache = WEIGHTS[net_name], fetch.cache_folder(cache_dir)
    return 'slimtune download %s (where the network does not reach, first carry %s from %s into %s)' % (
        net_name, archive.name, archive.address, cache)


def weights(asked):
    """Fetches a net's published weights and returns the prefix of their checkpoint. asked: options.Download."""
    name, cache = asked.dataset_name, fetch.cache_folder(asked.cache_dir)
    if name not in WEIGHTS:
        raise _unknown(name)
    there = asked.output_dir and os.path.join(asked.output_dir, name + '.ckpt')
    if there and (os.path.exists(there) or os.path.exists(there + '.index')):
        say('%s is there already: %s' % (name, there))
        return there
    prefix = None if asked.from_where else find_weights(name, cache)
    if prefix:
        say('%s was downloaded before: %s' % (name, prefix))
    else:
        path = fetch.fetch(WEIGHTS[name], cache, asked.from_where, asked.checksums)
        extract(path, WEIGHTS[name].checkpoint, _weights_folder(name, cache), name)
        prefix = find_weights(name, cache)
        say('%s: %s' % (name, prefix))
    if there:
        folder = os.path.dirname(prefix)
        with files.exchange(asked.output_dir) as exchange:
            for file in os.listdir(folder):
                shutil.copyfile(os.path.join(folder, file), exchange.path(file))
        say('%s: copied to %s' % (name, there))
    return there or prefix


def extract(path, pattern, folder, name):
    """Puts the checkpoint in an archive into `folder` as NAME.ckpt, whole. pattern: of its prefix in the archive.

    Raises UserError for an archive that holds no such checkpoint, or several.
    """
    found = [member.name for member in archives.members(path)]
    prefixes = sorted({re.sub(r'\.index$', '', file) for file in found if file.endswith(('.index', '.ckpt'))})
    fitting = [prefix for prefix in prefixes if fnmatch.fnmatchcase(prefix, pattern)
               or fnmatch.fnmatchcase(os.path.basename(prefix), pattern)]
    averages = [prefix for prefix in fitting if '/ema/' in '/' + prefix]
    chosen = fitting if len(fitting) == 1 else averages
    if len(chosen) != 1:
        raise UserError('%s should hold one checkpoint %s, but holds %s' % (path, pattern, ', '.join(prefixes) or 'none'))
    with files.exchange(folder) as exchange:
        for member in archives.members(path):
            ending = re.fullmatch(re.escape(chosen[0]) + r'(|\.index|\.data-\d{5}-of-\d{5})', member.name)
            if ending:
                with open(exchange.path(name + '.ckpt' + ending.group(1)), 'wb') as f:
                    _copy(member, f, path)


def _copy(member, out, path):
    while True:
        with archives.explained(path):      # a full disk is no damaged archive
            data = member.stream.read(_COPY)
        if not data:
            return
        out.write(data)


def _weights_folder(name, cache):
    return os.path.join(cache, 'weights', name)


# Data sets

def data_set(asked):
    """Fetches a data set, converts it and returns the folder of its records. asked: options.Download."""
    name, folder = asked.dataset_name, asked.dataset_dir or asked.dataset_name
    published = _published(name)
    if _is_there(name, published, folder):
        return folder
    if published.archives:
        cache = fetch.cache_folder(asked.cache_dir)
        if asked.from_where and len(published.archives) > 1 and os.path.isfile(asked.from_where):
            raise UserError('%s is one file, but %s is made of %s: give the folder that holds them' % (
                asked.from_where, name, ', '.join(archive.name for archive in published.archives)))
        contents = published.read({archive.name: fetch.fetch(archive, cache, asked.from_where, asked.checksums)
                                   for archive in published.archives})
    elif not asked.from_where or not os.path.isdir(asked.from_where):
        raise UserError('%s is not given out to everybody: add --from FOLDER, a folder with %s' % (name, published.needs))
    else:
        contents = published.read(asked.from_where)
    _check_labels(folder, contents.class_names)
    written = _write(name, published, contents, folder)
    say(table(['split', 'pictures', 'shards'], [[split, facts['pictures'], len(facts['shards'])]
                                                for split, facts in written.splits.items()]))
    if written.left_out:
        say('Left out, %d, listed in %s; the first: %s (%s)' % (
            len(written.left_out), os.path.join(folder, manifest.NAME), written.left_out[0]['file'], written.left_out[0]['why']))
    say('%s: %s' % (name, folder))
    return folder


def _write(name, published, contents, folder):
    """Writes the shards, the label files and the manifest, all or nothing; returns the manifest."""
    splits, left_out, channels = {}, [], 1
    with files.exchange(folder) as exchange:
        for split, (pattern, number) in published.shards.items():
            splits[split], bad, most = shards.write_split(exchange, split, pattern, number, contents.splits[split],
                                                          contents.class_names)
            left_out += [{'file': file, 'why': why} for file, why in bad]
            channels = max(channels, most)
        written = manifest.Manifest(name=name, classes=contents.class_names, splits=splits, channels=channels,
                                    left_out=left_out, source='', version=__version__)
        files.write_text(exchange.path('label.txt'), labels.text_plain(contents.class_names))
        files.write_text(exchange.path('labels.txt'), labels.text_numbered(contents.class_names))
        files.write_text(exchange.path(manifest.NAME), written.text())
    return written


def _is_there(name, published, folder):
    """Whether the folder holds the data set already, and says so. Raises UserError where it holds another one."""
    if not os.path.isdir(folder):
        return False
    files.settle(folder)
    written = manifest.load(folder)
    if written and written.name != name:
        raise UserError('%s holds the data set %s: choose another --dataset-dir' % (folder, written.name))
    if written:
        for split in written.splits:
            written.shards(split, folder)
        say('%s is there already: %s in %s' % (name, ', '.join(
            '%d %s' % (facts['pictures'], split) for split, facts in written.splits.items()), folder))
        return True
    names = [pattern % (n, number) if '%' in pattern else pattern
             for pattern, number in published.shards.values() for n in range(number)]
    if all(os.path.isfile(os.path.join(folder, file)) for file in names):
        say('%s holds the records of %s already, without %s: left as they are' % (folder, name, manifest.NAME))
        return True
    return False


def _check_labels(folder, class_names):
    known = labels.known(folder) if os.path.isdir(folder) else None
    if known and known != class_names:
        raise UserError('%s names other classes (%s, …): choose another --dataset-dir' % (
            os.path.join(folder, 'label.txt'), known[0]))


def _published(name):
    return importlib.import_module('slimtune.datasets.' + name).PUBLISHED


def _megabytes(published):
    sizes = [archive.size for archive in published]
    return '?' if None in sizes else '%.1f' % (sum(sizes) / 1e6)


def _unknown(name):
    if name in nets_factory.NETS:
        return UserError('nobody publishes weights of %s: train it without --checkpoint-path' % name)
    near = nearest(name, list(DATA_SETS) + list(WEIGHTS))
    return UserError('nothing called %s to download: %s`slimtune download` lists what there is' % (
        name, 'did you mean %s? ' % ' or '.join(near) if near else ''))
