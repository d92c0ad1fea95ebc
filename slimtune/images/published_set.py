"""A published data set becomes records, label files and a manifest; whole, or not at all."""
import collections
import importlib
import os

from slimtune import __version__
from slimtune.datasets import labels, manifest, records
from slimtune.errors import UserError
from slimtune.images import image_file
from slimtune.storage import atomic, http
from slimtune.storage.cache import cache_folder
from slimtune.storage.parallel import in_order
from slimtune.terminal import progress, say, table


def data_set(asked):
    """Fetches a data set, converts it and returns the folder of its records. asked: options.Download."""
    name, folder = asked.dataset_name, asked.dataset_dir or asked.dataset_name
    source = published(name)
    if _is_there(name, source, folder):
        return folder
    if source.archives:
        cache = cache_folder(asked.cache_dir)
        if asked.from_where and len(source.archives) > 1 and os.path.isfile(asked.from_where):
            raise UserError('%s is one file, but %s is made of %s: give the folder that holds them' % (
                asked.from_where, name, ', '.join(archive.name for archive in source.archives)))
        contents = source.read({archive.name: http.fetch(archive, cache, asked.from_where, asked.checksums)
                                   for archive in source.archives})
    elif not asked.from_where or not os.path.isdir(asked.from_where):
        raise UserError('%s is not given out to everybody: add --from FOLDER, a folder with %s' % (name, source.needs))
    else:
        contents = source.read(asked.from_where)
    _check_labels(folder, contents.class_names)
    written = _write(name, source, contents, folder)
    say(*table(['split', 'images', 'shards'], [[split, facts['images'], len(facts['shards'])]
                                                for split, facts in written.splits.items()]))
    if written.left_out:
        say('Left out, %d, listed in %s; the first: %s (%s)' % (
            len(written.left_out), os.path.join(folder, manifest.NAME), written.left_out[0]['file'], written.left_out[0]['why']))
    say('%s: %s' % (name, folder))
    return folder


def _write(name, published, contents, folder):
    """Writes the shards, the label files and the manifest, all or nothing; returns the manifest."""
    splits, left_out, channels = {}, [], 1
    with atomic.exchange(folder) as exchange:
        exchange.remove(_shard_names(published) + ['label.txt', 'labels.txt', manifest.NAME])
        for split, (pattern, number) in published.shards.items():
            splits[split], bad, most = write_split(exchange, split, pattern, number, contents.splits[split],
                                                          contents.class_names)
            left_out += [{'file': file, 'why': why} for file, why in bad]
            channels = max(channels, most)
        written = manifest.Manifest(name=name, classes=contents.class_names, splits=splits, channels=channels,
                                    left_out=left_out, source='', version=__version__)
        atomic.write_text(exchange.path('label.txt'), labels.text_plain(contents.class_names))
        atomic.write_text(exchange.path('labels.txt'), labels.text_numbered(contents.class_names))
        atomic.write_text(exchange.path(manifest.NAME), written.text())
    return written


def _is_there(name, published, folder):
    """Whether the folder holds the data set already, and says so. Raises UserError where it holds another one."""
    if not os.path.isdir(folder):
        return False
    atomic.settle(folder)
    written = manifest.load(folder)
    if written and written.name != name:
        raise UserError('%s holds the data set %s: choose another --dataset-dir' % (folder, written.name))
    if written:
        for split in written.splits:
            written.shards(split, folder)
        say('%s is there already: %s in %s' % (name, ', '.join(
            '%d %s' % (facts['images'], split) for split, facts in written.splits.items()), folder))
        return True
    if all(os.path.isfile(os.path.join(folder, file)) for file in _shard_names(published)):
        say('%s holds the records of %s already, without %s: left as they are' % (folder, name, manifest.NAME))
        return True
    return False


def _shard_names(published):
    return [pattern % (n, number) if '%' in pattern else pattern
            for pattern, number in published.shards.values() for n in range(number)]


def _check_labels(folder, class_names):
    known = labels.known(folder) if os.path.isdir(folder) else None
    if known and known != class_names:
        raise UserError('%s names other classes (%s, …): choose another --dataset-dir' % (
            os.path.join(folder, 'label.txt'), known[0]))


def published(name):
    """The Published record of a data set's module."""
    return importlib.import_module('slimtune.datasets.published.' + name).PUBLISHED


def write_split(exchange, split, pattern, number, chosen, classes):
    """Writes a split's shards, in the order of its images: (its part of the manifest, [(file left out, why), ...], channels).

    exchange: files.Exchange that takes the shards. pattern: their names, with the shard's number and how many there are
    where there may be more than one. chosen: PublishedImages. classes: names by label.
    """
    if not chosen:
        raise UserError('no images for %s' % split)
    if len(chosen) < number:
        say('%d images in %s: %d shards instead of %d, none may be empty.' % (len(chosen), split, len(chosen), number))
    number = min(number, len(chosen))
    counts, shards, left_out, channels = collections.Counter(), [], [], 1
    examples = in_order(lambda image: _example(image, classes), chosen, at_once=16)
    with progress('Writing ' + split, len(chosen)) as bar:
        for shard in range(number):
            part = chosen[shard * len(chosen) // number:(shard + 1) * len(chosen) // number]
            name = pattern % (shard, number) if '%' in pattern else pattern
            before = sum(counts.values())
            with records.writer(exchange.path(name)) as write:
                for image, (example, facts) in zip(part, examples):
                    bar.advance(1)
                    if example is None:
                        left_out.append((image.name, facts))
                        continue
                    write(example)
                    counts[image.label] += 1
                    channels = max(channels, facts.channels)
            shards.append({'name': name, 'bytes': os.path.getsize(exchange.path(name)), 'records': sum(counts.values()) - before})
    empty = [shard['name'] for shard in shards if not shard['records']]
    if empty:
        raise UserError('not one usable image for %s: %s (%s)' % ((empty[0],) + left_out[0]))
    return {'images': sum(counts.values()), 'per_class': [counts[label] for label in range(len(classes))],
            'shards': shards}, left_out, channels


def _example(image, classes):
    """An image's serialized tf.train.Example, with slim's keys, with its facts (image_file.ImageFacts); else None and why not."""
    try:
        data = image.read()
        facts = image_file.inspect(data)
        features = image_file.features(image_file.encode(data, facts), facts, image.label, classes[image.label], image.name)
        return records.example(dict(features, **image.features or {})), facts
    except (image_file.BadImage, OSError) as e:
        return None, str(e)
