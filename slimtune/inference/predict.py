"""Predictions for image files, by a train folder, a checkpoint or an export."""
import contextlib
import itertools
import os

import numpy as np

from slimtune.datasets import labels
from slimtune.datasets.records import spread
from slimtune.errors import UserError
from slimtune.images import image_folder
from slimtune.images.prepare import image_reader
from slimtune.inference import agreement, export_folder
from slimtune.storage.parallel import in_order
from slimtune.terminal import progress, warn

AHEAD = 2       # batches that are decoded while the engine runs


def open_net(predicted, net_options, run, averages):
    """The net that the options name: (agreement.FrozenNet, its class names).

    predicted, net_options: options.Prediction and options.Net. run: an options.RunFile. averages: an
    options.Averages. An export needs no TensorFlow; a train folder or a checkpoint is restored by it.
    """
    path = predicted.checkpoint_path
    if export_folder.is_export(path):
        metadata = export_folder.read(path)
        classes = metadata.classes
        names = read_class_names(predicted.label_path, predicted.labels_offset, classes) or classes
        if len(names) != len(classes):
            raise UserError(
                f'{path} has {len(classes)} classes, but {predicted.label_path} names {len(names)}')
        return export_folder.frozen_net(path, metadata), names
    from slimtune.checkpoints import restored_model
    names = read_class_names(predicted.label_path, predicted.labels_offset, run.classes)
    restored = restored_model.load(path, net_options, run, predicted.eval_image_size, names, averages)
    restored.report_averages()
    return agreement.frozen_net(restored), restored.class_names


def read_class_names(label_path, labels_offset, trained_classes):
    """The class names of --label-path, or None without it.

    labels_offset: how many leading names the net lacks. A file of as many names as `trained_classes`, the
    names it was trained on (or None), has lost them already, as the label files of a train folder have.
    """
    if not label_path:
        return None
    names = labels.read(label_path)
    return names if trained_classes and len(names) == len(trained_classes) else names[labels_offset:]


def image_paths(words):
    """The files that words name: files as they are, folders walked. Raises UserError for a word that names
    nothing."""
    paths = []
    for word in words:
        if os.path.isdir(word):
            inside, passed = image_folder.walk(word)
            for path, why in passed:
                warn(f'{path}: {why}')
            if not inside:
                warn(f'no files in {word}')
            paths += inside
        elif os.path.exists(word):
            paths.append(word)
        else:
            raise UserError(f'no file {word}')
    if not paths:
        raise UserError(f'no image files in {", ".join(words)}')
    return paths


def predict(net, choice, paths, batch_size, top_k=1):
    """Yields (path, probabilities [classes] or None, why not) for every path, in their order.

    net: a FrozenNet. choice: (engine, precision) of the options. A file that cannot be read is a row, not the
    end; raises UserError after the last row if none could be read. Images are decoded by threads while the
    engine runs; memory holds a few batches, however many images there are.
    """
    num_read = 0
    with contextlib.ExitStack() as stack:
        read = stack.enter_context(image_reader(net.inputs))
        rows = stack.enter_context(contextlib.closing(in_order(read, paths, ahead=AHEAD * batch_size)))
        bar = stack.enter_context(progress('predicting', len(paths)))
        engine = None
        for begin in range(0, len(paths), batch_size):
            batch = list(zip(paths[begin:begin + batch_size], itertools.islice(rows, batch_size)))
            arrays = [image for _, (image, _) in batch if image is not None]
            if arrays and engine is None:
                images = agreement.Images('image files', len(paths), batch_size,
                                          lambda count: _sample(read, paths, count))
                engine = agreement.open_engine(net, choice, images, top_k)
                stack.callback(engine.close)
            probabilities = iter(engine.run(np.stack(arrays))[1] if arrays else ())
            for path, (image, why) in batch:
                yield path, None if image is None else next(probabilities), why
            num_read += len(arrays)
            bar.advance(len(batch))
    if not num_read:
        raise UserError(f'none of the {len(paths)} files is an image that can be read')


def _sample(read, paths, count):
    """`count` images spread over all paths, without those that cannot be read: float32 [n, size, size,
    channels]."""
    with contextlib.closing(in_order(read, spread(paths, count))) as rows:
        arrays = [image for image, _ in rows if image is not None]
    return np.stack(arrays) if arrays else np.zeros(0, np.float32)
