"""Writes the pictures of a published data set as shards of records."""
import collections
import os

from slimtune import pictures
from slimtune.datasets import records
from slimtune.errors import UserError
from slimtune.terminal import progress, say
from slimtune.threads import in_order


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
    examples = in_order(lambda picture: _example(picture, classes), chosen, at_once=16)
    with progress('Writing ' + split, len(chosen)) as bar:
        for shard in range(number):
            part = chosen[shard * len(chosen) // number:(shard + 1) * len(chosen) // number]
            name = pattern % (shard, number) if '%' in pattern else pattern
            before = sum(counts.values())
            with records.writer(exchange.path(name)) as write:
                for picture, (example, facts) in zip(part, examples):
                    bar.advance(1)
                    if example is None:
                        left_out.append((picture.name, facts))
                        continue
                    write(example)
                    counts[picture.label] += 1
                    channels = max(channels, facts.channels)
            shards.append({'name': name, 'bytes': os.path.getsize(exchange.path(name)), 'records': sum(counts.values()) - before})
    empty = [shard['name'] for shard in shards if not shard['records']]
    if empty:
        raise UserError('not one usable picture for %s: %s (%s)' % ((empty[0],) + left_out[0]))
    return {'pictures': sum(counts.values()), 'per_class': [counts[label] for label in range(len(classes))],
            'shards': shards}, left_out, channels


def _example(picture, classes):
    """A picture's serialized tf.train.Example, with slim's keys, with its facts (pictures.Picture); else None and why not."""
    try:
        data = picture.read()
        facts = pictures.inspect(data)
        features = pictures.features(pictures.encode(data, facts), facts, picture.label, classes[picture.label], picture.name)
        return records.example(dict(features, **picture.features or {})), facts
    except (pictures.BadPicture, OSError) as e:
        return None, str(e)
