"""A folder of images becomes shuffled records, label files and a manifest; whole, or not at all.

PIC/train/CLASS/* and PIC/validation/CLASS/* are taken as they are; PIC/CLASS/* is split by a hash of each
file's bytes, so that an image always lands in the same split. The images themselves are never changed.
"""
import collections
import contextlib
import dataclasses
import hashlib
import os
import random

from slimtune import __version__
from slimtune.datasets import dataset_factory, labels, manifest, records, split_writer
from slimtune.errors import UserError
from slimtune.images import conversion_report, image_file, image_folder
from slimtune.options.groups import Convert
from slimtune.storage import atomic
from slimtune.storage.parallel import in_order
from slimtune.terminal import progress, say, warn

_SPLITS = ('train', 'validation', 'test')
# Images are in work while threads read, check or encode them, and until their turn comes.
MEMORY = 256 << 20      # bytes of images in work, and of images kept in memory between check and shard
PIXELS_IN_WORK = 64 << 20       # of images that are encoded
_LARGE = 8 << 20        # bytes of an image that is always read twice
_OVERHEAD = 1 << 16     # bytes, or pixels, that count for an image of any size


class CheckedImage(collections.namedtuple('CheckedImage', 'candidate split digest metadata data')):
    """An image that decodes. candidate: image_folder.Candidate. digest: SHA-256 of its bytes, hexadecimal.

    metadata: image_file.ImageMetadata. data: its bytes, None where they are not kept in memory.
    """
    __slots__ = ()

    @property
    def name(self):
        """The file's name, relative to the folder of the images."""
        return self.candidate.name

    @property
    def label(self):
        """The name of its class."""
        return self.candidate.label


def convert(options):
    """Converts the images as `options` (options.Convert) states and returns the folder of the records.

    Raises UserError where there is nothing to convert or to learn from, and where files of others would be
    replaced.
    """
    # The folder
    source = options.tensorflow_data_dir
    output = options.output_dir or source
    _check_options(options)
    candidates, given_splits, left_out = image_folder.find(source, output)
    left_out = [manifest.LeftOut(name, why) for name, why in left_out]
    name = options.dataset_name or image_folder.default_name(source)
    atomic.settle(output)
    before = _manifest_of(output, source, name)
    _refuse_unlisted_shards(output, source, name, before)
    order = labels.in_folder(output, before) or (labels.in_folder(source) if output != source else None) or []

    # Every image, decoded
    images = _check_images(candidates, left_out, options)
    held_out = None if 'validation' in given_splits else options.validation_fraction
    if held_out is not None:
        images = [image._replace(split=_split_of(image.digest, held_out)) if image.split == 'train' else image
                  for image in images]
    if not any(image.split == 'train' for image in images):
        raise UserError(f'no usable image to train on in {source}: '
                        f'{conversion_report.first_reasons(left_out, source)}')

    # The classes
    classes = _classes(order, bool(before), candidates, images, source)

    # The records
    splits = {}
    with atomic.exchange(output) as exchange:
        exchange.remove(_replaced(output, before))
        names = {image.split for image in images}.union(['train', 'validation'])
        for split in sorted(names, key=_SPLITS.index):
            chosen = [image for image in images if image.split == split]
            splits[split] = _write_split(exchange, name, split, chosen, classes, options, left_out)
        if not splits['train'].images:
            raise UserError('no image to train on could be stored: '
                            f'{conversion_report.first_reasons(left_out, source)}')
        written = manifest.Manifest(
            name=name, classes=classes, splits=splits,
            channels=max(image.metadata.channels for image in images), left_out=left_out, seed=options.seed,
            validation_fraction=held_out, source=os.path.relpath(source, output),
            fingerprint=image_folder.fingerprint(candidates), version=__version__)
        split_writer.write_description(exchange, written)

    # What came of it
    conversion_report.report(written, output, images)
    return output


def find_or_convert(folder, name=None):
    """The name of the data set in `folder`; converts its images first if they are new or have changed.

    name: of the data set, where the user gave one. Shards without a manifest, such as slim's own, are taken
    as they are. Raises UserError as `prepare` does.
    """
    beside = dataset_factory.names_in(folder)
    written = manifest.load(folder) if beside else None
    if written and name and name != written.name and name in beside:
        return name
    if beside and not written and (name in beside or not name or not image_folder.class_folders(folder)):
        if not name and len(beside) > 1:
            raise UserError(f'{folder} holds the data sets {" and ".join(beside)}: add --dataset-name '
                            f'{beside[0]}')
        return name or beside[0]
    return prepare(folder, name).name


def prepare(folder, name=None):
    """The manifest of the data set in `folder`; converts its images first, as `name`, if it is none yet.

    Converts again, with the options that the manifest holds, where the images have changed since. Raises
    UserError where the folder holds a data set of another name.
    """
    written = None
    if os.path.isdir(folder):
        atomic.settle(folder)
        written = manifest.load(folder)
    if written and name and written.name != name:
        raise UserError(f'{folder} holds the data set {written.name}, not {name}: add --dataset-name '
                        f'{written.name}')
    if is_current(folder):
        return manifest.load(folder)
    options = Convert(tensorflow_data_dir=folder, dataset_name=name)
    if written and not _images_of(written, folder):
        for split in written.splits:
            written.shards(split, folder)       # raises for the one that is damaged
    elif written:
        say(f'The images in {folder} have changed since they were converted: converting them again.')
        shards = {split: max(1, len(content.shards)) for split, content in written.splits.items()}
        if written.validation_fraction is not None:
            options = dataclasses.replace(options, validation_fraction=written.validation_fraction)
        options = dataclasses.replace(
            options, dataset_name=written.name, seed=written.seed,
            train_shards=shards.get('train', options.train_shards),
            validation_shards=shards.get('validation', options.validation_shards))
    convert(options)
    return manifest.load(folder)


def is_current(folder):
    """Whether `folder` holds whole records, and its images, if it has any, are still those of the records.

    Raises UserError for a damaged manifest only: images that could not be converted are changed ones.
    """
    if not os.path.isdir(folder):
        return False
    atomic.settle(folder)
    written = manifest.load(folder)
    if written is None:
        return False
    if not written.is_whole(folder):
        return False
    try:
        images = _images_of(written, folder)
    except UserError:
        return False
    return not images or image_folder.fingerprint(images) == written.fingerprint


def _images_of(written, folder):
    """The images in `folder` from which its records can be made again: Candidates, [] where there are none.

    written: the folder's Manifest. Raises UserError where `folder` cannot be converted.
    """
    if written.source != '.':
        return []
    try:
        return image_folder.find(folder, folder)[0]
    except image_folder.NoImages:
        return []


def _check_options(options):
    """Refuses values that cannot be meant."""
    if not options.tensorflow_data_dir:
        raise UserError('which images? Add -t FOLDER, which holds a folder of images for every class')
    if options.dataset_name is not None and not manifest.DATA_SET_NAME.fullmatch(options.dataset_name):
        raise UserError(f'--dataset-name={options.dataset_name}: letters, digits, _, - and . only, because '
                        'it is part of file names')


def _elsewhere(source):
    """The remedy that leaves a folder as it is: a whole command, because train converts too."""
    return f'{conversion_report.command(source)} --output-dir FOLDER'


def _manifest_of(output, source, name):
    """The manifest of what `output` holds, or None. Raises UserError if it was not made from these images."""
    if not os.path.isdir(output):
        return None
    elsewhere = _elsewhere(source)
    written = manifest.load(output, f'{elsewhere}, or delete {manifest.NAME} and its shards')
    if written and written.source == '':
        raise UserError(f'{output} holds the data set {written.name}, which was downloaded: {elsewhere}')
    if written and written.name != name:
        if os.path.realpath(os.path.join(output, written.source)) != os.path.realpath(source):
            raise UserError(f'{output} holds the data set {written.name}, made from other images: '
                            f'{elsewhere}')
        say(f'{name} replaces {written.name}, made from the same images.')
    return written


def _refuse_unlisted_shards(output, source, name, before):
    """Raises UserError where shards of this name lie in `output` that its manifest does not list.

    slimtune may not have written them, and beside new ones they would be read with them.
    """
    listed = set(before.files()) if before else set()
    unlisted = [file for file in sorted(os.listdir(output) if os.path.isdir(output) else ())
                if manifest.is_shard_name(name, file) and file not in listed]
    if unlisted:
        raise UserError(f'{output} holds {len(unlisted)} files that no {manifest.NAME} lists '
                        f'({conversion_report.listed(unlisted, 2)}): move them away, or {_elsewhere(source)}')


def _replaced(output, before):
    """The names of the files in `output` that the new data set replaces: the earlier one's, label files."""
    files = before.files() if before else labels.FILES
    return [file for file in files if os.path.isfile(os.path.join(output, file))]


def _check_images(candidates, left_out, options):
    """Decodes every candidate and returns the CheckedImages; adds a LeftOut to `left_out` for the others."""
    def check(candidate):
        try:
            data = image_file.read(candidate.path)
            digest = hashlib.sha256(data).hexdigest()
            metadata = image_file.inspect(data)
            in_memory = data if len(data) <= _LARGE else None
            return CheckedImage(candidate, candidate.split, digest, metadata, in_memory)
        except image_file.BadImage as e:
            return str(e)

    if left_out and options.strict:
        raise _strict_error(left_out[0])
    images, size = [], 0
    results = in_order(check, candidates, options.num_threads, ahead=MEMORY, at_once=8,
                       weight=lambda candidate: _OVERHEAD + (candidate.size or 0))
    with progress('Checking', len(candidates)) as bar:
        for candidate, checked in zip(candidates, results):
            bar.advance(1)
            if isinstance(checked, CheckedImage):
                size += len(checked.data or b'')
                images.append(checked if size <= MEMORY else checked._replace(data=None))
                continue
            left_out.append(manifest.LeftOut(candidate.name, checked))
            if options.strict:
                raise _strict_error(left_out[-1])
    return images


def _strict_error(left_out):
    return UserError(f'{left_out.file}: {left_out.why} (--strict: nothing was written)')


def _split_of(digest, fraction):
    """The split of an image, by its bytes alone."""
    return 'validation' if int(digest[:8], 16) < fraction * 16 ** 8 else 'train'


def _write_split(exchange, name, split, images, classes, options, left_out):
    """Writes a split's shards and returns its manifest.Split. The same seed gives the same bytes.

    Images that cannot be stored are added to `left_out`.
    """
    random.Random(f'{split} {options.seed}').shuffle(images)
    number_of = {label: number for number, label in enumerate(classes)}
    make = split_writer.example_or_reason(lambda image: _example(image, number_of[image.label]))
    if all(image.metadata.kept for image in images):       # copied sooner than handed to a thread
        examples = map(make, images)
    else:
        examples = in_order(make, images, options.num_threads, ahead=PIXELS_IN_WORK, weight=_pixels)
    written = split_writer.write_split(
        exchange, split, lambda number, total: manifest.shard_name(name, split, number, total),
        options.train_shards if split == 'train' else options.validation_shards,
        [image.name for image in images], examples, len(classes))
    if written.left_out and options.strict:
        raise _strict_error(written.left_out[0])
    left_out += written.left_out
    return written.split


def _pixels(image):
    """What an image takes of PIXELS_IN_WORK until it is written."""
    return _OVERHEAD + image.metadata.width * image.metadata.height


def _example(image, label):
    """The split_writer.Example of a CheckedImage. label: a number."""
    data = image.data
    if data is None:
        with contextlib.suppress(image_file.BadImage):      # it is gone
            data = image_file.read(image.candidate.path)
        if hashlib.sha256(data or b'').hexdigest() != image.digest:
            raise UserError(f'{image.candidate.path} changed while it was being converted: start again')
    features = image_file.features(
        image_file.encode(data, image.metadata), image.metadata, label, image.label, image.name)
    return split_writer.Example(label, image.metadata.channels, records.example(features))


def _classes(order, own, candidates, images, source):
    """The class names by label: a label file's in its order, then new ones, sorted. Reports differences.

    order: of the label file, [] without one. own: whether slimtune wrote it. Raises UserError where there are
    not two classes, for a label file that has a name twice, and for one of the user's that has none of the
    folders' names: it belongs to other data.
    """
    with_images = {image.label for image in images}
    new = sorted(with_images.difference(order))
    classes = order + new
    repeated = next((label for label, count in collections.Counter(order).items() if count > 1), None)
    if repeated:
        raise UserError(f'the label file has {repeated} twice: every class needs a name of its own')
    if len(classes) < 2:
        raise UserError(f'only one class in {source} ({classes[0]}): there is nothing to tell apart')
    if order and not own and not with_images.intersection(order):
        raise UserError(f'the label file names {conversion_report.listed(order, 3)}, but the class folders '
                        f'are {conversion_report.listed(new, 3)}: move it away')
    if order and new:
        say(f'New classes, added after those of the label file: {conversion_report.listed(new)}')
    gone = [label for label in order if label not in with_images]
    if gone:
        warn(f'no images for classes of the label file: {conversion_report.listed(gone)}. They keep their '
             'labels, with 0 images; to number the classes again, delete label.txt, labels.txt, '
             'dataset.json and the shards')
    empty = sorted({candidate.label for candidate in candidates}.difference(with_images, order))
    if empty:
        warn(f'no usable image in {conversion_report.listed(empty)}: not a class')
    conversion_report.report_similar_names(candidates, source)
    return classes
