"""A folder of images becomes shuffled records, a label file and a manifest; whole, or not at all.

PIC/train/CLASS/* and PIC/validation/CLASS/* are taken as they are; PIC/CLASS/* is split by a hash of each file's bytes,
so that an image always lands on the same side. The images themselves are never changed.
"""
import collections
import dataclasses
import hashlib
import itertools
import os
import random
import re

from slimtune import __version__
from slimtune.datasets import labels, manifest, records
from slimtune.errors import UserError
from slimtune.images import image_file, image_folder
from slimtune.options.groups import Convert
from slimtune.storage import atomic
from slimtune.storage.parallel import in_order
from slimtune.terminal import progress, say, table, warn

_SHOWN = 20     # files named on the screen; all are in the manifest
KEPT = 256 << 20    # bytes of images that stay in memory between their proof and their shard; more are read twice
#: An image that is good. digest: of its bytes. facts: an image_file.ImageFacts. data: its bytes, None where they are not kept.
Good = collections.namedtuple('Good', 'candidate split digest facts data')


def convert(options):
    """Converts the images as OPTIONS (options.Convert) say and returns the folder of the records.

    Raises UserError where there is nothing to convert, or nothing that can be learned from.
    """
    # The folder
    source = options.tensorflow_data_dir
    output = options.output_dir or source
    _check(options)
    candidates, given, passed = image_folder.find(source, output)
    name = options.dataset_name or image_folder.default_name(source)
    atomic.settle(output)
    before = _before(output, source, name)
    order = labels.known(output, before) or (labels.known(source) if output != source else None) or []

    # Every image, decoded
    good, bad = _inspect(candidates, passed, options)
    held_out = None if 'validation' in given else options.validation_fraction
    if held_out is not None:
        good = [one._replace(split=_side(one.digest, held_out)) if one.split == 'train' else one
                for one in good]
    if not any(one.split == 'train' for one in good):
        raise UserError('no usable image to train on in %s: %s' % (source, _first_reasons(bad)))

    # The classes
    found = {one.candidate.label for one in good}
    classes = order + sorted(found.difference(order))
    if len(classes) < 2:
        raise UserError('one class only in %s (%s): there is nothing to tell apart' % (source, classes[0]))
    _compare_classes(order, found, {candidate.label for candidate in candidates})

    # The records
    splits = {}
    with atomic.exchange(output) as exchange:
        exchange.remove(_stale(output, name, before) + ['label.txt', 'labels.txt', manifest.NAME])
        for split in sorted({one.split for one in good}.union(['train', 'validation']), key=list(image_folder.SPLITS).index):
            chosen = [one for one in good if one.split == split]
            splits[split] = _write_split(exchange, name, split, chosen, classes, options)
        written = manifest.Manifest(
            name=name, classes=classes, splits=splits, channels=max(one.facts.channels for one in good),
            left_out=[{'file': file, 'why': why} for file, why in bad], seed=options.seed,
            validation_fraction=held_out, source=os.path.relpath(source, output),
            fingerprint=image_folder.fingerprint(candidates), version=__version__)
        atomic.write_text(exchange.path('label.txt'), labels.text_plain(classes))
        atomic.write_text(exchange.path('labels.txt'), labels.text_numbered(classes))
        atomic.write_text(exchange.path(manifest.NAME), written.text())

    # What came of it
    _report(written, output, good)
    return output


def prepare(folder, name=None):
    """The manifest of the data set in `folder`; its images are converted first, as `name`, where that was not done yet.

    Converts again, as the manifest says it was done, where the images have changed since.
    """
    if is_current(folder):
        return manifest.load(folder)
    written = manifest.load(folder)
    options = Convert(tensorflow_data_dir=folder, dataset_name=name)
    if written and not image_folder.class_folders(folder):
        for split in written.splits:
            written.shards(split, folder)       # says which one is gone
    elif written:
        say('The images in %s have changed since they were converted: converting them again.' % folder)
        shards = {split: max(1, len(facts['shards'])) for split, facts in written.splits.items()}
        options = dataclasses.replace(
            options, dataset_name=written.name, seed=written.seed, train_shards=shards['train'],
            validation_shards=shards['validation'],
            validation_fraction=options.validation_fraction if written.validation_fraction is None
            else written.validation_fraction)
    convert(options)
    return manifest.load(folder)


def is_current(folder):
    """Whether `folder` holds whole records, and its images, if it holds them too, are still those of the records."""
    atomic.settle(folder)
    written = manifest.load(folder)
    if written is None:
        return False
    try:
        for split in written.splits:
            written.shards(split, folder)
    except UserError:
        return False
    if written.source != '.' or not image_folder.class_folders(folder):
        return True
    return image_folder.fingerprint(image_folder.find(folder, folder)[0]) == written.fingerprint


def _check(options):
    """Refuses values that cannot be meant."""
    if not options.tensorflow_data_dir:
        raise UserError('which images? Add -t FOLDER, the folder that holds a folder of images for every class')
    for flag in ('train_shards', 'validation_shards', 'num_threads'):
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise UserError('--%s=%d: it must be at least 1' % (flag.replace('_', '-'), value))
    if not 0 <= options.validation_fraction < 1:
        raise UserError('--validation-fraction=%g: it must be at least 0 and less than 1' % options.validation_fraction)
    if options.dataset_name is not None and not re.fullmatch(r'\w[\w.-]*', options.dataset_name):
        raise UserError('--dataset-name=%s: letters, digits, _, - and . only; it is part of file names'
                        % options.dataset_name)


def _before(output, source, name):
    """The manifest of what `output` holds, or None. Raises UserError where that was made from other images."""
    written = manifest.load(output) if os.path.isdir(output) else None
    if written and written.name != name:
        if os.path.realpath(os.path.join(output, written.source)) != os.path.realpath(source):
            raise UserError('%s holds the data set %s, made from other images: choose another --output-dir'
                            % (output, written.name))
        say('%s replaces %s, made from the same images.' % (name, written.name))
    return written


def _stale(output, name, before):
    """The names of the shards in `output` that the new ones replace: the old manifest's, and any of this name."""
    stale = {shard['name'] for facts in before.splits.values() for shard in facts['shards']} if before else set()
    pattern = re.compile(re.escape(name) + r'_(%s)_\d{5}-of-\d{5}\.tfrecord' % '|'.join(set(image_folder.SPLITS.values())))
    others = [file for file in os.listdir(output) if pattern.fullmatch(file) and file not in stale]
    if others:
        say('Removing %d shards of an earlier run: %s' % (len(others), _listed(sorted(others))))
    return sorted(stale.union(others))


def _inspect(candidates, passed, options):
    """Decodes every candidate: ([Good, ...], [(name, why), ...]), what was passed over included."""
    def look(candidate):
        try:
            with open(candidate.path, 'rb') as f:
                data = f.read()
            return Good(candidate, candidate.split, hashlib.sha256(data).hexdigest(), image_file.inspect(data), data)
        except image_file.BadImage as e:
            return str(e)
        except OSError as e:
            return e.strerror or str(e)

    if passed and options.strict:
        raise UserError('%s: %s (--strict: nothing was written)' % passed[0])
    good, bad, size = [], list(passed), 0
    with progress('Checking', len(candidates)) as bar:
        for candidate, seen in zip(candidates, in_order(look, candidates, options.num_threads, at_once=8)):
            bar.advance(1)
            if isinstance(seen, Good):
                size += len(seen.data)
                good.append(seen if size <= KEPT else seen._replace(data=None))
            elif options.strict:
                raise UserError('%s: %s (--strict: nothing was written)' % (candidate.name, seen))
            else:
                bad.append((candidate.name, seen))
    return good, bad


def _side(digest, fraction):
    """The split of an image, by its bytes alone."""
    return 'validation' if int(digest[:8], 16) < fraction * 16 ** 8 else 'train'


def _write_split(exchange, name, split, chosen, classes, options):
    """Writes a split's shards and returns its part of the manifest. The same seed gives the same bytes."""
    random.Random('%s %d' % (split, options.seed)).shuffle(chosen)
    asked = options.train_shards if split == 'train' else options.validation_shards
    number = min(asked, len(chosen))
    if 0 < number < asked:
        say('%d images in %s: %d shards instead of %d, none may be empty.' % (len(chosen), split, number, asked))
    label_of = {label: n for n, label in enumerate(classes)}
    shards = []
    example = lambda one: _example(one, label_of[one.candidate.label])
    as_they_are = all(one.facts.kept for one in chosen)     # copied sooner than handed to a thread
    examples = map(example, chosen) if as_they_are else in_order(example, chosen, options.num_threads, at_once=4)
    with progress('Writing %s' % split, len(chosen)) as bar:
        for shard in range(number):
            file = '%s_%s_%05d-of-%05d.tfrecord' % (name, split, shard, number)
            count = (shard + 1) * len(chosen) // number - shard * len(chosen) // number
            with records.writer(exchange.path(file)) as write:
                for serialized in itertools.islice(examples, count):
                    write(serialized)
                    bar.advance(1)
            shards.append({'name': file, 'bytes': os.path.getsize(exchange.path(file)), 'records': count})
    counts = collections.Counter(one.candidate.label for one in chosen)
    return {'images': len(chosen), 'per_class': [counts[label] for label in classes], 'shards': shards}


def _example(one, label):
    """The bytes of an image's tf.train.Example, with slim's keys and those of the Inception converter."""
    data = one.data
    if data is None:
        with open(one.candidate.path, 'rb') as f:
            data = f.read()
        if hashlib.sha256(data).hexdigest() != one.digest:
            raise UserError('%s changed while it was being converted: start again' % one.candidate.path)
    return records.example(image_file.features(
        image_file.encode(data, one.facts), one.facts, label, one.candidate.label, one.candidate.name))


def _compare_classes(order, found, folders):
    """Says how the classes of an existing label file and those of the folders differ."""
    new, gone = sorted(found.difference(order)), [label for label in order if label not in found]
    if order and new:
        say('New classes, put behind those of the label file: %s' % _listed(new))
    if gone:
        warn('no images for classes of the label file: %s. They keep their places, with 0 images: delete '
             'label.txt, labels.txt and dataset.json to number the classes anew' % _listed(gone))
    empty = sorted(folders.difference(found, order))
    if empty:
        warn('no usable image in %s: not a class' % _listed(empty))


def _report(written, output, good):
    """Images per class and split, what was left out and why, and what looks wrong."""
    splits = [split for split, facts in written.splits.items() if facts['images'] or split != 'test']
    rows = [[label] + [written.splits[split]['per_class'][n] for split in splits]
            for n, label in enumerate(written.classes)]
    rows.append(['all'] + [written.splits[split]['images'] for split in splits])
    say(*table(['class'] + splits, rows))
    if written.left_out:
        say('', 'Left out, %d:' % len(written.left_out))
        say(*table(['file', 'why'], [[entry['file'], entry['why']] for entry in written.left_out[:_SHOWN]]))
        if len(written.left_out) > _SHOWN:
            say('and %d more, listed in %s' % (len(written.left_out) - _SHOWN, os.path.join(output, manifest.NAME)))
    for split, other, wrong in (('train', 'validation', 'cannot be learned'), ('validation', 'train', 'is not tested')):
        absent = [label for n, label in enumerate(written.classes) if not written.splits[split]['per_class'][n]
                  and written.splits[other]['per_class'][n]]
        if absent:
            warn('no images in %s, so that it %s: %s' % (split, wrong, _listed(absent)))
    _report_twins(good)
    shards = sum(len(facts['shards']) for facts in written.splits.values())
    say('', '%d images of %d classes in %d shards: %s' % (
        len(good), len(written.classes), shards, os.path.join(output, written.name + '_*.tfrecord')))


def _report_twins(good):
    """Names images whose bytes lie in two classes, or on both sides of the split."""
    twins = collections.defaultdict(list)
    for one in good:
        twins[one.digest].append(one)
    for what, key in (('in two classes', lambda one: one.candidate.label),
                      ('in training and validation', lambda one: one.split)):
        same = [' = '.join(sorted(one.candidate.name for one in group)) for group in twins.values()
                if len({key(one) for one in group}) > 1]
        if same:
            warn('the same image %s, %d times: %s' % (what, len(same), _listed(sorted(same), 3)))


def _first_reasons(bad):
    return 'left out: ' + _listed(['%s (%s)' % pair for pair in bad], 3) if bad else \
        'all were held out for validation; lower --validation-fraction'


def _listed(items, most=10):
    more = ' and %d more' % (len(items) - most) if len(items) > most else ''
    return ', '.join(items[:most]) + more
