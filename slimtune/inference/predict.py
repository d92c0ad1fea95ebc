"""Predictions for image files, from a train folder, a checkpoint or an export."""
import itertools
import json
import os

import numpy as np

from slimtune.datasets import labels
from slimtune.errors import UserError
from slimtune.images import image_folder
from slimtune.images.model_input import ACCURATE, Input
from slimtune.images.prepare import image_reader
from slimtune.inference import agreement, engines
from slimtune.storage.parallel import in_order
from slimtune.terminal import progress, say, warn

AHEAD = 2       # batches that are decoded while the engine runs


def exported(predicted, _net_options, _run, _averages, asked):
    """An exported folder: model.json says everything."""
    path = predicted.checkpoint_path
    description = os.path.join(path, 'model.json')
    try:
        with open(description, encoding='utf-8') as f:
            facts = json.load(f)
        inputs = Input(facts['preprocessing'], facts['image_size'], facts['channels'], facts['use_grayscale'],
                       dct_method=facts.get('dct_method', ACCURATE))
        classes, proofs = facts['classes'], facts.get('proofs', {})
    except (ValueError, KeyError, TypeError) as e:
        raise UserError('%s is damaged (%s): export again' % (description, e))
    names = given_names(predicted) or classes
    if len(names) != len(classes):
        raise UserError('%s has %d classes, but %s names %d' % (path, len(classes), predicted.label_path, len(names)))
    ours = os.path.join(path, 'model.xml')
    graph = ours if os.path.isfile(ours) and engines.choose(*asked)[0] == 'openvino' else os.path.join(path, 'frozen.pb')

    def open_engine(_images, k):
        running, said, _ = agreement.answering(graph, asked, None, proofs, k)
        if said:
            say(said)
        return running
    return open_engine, inputs, names


def trained(predicted, net_options, run, averages, asked):
    """A train folder or a checkpoint, which TensorFlow restores."""
    from slimtune.checkpoints import restored_model
    from slimtune.inference import agreement
    loaded = restored_model.load(predicted.checkpoint_path, net_options, run, predicted.eval_image_size,
                                 given_names(predicted), averages)
    loaded.report_averages()
    return (lambda images, k: agreement.open_engine(loaded, asked, k, lambda: images)), loaded.inputs, loaded.class_names


def given_names(predicted):
    """The class names of --label-path, or None without."""
    return labels.read(predicted.label_path)[predicted.labels_offset:] if predicted.label_path else None


def image_paths(words):
    """The files that words name: files as they are, folders walked. UserError for a word that names nothing."""
    paths = []
    for word in words:
        if os.path.isdir(word):
            inside, passed = image_folder.walk(word)
            for path, why in passed:
                warn(f'{path}: {why}')
            if not inside:
                warn('no files in %s' % word)
            paths += inside
        elif os.path.exists(word):
            paths.append(word)
        else:
            raise UserError('no file %s' % word)
    return paths


def predict(open_engine, inputs, paths, batch_size, top_k=1):
    """Yields (path, probabilities [classes] or None, why not) for every path, in their order.

    open_engine: (images to prove it on, k) -> engine. inputs: how images reach the net. An image that cannot be read is an
    answer, not the end. Images are decoded by threads while the engine runs; memory holds a few batches, however many there
    are.
    """
    running = None
    with image_reader(inputs) as read_image, progress('predicting', len(paths)) as bar:
        reading = in_order(read_image, paths, ahead=AHEAD * batch_size)
        for begin in range(0, len(paths), batch_size):
            batch = paths[begin:begin + batch_size]
            read = list(itertools.islice(reading, len(batch)))
            images = [image for image, _ in read if image is not None]
            if images:
                images = np.stack(images)
                running = running or open_engine(images, top_k)
                answers = iter(running.run(images)[1])
            for path, (image, why) in zip(batch, read):
                yield path, None if image is None else next(answers), why
            bar.advance(len(batch))
    if running:
        running.close()
