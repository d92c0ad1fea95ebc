"""A published data set becomes records, label files and a manifest; whole, or not at all."""
import functools
import os
import re

from slimtune import __version__
from slimtune.datasets import labels, manifest, published_data, records, split_writer
from slimtune.errors import UserError
from slimtune.images import image_file
from slimtune.storage import atomic, http
from slimtune.storage.cache import cache_folder
from slimtune.storage.parallel import in_order
from slimtune.terminal import say, table


def download(download_options):
    """Fetches a data set, converts it and returns the folder of its records.

    download_options: options.Download. Raises UserError where an archive is missing, damaged or another one,
    and where the folder holds other data.
    """
    name = download_options.dataset_name
    folder = download_options.dataset_dir or name
    release = published_data.release(name)
    if _is_complete(name, release, folder):
        return folder
    contents = release.read(_archives(name, release, download_options))
    _check_labels(folder, contents.class_names)
    written = _write(name, release, contents, folder)
    say(*table(['split', 'images', 'shards'],
               [[split, content.images, len(content.shards)] for split, content in written.splits.items()]))
    if written.left_out:
        first = written.left_out[0]
        say(f'Left out: {len(written.left_out)}, listed in {os.path.join(folder, manifest.NAME)}; the first: '
            f'{first.file} ({first.why})')
    say(f'{name}: {folder}')
    return folder


def _archives(name, release, download_options):
    """What the data set's reader takes: {archive's name: path}, fetched, or the folder that the user has."""
    source = download_options.from_where
    if not release.archives:
        if not source or not os.path.isdir(source):
            raise UserError(f'{name} cannot be downloaded by everybody: add --from FOLDER, a folder with '
                            f'{release.needs}')
        return source
    if source and len(release.archives) > 1 and os.path.isfile(source):
        names = ', '.join(archive.name for archive in release.archives)
        raise UserError(f'{source} is one file, but {name} consists of {names}: give the folder that has '
                        'them')
    cache = cache_folder(download_options.cache_dir)
    return {archive.name: http.fetch(archive, cache, source, download_options.checksums)
            for archive in release.archives}


def _write(name, release, contents, folder):
    """Writes the shards, the label files and the manifest, all or nothing; returns the manifest."""
    make = split_writer.example_or_reason(lambda image: _example(image, contents.class_names))
    splits, left_out, channels = {}, [], 1
    with atomic.exchange(folder) as exchange:
        exchange.remove(_replaced(release, folder))
        for file in _shard_names(release):
            exchange.path(file)         # raises for a file of the user's, before the work
        for split, (pattern, num_shards) in release.shards.items():
            images = contents.splits[split]
            written = split_writer.write_split(
                exchange, split, functools.partial(_shard_name, pattern), num_shards,
                [image.name for image in images], in_order(make, images, at_once=16),
                len(contents.class_names))
            if not written.split.images:
                reasons = ''.join(f': {one.file} ({one.why})' for one in written.left_out[:1])
                raise UserError(f'not one usable image for {split}{reasons}')
            splits[split] = written.split
            left_out += written.left_out
            channels = max(channels, written.channels)
        description = manifest.Manifest(
            name=name, classes=contents.class_names, splits=splits, channels=channels, left_out=left_out,
            source='', version=__version__)
        split_writer.write_description(exchange, description)
    return description


def _example(image, class_names):
    """The Example of a PublishedImage. Raises image_file.BadImage, or whatever reading it raises."""
    data = image.read()
    metadata = image_file.inspect(data)
    features = image_file.features(
        image_file.encode(data, metadata), metadata, image.label, class_names[image.label], image.name)
    record = records.example(dict(features, **image.features or {}))
    return split_writer.Example(image.label, metadata.channels, record)


def _shard_name(pattern, number, total):
    return pattern % (number, total) if '%' in pattern else pattern


def _shard_names(release):
    """The names of all shards of a data set with its published number of images."""
    return [_shard_name(pattern, number, total)
            for pattern, total in release.shards.values() for number in range(total)]


def _replaced(release, folder):
    """The names of the files in `folder` that are written again: those of a damaged download, label files.

    Shards of other names than this data set's are not among them, whatever the manifest lists.
    """
    patterns = [re.escape(pattern).replace(re.escape('%05d'), r'\d{5}')
                for pattern, _ in release.shards.values()]
    written = manifest.load(folder)
    shards = [shard.name for split in written.splits.values() for shard in split.shards
              if any(re.fullmatch(pattern, shard.name) for pattern in patterns)] if written else []
    files = list(manifest.DESCRIPTION_FILES) + shards if written else labels.FILES
    return [file for file in files if os.path.isfile(os.path.join(folder, file))]


def _is_complete(name, release, folder):
    """Whether the folder holds the whole data set, which is reported.

    Raises UserError for another data set, and for a damaged one that was made from images.
    """
    if not os.path.isdir(folder):
        return False
    atomic.settle(folder)
    written = manifest.load(folder, f'choose another --dataset-dir, or delete {manifest.NAME} and its shards')
    if written and written.name != name:
        raise UserError(f'{folder} holds the data set {written.name}: choose another --dataset-dir')
    if written and not written.source and not written.is_whole(folder):
        say(f'{folder} has lost records of {name}: downloading it again')
        return False
    if written:
        for split in written.splits:
            written.shards(split, folder)
        counts = ', '.join(f'{content.images} {split}' for split, content in written.splits.items())
        say(f'{name} was downloaded before: {counts} in {folder}')
        return True
    if all(os.path.isfile(os.path.join(folder, file)) for file in _shard_names(release)):
        say(f'{folder} holds the records of {name} already, without {manifest.NAME}: left as they are')
        return True
    return False


def _check_labels(folder, class_names):
    """Raises UserError where the folder has label files of other classes."""
    existing = labels.in_folder(folder) if os.path.isdir(folder) else None
    if existing and existing != class_names:
        raise UserError(f'{os.path.join(folder, "label.txt")} names other classes ({existing[0]}, …): choose '
                        'another --dataset-dir')
