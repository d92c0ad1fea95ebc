"""`slimtune eval`: tests a net on every picture of a split, once."""
import contextlib
import csv
import dataclasses
import io
import itertools
import json
import os

import numpy as np

from slimtune import answers, checkpoint, data, engine, files, model, options
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.runtime import tf
from slimtune.terminal import next_step, progress, result, say, table

MATRIX_CLASSES = 20     # more do not fit a screen


def run(request):
    """The command."""
    tested, net_options, data_options = request[options.Tested], request[options.Net], data_set(request)
    if data_options.dataset_dir and 'dataset_split_name' not in request.typed:
        data_options = dataclasses.replace(data_options, dataset_split_name=held_out_split(data_options))
    evaluate(tested, data_options, net_options, request.run, request.averages, request[options.Engine])
    next_step('slimtune export %s' % tested.checkpoint_path + (
        '' if request.run else ' --model-name %s --label-path LABELS' % net_options.model_name))


def data_set(request):
    """The data set's options, with the user's own module loaded and its name filled in."""
    data_options = request[options.Data]
    if data_options.dataset_module:
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    return data_options


def held_out_split(data_options):
    """The split to test on where none is named: the command's default where there is one of that name, else the other of
    validation and test (mnist and cifar10 have no validation)."""
    for split in (data_options.dataset_split_name, 'validation', 'test'):
        with contextlib.suppress(UserError):
            return dataset_factory.get_dataset(data_options.dataset_name, split, data_options.dataset_dir).split_name
    return data_options.dataset_split_name


def folder_of(path):
    """The folder of a checkpoint, or the path itself where it is one."""
    return path if os.path.isdir(path) else os.path.dirname(path) or '.'


def evaluate(tested, data_options, net_options, run=None, averages=False, engines=None):
    """Tests a net and returns its metrics, as in EVAL_DIR/metrics.json.

    tested, data_options, net_options, engines: dataclasses of options. run: run.json, {} without. averages: see model.load.
    """
    # Data and net
    engines = engines or options.Engine()
    checkpoint.find(tested.checkpoint_path)     # first of all: without run.json, everything else would seem missing too
    if not data_options.dataset_dir:
        raise UserError('which pictures? Add --dataset-dir')
    dataset = dataset_factory.get_dataset(data_options.dataset_name, data_options.dataset_split_name,
                                          data_options.dataset_dir)
    offset = data_options.labels_offset
    data.check_labels(dataset, offset)
    names = labels.read(tested.label_path) if tested.label_path else dataset.class_names
    if names != dataset.class_names:
        raise UserError('%s names other classes than the records of %s' % (tested.label_path, dataset.name))
    tested_model = model.load(tested.checkpoint_path, run or {}, net_options, tested.eval_image_size, names[offset:],
                              averages, offset, tested.num_preprocessing_threads)
    eval_dir = tested.eval_dir or os.path.join(folder_of(tested.checkpoint_path), 'eval')
    say('%s, step %d%s, on the %d pictures of %s %s' % (
        tested_model.checkpoint.prefix, tested_model.checkpoint.step, ', moving averages' if tested_model.averages else '',
        dataset.num_samples, dataset.name, dataset.split_name))

    # Answers
    logits, truth, pictures = answer(tested_model, dataset, tested, engines)
    metrics = measure(logits, truth, tested_model.class_names, tested.top_k)
    metrics.update(checkpoint=tested_model.checkpoint.prefix, step=tested_model.checkpoint.step, split=dataset.split_name,
                   averages=tested_model.averages)

    # What came of it
    os.makedirs(eval_dir, exist_ok=True)
    files.write_text(os.path.join(eval_dir, 'metrics.json'), json.dumps(metrics, indent=1, ensure_ascii=False) + '\n')
    files.write_text(os.path.join(eval_dir, 'predictions.csv'),
                     predictions(pictures, truth, logits, tested_model.class_names))
    write_events(eval_dir, metrics)
    result(report(metrics))
    say('%s: metrics.json, predictions.csv (every picture), event file' % eval_dir)
    return metrics


def answer(tested_model, dataset, tested, engines):
    """The net's logits [n, classes], the labels [n] and the file names [n] of every picture of a split."""
    k = min(tested.top_k, len(tested_model.class_names) - 1)
    answering = answers.open_engine(tested_model, (engines.engine, engines.precision), k,
                                lambda: data.first_images(dataset, tested_model.inputs, engine.PROVED_ON))
    parts, batches = [], data.read(dataset, tested_model.inputs, tested.batch_size)
    with data.explained(), progress('evaluating', dataset.num_samples) as bar:
        for images, truth, names in itertools.islice(batches, tested.max_num_batches):
            parts.append((answering.run(images, truth)[0], truth, names))
            bar.advance(len(truth))
    batches.close()
    answering.close()
    logits, truth, names = (np.concatenate(part) for part in zip(*parts))
    if answering.again:
        say('%d of %d pictures were close and decided again in float32' % (answering.again, len(truth)))
    return logits, truth, names


def measure(logits, truth, names, top_k):
    """The metrics of a split. logits: [n, classes]. truth: int [n]. names: by class.

    top_k is measured for the k asked for, or one less than there are classes where that is smaller: among all of them
    every picture would be right.
    """
    classes = len(names)
    best = logits.argmax(1)
    matrix = np.zeros([classes, classes], int)
    np.add.at(matrix, (truth, best), 1)
    k = min(top_k, classes - 1)
    among = (np.argsort(-logits, 1, kind='stable')[:, :k] == truth[:, None]).any(1)
    per_class = {}
    for index, name in enumerate(names):
        if names.count(name) > 1:       # ImageNet has two kinds of crane
            name = '%s (label %d)' % (name, index)
        right, there, said = (int(n) for n in (matrix[index, index], matrix[index].sum(), matrix[:, index].sum()))
        per_class[name] = {'n': there, 'precision': right / said if said else None, 'recall': right / there if there else None}
    return {'accuracy': float((best == truth).mean()), 'n': len(truth),
            'top_k': {str(k): float(among.mean())} if k > 1 else {}, 'classes': list(names), 'per_class': per_class,
            'confusion_matrix': matrix.tolist()}


def report(metrics):
    """The metrics as text for the screen."""
    per_class, matrix = metrics['per_class'], np.array(metrics['confusion_matrix'])
    names = list(per_class)
    share = lambda value: '-' if value is None else '%.1f%%' % (100 * value)
    lines = [table(['class', 'pictures', 'precision', 'recall'],
                   [[name, row['n'], share(row['precision']), share(row['recall'])] for name, row in per_class.items()
                    if row['n'] or len(names) <= MATRIX_CLASSES])]
    if len(names) <= MATRIX_CLASSES:
        lines.append(table(['is \\ called'] + names, [[name] + row for name, row in zip(names, matrix.tolist())]))
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = sorted(zip(*np.nonzero(wrong)), key=lambda pair: -wrong[pair])[:5]
    if pairs:
        lines.append('Most often confused: ' + '; '.join(
            '%s called %s (%d)' % (names[a], names[b], wrong[a, b]) for a, b in pairs))
    lines.append('Accuracy %s of %d pictures%s' % (
        share(metrics['accuracy']), metrics['n'],
        ''.join(', top %s %s' % (k, share(value)) for k, value in metrics['top_k'].items())))
    return '\n'.join(lines)


def predictions(pictures, truth, logits, names):
    """Every picture's answer as CSV, the surest mistakes first: file, its class, the answer, its probability."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    best = logits.argmax(1)
    order = sorted(range(len(truth)), key=lambda n: (best[n] == truth[n], -probabilities[n, best[n]], n))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(['file', 'class', 'answer', 'probability', 'right'])
    for n in order:
        rows.writerow([pictures[n].decode('utf-8', 'replace'), names[truth[n]], names[best[n]],
                       '%.6f' % probabilities[n, best[n]], int(best[n] == truth[n])])
    return text.getvalue()


def write_events(folder, metrics):
    """An entry for TensorBoard at the checkpoint's step, with slim's tags."""
    values = {'eval/Accuracy': metrics['accuracy']}
    values.update({'eval/Recall_%s' % k: value for k, value in metrics['top_k'].items()})
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(folder)
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]),
                           metrics['step'])
        writer.close()
