"""`slimtune predict`: names what is in images."""
import csv
import json
import os
import types

import numpy as np

from slimtune import options
from slimtune.errors import UsageError, UserError
from slimtune.inference import agreement, predict
from slimtune.terminal import data, result


def run(request):
    """The command."""
    predicted, net_options = request[options.Prediction], request[options.Net]
    if not predicted.checkpoint_path:
        raise UserError('which net? slimtune predict TRAIN_FOLDER IMAGE …')
    if not request.words:
        raise UserError('which images? slimtune predict %s IMAGE …' % predicted.checkpoint_path)
    if predicted.csv and predicted.json:
        raise UsageError('--csv and --json: give one of them')
    paths = predict.image_paths(request.words)
    asked = (request[options.Engine].engine, request[options.Engine].precision)
    if asked[1] == 'auto' and len(paths) < agreement.LEAST_PROVED:     # a second engine for close ones would take longer
        asked = (asked[0], 'float32')
    opening = predict.exported if os.path.isfile(os.path.join(predicted.checkpoint_path, 'model.json')) else predict.trained
    open_engine, inputs, names = opening(predicted, net_options, request.run, request.averages, asked)
    k = min(predicted.top_k, len(names))
    FORMATS['csv' if predicted.csv else 'json' if predicted.json else 'text'](
        predict.predict(open_engine, inputs, paths, predicted.batch_size, k), names, k)


def best(probabilities, names, k):
    """The k best names with their probabilities, best first."""
    return [(names[n], float(probabilities[n])) for n in np.argsort(-probabilities, kind='stable')[:k]]


def write_text(answers, names, k):
    """For people: the file, then a name a line."""
    for path, probabilities, why in answers:
        if why:
            result(path, f'  cannot be read: {why}')
            continue
        result(path, *[f'  {100 * value:6.2f}%  {name}' for name, value in best(probabilities, names, k)])


def write_csv(answers, names, k):
    """file, then name and probability k times, then what was wrong."""
    # \r\n: csv quotes what its line end holds, and a file name may hold either; a line ends in \n all the same.
    rows = csv.writer(types.SimpleNamespace(write=lambda row: data(row[:-2])), lineterminator='\r\n')
    rows.writerow(['file'] + ['%s_%d' % (what, n + 1) for n in range(k) for what in ('class', 'probability')] + ['error'])
    for path, probabilities, why in answers:
        answer = [('', '')] * k if why else [(name, '%.6f' % value) for name, value in best(probabilities, names, k)]
        rows.writerow([path] + [cell for pair in answer for cell in pair] + [why or ''])


def write_json(answers, names, k):
    """One object a line: {"file", "classes": [{"name", "probability"}, …]} or {"file", "error"}."""
    for path, probabilities, why in answers:
        row = {'error': why} if why else {'classes': [
            {'name': name, 'probability': value} for name, value in best(probabilities, names, k)]}
        line = json.dumps(dict({'file': path}, **row), ensure_ascii=False)
        data(line.encode('utf-8', 'backslashreplace').decode('utf-8'))      # JSON is UTF-8: a GBK file name is escaped


FORMATS = {'text': write_text, 'csv': write_csv, 'json': write_json}
