"""The one writer of data sets, for convert and download: shards, label files and the manifest.

Everything goes through an atomic.Exchange, so that a data set appears whole or not at all.
"""
import collections
import dataclasses
import hashlib
import itertools
import os

from slimtune.datasets import labels, manifest, records
from slimtune.errors import UserError
from slimtune.storage import atomic
from slimtune.terminal import progress, say

#: An image as it is stored. label: a number. channels: 1 or 3. record: the bytes of its tf.train.Example.
Example = collections.namedtuple('Example', 'label channels record')
#: What was written of a split. split: a manifest.Split. left_out: manifest.LeftOuts. channels: the most of
#: any image.
Written = collections.namedtuple('Written', 'split left_out channels')


def example_or_reason(make):
    """Returns a function that gives what `make` does, the Example of an image, or the reason why it failed.

    One image must not cost the data set, so that whatever its decoder or encoder raises only leaves it out.
    A UserError (the image was changed) and a lack of memory are raised: they end the command.
    """
    def attempt(image):
        try:
            return make(image)
        except (UserError, MemoryError):
            raise
        except OSError as e:
            return e.strerror or str(e)
        except Exception as e:      # noqa: B902 - damaged images make Pillow raise anything
            return str(e) or type(e).__name__
    return attempt


def write_split(exchange, split, shard_name, num_shards, file_names, examples, num_classes):
    """Writes a split's shards and returns what was Written.

    exchange: an atomic.Exchange. shard_name: function (number, total) -> the name of a shard. num_shards: how
    many are wanted; none is empty, so that a split of fewer images has fewer. file_names: of the images, a
    list. examples: in the order of file_names, each an Example or the reason why there is none, as
    `example_or_reason` gives it; any iterable, read once. num_classes: of the data set.
    """
    num_images = len(file_names)
    total = min(num_shards, num_images)
    if 0 < total < num_shards:
        say(f'{num_images} images in {split}: {total} shards instead of {num_shards}, none may be empty.')
    pairs, shards, left_out = iter(zip(file_names, examples)), [], []
    per_label, channels = collections.Counter(), 1
    with progress(f'Writing {split}', num_images) as bar:
        for number in range(total):
            # Shard n of k has the images from n/k to (n+1)/k of all
            planned = (number + 1) * num_images // total - number * num_images // total
            name, checksum, count = shard_name(number, total), hashlib.sha256(), 0
            with records.writer(exchange.path(name)) as write:
                for file_name, example in itertools.islice(pairs, planned):
                    bar.advance(1)
                    if not isinstance(example, Example):
                        left_out.append(manifest.LeftOut(file_name, example))
                        continue
                    checksum.update(write(example.record))
                    per_label[example.label] += 1
                    channels = max(channels, example.channels)
                    count += 1
            size = os.path.getsize(exchange.path(name))
            shards.append(manifest.Shard(name, size, count, checksum.hexdigest()))
    shards = _without_empty(exchange, shards, shard_name)
    per_class = [per_label[label] for label in range(num_classes)]
    return Written(manifest.Split(sum(per_class), per_class, shards), left_out, channels)


def _without_empty(exchange, shards, shard_name):
    """The shards that have records; numbered again where another has none, its images all left out."""
    filled = [shard for shard in shards if shard.records]
    if len(filled) == len(shards):
        return shards
    for shard in shards:
        if not shard.records:
            os.remove(exchange.path(shard.name))
    renamed = [dataclasses.replace(shard, name=shard_name(number, len(filled)))
               for number, shard in enumerate(filled)]
    for old, new in zip(filled, renamed):
        os.replace(exchange.path(old.name), exchange.path(new.name))
    return renamed


def write_description(exchange, written):
    """Writes label.txt, labels.txt and a Manifest, dataset.json. Raises UserError for unusable names."""
    unusable = labels.unrepresentable(written.classes)
    if unusable is not None:
        raise UserError(f'{unusable!r} is no name for a class: it must be one line of text')
    labels.write(exchange.path, written.classes)
    atomic.write_text(exchange.path(manifest.NAME), written.text())
