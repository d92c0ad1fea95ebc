"""`slimtune predict`: names what is in pictures."""
import csv
import json
import os
import sys

import numpy as np

from slimtune import engine, model, options, pictures
from slimtune.data import Input
from slimtune.datasets import labels
from slimtune.errors import UsageError, UserError
from slimtune.preprocessing import evaluation, preprocessing_factory
from slimtune.terminal import progress, result, warn


def run(request):
    """The command."""
    predicted, net_options = request[options.Predicted], request[options.Net]
    if not predicted.checkpoint_path:
        raise UserError('which net? slimtune predict TRAIN_FOLDER PICTURE …')
    if not request.words:
        raise UserError('which pictures? slimtune predict %s PICTURE …' % predicted.checkpoint_path)
    if predicted.csv and predicted.json:
        raise UsageError('--csv and --json: give one of them')
    paths = picture_paths(request.words)
    graph_def, inputs, names = answering(predicted, net_options, request.run, request.averages)
    FORMATS['csv' if predicted.csv else 'json' if predicted.json else 'text'](
        predict(graph_def, inputs, paths, predicted.batch_size), names, min(predicted.top_k, len(names)))


def answering(predicted, net_options, run, averages):
    """What answers: (frozen GraphDef, Input, class names), of an exported folder, a train folder or a checkpoint."""
    path = predicted.checkpoint_path
    names = labels.read(predicted.label_path)[predicted.labels_offset:] if predicted.label_path else None
    description = os.path.join(path, 'model.json')
    if not os.path.isfile(description):
        loaded = model.load(path, run, net_options, predicted.eval_image_size, names, averages)
        return model.freeze(loaded), loaded.inputs, loaded.class_names
    try:
        with open(description, encoding='utf-8') as f:
            facts = json.load(f)
        inputs = Input(facts['preprocessing'], facts['image_size'], facts['channels'], facts['use_grayscale'])
        classes = facts['classes']
        graph_def = engine.read_graph(os.path.join(path, 'frozen.pb'))
    except (ValueError, KeyError, TypeError) as e:
        raise UserError('%s is damaged (%s): export again' % (description, e))
    if names and len(names) != len(classes):
        raise UserError('%s has %d classes, but %s names %d' % (path, len(classes), predicted.label_path, len(names)))
    return graph_def, inputs, names or classes


def picture_paths(words):
    """The files that words name: files as they are, folders walked. UserError for a word that names nothing."""
    paths = []
    for word in words:
        if os.path.isdir(word):
            inside = pictures.walk(word)
            if not inside:
                warn('no files in %s' % word)
            paths += inside
        elif os.path.exists(word):
            paths.append(word)
        else:
            raise UserError('no file %s' % word)
    return paths


def predict(graph_def, inputs, paths, batch_size):
    """Yields (path, probabilities [classes] or None, why not) for every path, in their order.

    inputs: how pictures reach the net. A picture that cannot be read is an answer, not the end.
    """
    answering_engine, style = engine.load(graph_def), preprocessing_factory.style_of(inputs.preprocessing)
    with progress('predicting', len(paths)) as bar:
        for begin in range(0, len(paths), batch_size):
            batch = paths[begin:begin + batch_size]
            read = [prepared(path, inputs, style) for path in batch]
            images = [image for image, _ in read if image is not None]
            answers = iter(answering_engine.run(np.stack(images))[1] if images else ())
            for path, (image, why) in zip(batch, read):
                yield path, None if image is None else next(answers), why
            bar.advance(len(batch))
    answering_engine.close()


def prepared(path, inputs, style):
    """A picture as a net's input: (float32 [size, size, channels], None), or (None, why not)."""
    try:
        with open(path, 'rb') as f:
            image = pictures.open_upright(f.read())
        array = np.asarray(image.convert('L' if inputs.channels == 1 and not inputs.use_grayscale else 'RGB'))
        array = array.reshape(array.shape[:2] + (-1,))
        return evaluation.evaluate_array(style, array, inputs.size, inputs.size, use_grayscale=inputs.use_grayscale), None
    except (pictures.BadPicture, OSError) as e:
        return None, getattr(e, 'strerror', None) or str(e)


# How answers are written

def best(probabilities, names, k):
    """The k best names with their probabilities, best first."""
    return [(names[n], float(probabilities[n])) for n in np.argsort(-probabilities, kind='stable')[:k]]


def write_text(answers, names, k):
    """For people: the file, then a name a line."""
    for path, probabilities, why in answers:
        if why:
            result('%s\n  cannot be read: %s' % (path, why))
            continue
        result('\n'.join([path] + ['  %6.2f%%  %s' % (100 * value, name) for name, value in best(probabilities, names, k)]))


def write_csv(answers, names, k):
    """file, then name and probability k times, then what was wrong."""
    rows = csv.writer(sys.stdout, lineterminator='\n')
    rows.writerow(['file'] + ['%s_%d' % (what, n + 1) for n in range(k) for what in ('class', 'probability')] + ['error'])
    for path, probabilities, why in answers:
        answer = [('', '')] * k if why else [(name, '%.6f' % value) for name, value in best(probabilities, names, k)]
        rows.writerow([path] + [cell for pair in answer for cell in pair] + [why or ''])


def write_json(answers, names, k):
    """One object a line: {"file", "classes": [{"name", "probability"}, …]} or {"file", "error"}."""
    for path, probabilities, why in answers:
        row = {'error': why} if why else {'classes': [
            {'name': name, 'probability': value} for name, value in best(probabilities, names, k)]}
        result(json.dumps(dict({'file': path}, **row), ensure_ascii=False))


FORMATS = {'text': write_text, 'csv': write_csv, 'json': write_json}
