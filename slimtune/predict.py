"""`slimtune predict`: names what is in pictures."""
import csv
import json
import os
import sys

import numpy as np

from slimtune import data, engine, model, options, pictures
from slimtune.datasets import labels
from slimtune.errors import UsageError, UserError
from slimtune.preprocessing import evaluation, preprocessing_factory
from slimtune.runtime import session_config, tf
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
        inputs = data.Input(facts['preprocessing'], facts['image_size'], facts['channels'], facts['use_grayscale'],
                            dct_method=facts.get('dct_method', data.ACCURATE))
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
    answering_engine, decode = engine.load(graph_def), decoder(inputs)
    with progress('predicting', len(paths)) as bar:
        for begin in range(0, len(paths), batch_size):
            batch = paths[begin:begin + batch_size]
            read = [prepared(path, inputs, decode) for path in batch]
            images = [image for image, _ in read if image is not None]
            answers = iter(answering_engine.run(np.stack(images))[1] if images else ())
            for path, (image, why) in zip(batch, read):
                yield path, None if image is None else next(answers), why
            bar.advance(len(batch))
    answering_engine.close()


def decoder(inputs):
    """How pictures are decoded for a net: a function of bytes that returns uint8 [height, width, channels]."""
    mode = 'L' if inputs.channels == 1 and not inputs.use_grayscale else 'RGB'

    def by_pillow(encoded):
        array = np.asarray(pictures.open_upright(encoded).convert(mode))
        return array.reshape(array.shape[:2] + (-1,))

    def by_tensorflow(encoded):
        return session.run(image, {placeholder: pictures.encode(encoded, pictures.inspect(encoded))})

    if inputs.dct_method == data.ACCURATE:
        return by_pillow
    session = tf.Session(graph=tf.Graph(), config=session_config(cpu_only=True))
    with session.graph.as_default():
        placeholder = tf.placeholder(tf.string, [])
        image = data.decode(placeholder, inputs)
    return by_tensorflow


def prepared(path, inputs, decode):
    """A picture as a net's input: (float32 [size, size, channels], None), or (None, why not). decode: of `decoder`."""
    try:
        with open(path, 'rb') as f:
            image = decode(f.read())
        style = preprocessing_factory.style_of(inputs.preprocessing)
        return evaluation.evaluate_array(style, image, inputs.size, inputs.size, use_grayscale=inputs.use_grayscale), None
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
