"""`slimtune predict`: names what is in pictures. An exported folder answers without TensorFlow, on OpenVINO."""
import csv
import itertools
import json
import os
import sys
import types

import numpy as np

from slimtune import engine, options, pictures
from slimtune.datasets import labels
from slimtune.errors import UsageError, UserError
from slimtune.preprocessing import evaluation, preprocessing_factory
from slimtune.terminal import progress, result, say, warn
from slimtune.threads import in_order

AHEAD = 2       # batches that are decoded while the engine runs


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
    asked = (request[options.Engine].engine, request[options.Engine].precision)
    if asked[1] == 'auto' and len(paths) < engine.LEAST_PROVED:     # a second engine for close ones would take longer
        asked = (asked[0], 'float32')
    opening = exported if os.path.isfile(os.path.join(predicted.checkpoint_path, 'model.json')) else trained
    open_engine, inputs, names = opening(predicted, net_options, request.run, request.averages, asked)
    k = min(predicted.top_k, len(names))
    FORMATS['csv' if predicted.csv else 'json' if predicted.json else 'text'](
        predict(open_engine, inputs, paths, predicted.batch_size, k), names, k)


# What answers: (function of (pictures to prove it on, k) that opens the engine, Input, class names)

def exported(predicted, _net_options, _run, _averages, asked):
    """An exported folder: model.json says everything."""
    path = predicted.checkpoint_path
    description = os.path.join(path, 'model.json')
    try:
        with open(description, encoding='utf-8') as f:
            facts = json.load(f)
        inputs = pictures.Input(facts['preprocessing'], facts['image_size'], facts['channels'], facts['use_grayscale'],
                                dct_method=facts.get('dct_method', pictures.ACCURATE))
        classes, proofs = facts['classes'], facts.get('proofs', {})
    except (ValueError, KeyError, TypeError) as e:
        raise UserError('%s is damaged (%s): export again' % (description, e))
    names = given_names(predicted) or classes
    if len(names) != len(classes):
        raise UserError('%s has %d classes, but %s names %d' % (path, len(classes), predicted.label_path, len(names)))
    ours = os.path.join(path, 'model.xml')
    graph = ours if os.path.isfile(ours) and engine.choose(*asked)[0] == 'openvino' else os.path.join(path, 'frozen.pb')

    def open_engine(_images, k):
        running, said, _ = engine.answering(graph, asked, None, proofs, k)
        if said:
            say(said)
        return running
    return open_engine, inputs, names


def trained(predicted, net_options, run, averages, asked):
    """A train folder or a checkpoint, which TensorFlow restores."""
    from slimtune import answers, model
    loaded = model.load(predicted.checkpoint_path, run, net_options, predicted.eval_image_size, given_names(predicted), averages)
    loaded.say_averages()
    return (lambda images, k: answers.open_engine(loaded, asked, k, lambda: images)), loaded.inputs, loaded.class_names


def given_names(predicted):
    """The class names of --label-path, or None without."""
    return labels.read(predicted.label_path)[predicted.labels_offset:] if predicted.label_path else None


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


# From pictures to answers

def predict(open_engine, inputs, paths, batch_size, top_k=1):
    """Yields (path, probabilities [classes] or None, why not) for every path, in their order.

    open_engine: (images to prove it on, k) -> engine. inputs: how pictures reach the net. A picture that cannot be read is an
    answer, not the end. Pictures are decoded by threads while the engine runs; memory holds a few batches, however many there
    are.
    """
    decode, running = decoder(inputs), None
    reading = in_order(lambda path: prepared(path, inputs, decode), paths, ahead=AHEAD * batch_size)
    with progress('predicting', len(paths)) as bar:
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


def decoder(inputs):
    """How pictures are decoded for a net: a function of bytes that returns uint8 [height, width, channels]."""
    mode = 'L' if inputs.channels == 1 and not inputs.use_grayscale else 'RGB'

    def by_pillow(encoded):
        array = np.asarray(pictures.open_upright(encoded).convert(mode))
        return array.reshape(array.shape[:2] + (-1,))

    def by_tensorflow(encoded):
        return session.run(image, {placeholder: pictures.encode(encoded, pictures.inspect(encoded))})

    if inputs.dct_method == pictures.ACCURATE:
        return by_pillow
    from slimtune import data
    from slimtune.runtime import session_config, tf
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
    now = types.SimpleNamespace(write=lambda line: sys.stdout.write(line))      # a bar takes the place of sys.stdout
    rows = csv.writer(now, lineterminator='\n')
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
