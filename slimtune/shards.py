"""Writes the pictures of a published data set as shards of records."""
import collections
import os
from multiprocessing.pool import ThreadPool

from slimtune import pictures
from slimtune.datasets import records
from slimtune.errors import UserError
from slimtune.terminal import progress, say


def write_split(exchange, split, pattern, number, chosen, classes):
    """Writes a split's shards, in the order of its pictures: (its part of the manifest, [(file left out, why), ...], channels).

    exchange: files.Exchange that takes the shards. pattern: their names, with the shard's number and how many there are
    where there may be more than one. chosen: published.Pictures. classes: names by label.
    """
    if not chosen:
        raise UserError('no pictures for %s' % split)
    if len(chosen) < number:
        say('%d pictures in %s: %d shards instead of %d, none may be empty.' % (len(chosen), split, len(chosen), number))
    number = min(number, len(chosen))
    counts, shards, left_out, channels = collections.Counter(), [], [], 1
    with ThreadPool(os.cpu_count() or 1) as pool, progress('Writing ' + split, len(chosen)) as bar:
        for shard in range(number):
            part = chosen[shard * len(chosen) // number:(shard + 1) * len(chosen) // number]
            name = pattern % (shard, number) if '%' in pattern else pattern
            before = sum(counts.values())
            for picture, facts in _write_shard(exchange.path(name), pool, part, classes, bar):
                if isinstance(facts, str):
                    left_out.append((picture.name, facts))
                else:
                    counts[picture.label] += 1
                    channels = max(channels, facts.channels)
            shards.append({'name': name, 'bytes': os.path.getsize(exchange.path(name)), 'records': sum(counts.values()) - before})
    empty = [shard['name'] for shard in shards if not shard['records']]
    if empty:
        raise UserError('not one usable picture for %s: %s (%s)' % ((empty[0],) + left_out[0]))
    return {'pictures': sum(counts.values()), 'per_class': [counts[label] for label in range(len(classes))],
            'shards': shards}, left_out, channels


def _write_shard(path, pool, part, classes, bar):
    """Writes a shard; yields each of its pictures with its facts (pictures.Picture), or with why it was left out."""
    def record(picture):
        try:
            return _record(picture, classes)
        except (pictures.BadPicture, OSError) as e:
            return None, str(e)

    with records.writer(path) as write:
        for picture, (serialized, facts) in zip(part, pool.imap(record, part, chunksize=16)):
            if serialized is not None:
                write(serialized)
            bar.advance(1)
            yield picture, facts


def _record(picture, classes):
    """A picture's serialized tf.train.Example, with slim's keys, and its facts. Raises BadPicture."""
    data = picture.read()
    facts = pictures.inspect(data)
    features = pictures.features(pictures.encode(data, facts), facts, picture.label, classes[picture.label], picture.name)
    return records.example(dict(features, **picture.features or {})), facts
