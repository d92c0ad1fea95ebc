"""Evaluates a net on every image of a split, once."""
import contextlib
import dataclasses
import itertools
import json
import os

from slimtune import options
from slimtune.checkpoints import checkpoint, restored_model
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.evaluation import result_files
from slimtune.evaluation.metrics import largest_k, measure, report
from slimtune.evaluation.predictions import decide, join, probabilities_file, write_csv
from slimtune.images import input_pipeline
from slimtune.inference import agreement
from slimtune.runtime import tf
from slimtune.storage import full_disk
from slimtune.terminal import progress, result, say


def evaluate(tested, data_options, net_options, run=None, averages=options.Averages.IGNORE,
             engine_options=None):
    """Evaluates a net on a split and returns its metrics, as in EVAL_DIR/metrics.json.

    tested, data_options, net_options, engine_options: dataclasses of options. run: options.RunFile, None
    without. averages: options.Averages. Writes metrics.json, predictions.csv, probabilities.npz and an event
    file, all or none; raises UserError, before the net runs, where it cannot, and for a net or data that do
    not fit.
    """
    # Data and net
    engine_options = engine_options or options.Engine()
    checkpoint.find(tested.checkpoint_path)     # first: without run.json, all else would seem missing too
    if not data_options.dataset_dir:
        raise UserError('which images? Add --dataset-dir')
    dataset = dataset_factory.get_dataset(data_options.dataset_name, data_options.dataset_split_name,
                                          data_options.dataset_dir)
    offset = data_options.labels_offset
    input_pipeline.check_labels(dataset, offset)
    names = labels.read(tested.label_path) if tested.label_path else dataset.class_names
    if names != dataset.class_names:
        raise UserError(f'{tested.label_path} names other classes than the records of {dataset.name}: '
                        'leave out --label-path')
    model = restored_model.load(tested.checkpoint_path, net_options, run, tested.eval_image_size,
                                names[offset:], averages)
    model = dataclasses.replace(model, inputs=dataclasses.replace(model.inputs, labels_offset=offset))
    saved, num_classes = model.checkpoint, len(model.class_names)
    averages = ', moving averages' if model.averages else ''
    say(f'{saved.prefix}, step {saved.step}{averages}, '
        f'on the {dataset.num_samples} images of {dataset.name} {dataset.split_name}')

    # Predictions and metrics; the folder is checked before the work
    eval_dir = tested.eval_dir or os.path.join(checkpoint.folder_of(tested.checkpoint_path), 'eval')
    num_images = dataset.num_samples
    if tested.max_num_batches:
        num_images = min(num_images, tested.max_num_batches * tested.batch_size)
    with result_files.replace(eval_dir, 4 * num_images * num_classes) as files:
        path = files.path('probabilities.npz')
        with probabilities_file(path, num_images, num_classes) as probabilities:
            sha256 = checkpoint.sha256(saved.prefix)
            predictions = predict_split(model, dataset, tested, engine_options, probabilities)
            probabilities.finish(predictions, model.class_names, sha256, saved.step, dataset.split_name)
        metrics = measure(predictions, model.class_names, largest_k(tested.top_k, num_classes))
        metrics.update(checkpoint=saved.prefix, checkpoint_sha256=sha256, step=saved.step,
                       split=dataset.split_name, averages=model.averages)
        write_csv(files.path('predictions.csv'), predictions, model.class_names)
        with open(files.path('metrics.json'), 'w', encoding='utf-8') as f:
            f.write(json.dumps(metrics, indent=1, ensure_ascii=False) + '\n')
        with full_disk.explain(eval_dir, lambda: 'or choose another folder with --eval-dir'):
            write_events(os.path.dirname(path), metrics)

    # Report
    result(*report(metrics))
    say(f'{eval_dir}: metrics.json, predictions.csv (each image), probabilities.npz (each class), event file')
    return metrics


def predict_split(model, dataset, tested, engine_options, probabilities):
    """The Predictions for every image of a split. probabilities: the ProbabilitiesFile to fill."""
    k = largest_k(tested.top_k, len(model.class_names))
    parts = []
    with contextlib.ExitStack() as stack:
        images = agreement.Images(
            f'{dataset.split_name} of {dataset.name}', dataset.num_samples, tested.batch_size,
            lambda count: input_pipeline.sample_images(dataset, model.inputs, count))
        choice = engine_options.engine, engine_options.precision
        engine = agreement.open_engine(agreement.frozen_net(model), choice, images, k)
        stack.enter_context(contextlib.closing(engine))
        batches = stack.enter_context(contextlib.closing(input_pipeline.read(
            dataset, model.inputs, tested.batch_size, tested.num_preprocessing_threads)))
        stack.enter_context(input_pipeline.explain_errors())
        bar = stack.enter_context(progress('evaluating', dataset.num_samples))
        for arrays, image_labels, file_names in itertools.islice(batches, tested.max_num_batches):
            logits = engine.run(arrays, image_labels)[0]
            part, rows = decide(logits, image_labels, file_names, k)
            probabilities.append(rows)
            parts.append(part)
            bar.advance(len(image_labels))
    predictions = join(parts)
    if engine.num_rechecked:
        say(f'{engine.num_rechecked} of {len(predictions.labels)} images were close and computed again in '
            'float32')
    return predictions


def write_events(folder, metrics):
    """Writes an entry for TensorBoard at the checkpoint's step, with slim's tags."""
    values = {'eval/Accuracy': metrics['accuracy']}
    values.update({f'eval/Recall_{k}': share for k, share in metrics['top_k'].items()})
    tags = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    with tf.Graph().as_default(), contextlib.closing(tf.summary.FileWriter(folder)) as writer:
        writer.add_summary(tf.Summary(value=tags), metrics['step'])
