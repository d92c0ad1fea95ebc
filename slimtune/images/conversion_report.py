"""What convert reports: images per class and split, what was left out and why, and what looks wrong."""
import collections
import os
import shlex

from slimtune.datasets import labels, manifest
from slimtune.terminal import say, table, warn

_ROWS = 20      # files listed on the screen; all are in the manifest


def report(written, output, images):
    """Reports a conversion. written: its Manifest. output: the folder. images: conversion.CheckedImages."""
    splits = {name: split for name, split in written.splits.items() if split.images or name != 'test'}
    rows = [[label] + [split.per_class[number] for split in splits.values()]
            for number, label in enumerate(written.classes)]
    rows.append(['all'] + [split.images for split in splits.values()])
    say(*table(['class'] + list(splits), rows))
    if written.left_out:
        say('', f'Left out: {len(written.left_out)}')
        say(*table(['file', 'reason'], [[one.file, one.why] for one in written.left_out[:_ROWS]]))
        if len(written.left_out) > _ROWS:
            say(f'and {len(written.left_out) - _ROWS} more, listed in {os.path.join(output, manifest.NAME)}')
    for split, other, consequence in (('train', 'validation', 'cannot be learned'),
                                      ('validation', 'train', 'is not tested')):
        absent = [label for number, label in enumerate(written.classes)
                  if not written.splits[split].per_class[number] and written.splits[other].per_class[number]]
        if absent:
            warn(f'no images in {split}, so that it {consequence}: {listed(absent)}')
    _report_notes(images)
    _report_duplicates(images)
    num_images, num_shards = (sum(numbers) for numbers in zip(*(
        (split.images, len(split.shards)) for split in written.splits.values())))
    say('', f'{num_images} images of {len(written.classes)} classes in {num_shards} shards: '
        f'{os.path.join(output, written.name + "_*.tfrecord")}')


def _report_notes(images):
    """Warns of what decoding the images showed, each note once."""
    names = collections.defaultdict(list)
    for image in images:
        for note in image.metadata.notes:
            names[note].append(image.name)
    for note, with_it in sorted(names.items()):
        warn(f'{len(with_it)} images: {note} ({listed(with_it, 3)})')


def _report_duplicates(images):
    """Names images whose bytes lie in two classes, or in two splits."""
    by_digest = collections.defaultdict(list)
    for image in images:
        by_digest[image.digest].append(image)
    for where, key in (('in two classes', lambda image: image.label),
                       ('in training and validation', lambda image: image.split)):
        same = [' = '.join(sorted(image.name for image in group)) for group in by_digest.values()
                if len({key(image) for image in group}) > 1]
        if same:
            warn(f'the same image {where}, {len(same)} times: {listed(sorted(same), 3)}')


def report_similar_names(candidates, source):
    """Warns where folders of different names became one class, and where two classes look alike.

    candidates: image_folder.Candidates. Folders become one class where their names differ in white space at
    the ends or in how letters are composed.
    """
    folders = collections.defaultdict(set)
    for candidate in candidates:
        parts = os.path.relpath(candidate.path, source).split(os.sep)
        class_folder = next((part for part in parts[:-1] if labels.canonical(part) == candidate.label), None)
        folders[candidate.label].update([class_folder] if class_folder else [])
    for label, names in sorted(folders.items()):
        if len(names) > 1:
            warn(f'{len(names)} folders are the one class {label}: {", ".join(map(repr, sorted(names)))}')
    alike = collections.defaultdict(list)
    for label in sorted(folders):
        alike[label.casefold()].append(label)
    for group in alike.values():
        if len(group) > 1:
            warn(f'classes that differ in capital letters only: {listed(group)}')


def command(source):
    """The command that converts the images in the folder `source`."""
    return f'slimtune convert {shlex.quote(source)}'


def first_reasons(left_out, source):
    """Why there is no image to train on in the folder `source`. left_out: manifest.LeftOuts."""
    if not left_out:
        return f'all were held out for validation: {command(source)} --validation-fraction 0'
    return 'left out: ' + listed([f'{one.file} ({one.why})' for one in left_out], 3)


def listed(items, most=10):
    """Items as a text, the first `most` of them."""
    return ', '.join(items[:most]) + (f' and {len(items) - most} more' if len(items) > most else '')
