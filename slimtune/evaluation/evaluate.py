"""A net tested on every image of a split, once."""
import contextlib
import itertools
import json
import os

import numpy as np

from slimtune import options
from slimtune.checkpoints import checkpoint, restored_model
from slimtune.checkpoints.checkpoint import folder_of
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.evaluation.metrics import measure, report
from slimtune.evaluation.predictions import predictions
from slimtune.images import input_pipeline
from slimtune.inference import agreement
from slimtune.runtime import tf
from slimtune.storage import atomic
from slimtune.terminal import progress, result, say


def evaluate(tested, data_options, net_options, run=None, averages=options.Averages.IGNORE, engine_options=None):
    """Tests a net and returns its metrics, as in EVAL_DIR/metrics.json.

    tested, data_options, net_options, engine_options: dataclasses of options. run: options.RunFile, None
    without. averages: an options.Averages.
    """
    # Data and net
    engine_options = engine_options or options.Engine()
    checkpoint.find(tested.checkpoint_path)     # first of all: without run.json, everything else would seem missing too
    if not data_options.dataset_dir:
        raise UserError('which images? Add --dataset-dir')
    dataset = dataset_factory.get_dataset(data_options.dataset_name, data_options.dataset_split_name,
                                          data_options.dataset_dir)
    offset = data_options.labels_offset
    input_pipeline.check_labels(dataset, offset)
    names = labels.read(tested.label_path) if tested.label_path else dataset.class_names
    if names != dataset.class_names:
        raise UserError('%s names other classes than the records of %s' % (tested.label_path, dataset.name))
    tested_model = restored_model.load(tested.checkpoint_path, run or options.RunFile({}), net_options, tested.eval_image_size,
                                       names[offset:], averages, offset)
    eval_dir = tested.eval_dir or os.path.join(folder_of(tested.checkpoint_path), 'eval')
    say('%s, step %d%s, on the %d images of %s %s' % (
        tested_model.checkpoint.prefix, tested_model.checkpoint.step, ', moving averages' if tested_model.averages else '',
        dataset.num_samples, dataset.name, dataset.split_name))

    # Answers
    logits, truth, file_names = answer(tested_model, dataset, tested, engine_options)
    metrics = measure(logits, truth, tested_model.class_names, tested.top_k)
    metrics.update(checkpoint=tested_model.checkpoint.prefix, step=tested_model.checkpoint.step, split=dataset.split_name,
                   averages=tested_model.averages)

    # What came of it
    os.makedirs(eval_dir, exist_ok=True)
    atomic.write_text(os.path.join(eval_dir, 'metrics.json'), json.dumps(metrics, indent=1, ensure_ascii=False) + '\n')
    atomic.write_text(os.path.join(eval_dir, 'predictions.csv'),
                     predictions(file_names, truth, logits, tested_model.class_names))
    write_events(eval_dir, metrics)
    result(*report(metrics))
    say('%s: metrics.json, predictions.csv (every image), event file' % eval_dir)
    return metrics


def answer(tested_model, dataset, tested, engine_options):
    """The net's logits [n, classes], the labels [n] and the file names [n] of every image of a split."""
    k = min(tested.top_k, len(tested_model.class_names) - 1)
    images = agreement.Images(
        f'{dataset.split_name} of {dataset.name}', dataset.num_samples, tested.batch_size,
        lambda count: input_pipeline.sample_images(dataset, tested_model.inputs, count))
    engine = agreement.open_engine(agreement.frozen_net(tested_model), (engine_options.engine, engine_options.precision),
                                   images, k)
    parts, batches = [], input_pipeline.read(dataset, tested_model.inputs, tested.batch_size, tested.num_preprocessing_threads)
    with contextlib.closing(engine), contextlib.closing(batches), input_pipeline.explained(), \
            progress('evaluating', dataset.num_samples) as bar:
        for arrays, truth, names in itertools.islice(batches, tested.max_num_batches):
            parts.append((engine.run(arrays, truth)[0], truth, names))
            bar.advance(len(truth))
    logits, truth, names = (np.concatenate(part) for part in zip(*parts))
    if engine.num_rechecked:
        say(f'{engine.num_rechecked} of {len(truth)} images were close and computed again in float32')
    return logits, truth, names


def write_events(folder, metrics):
    """An entry for TensorBoard at the checkpoint's step, with slim's tags."""
    values = {'eval/Accuracy': metrics['accuracy']}
    values.update({'eval/Recall_%s' % k: value for k, value in metrics['top_k'].items()})
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(folder)
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]),
                           metrics['step'])
        writer.close()
