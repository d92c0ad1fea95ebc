"""`slimtune predict`: predicts the classes of images."""
import json

import numpy as np

from slimtune import options
from slimtune.errors import UsageError, UserError
from slimtune.inference import predict
from slimtune.storage import csv_file
from slimtune.terminal import data, result


def run(request):
    """The command."""
    predicted, engine_options = request[options.Prediction], request[options.Engine]
    if not predicted.checkpoint_path:
        raise UserError('which net? slimtune predict TRAIN_FOLDER IMAGE …')
    if not request.words:
        raise UserError(f'which images? slimtune predict {predicted.checkpoint_path} IMAGE …')
    if predicted.csv and predicted.json:
        raise UsageError('--csv and --json: give one of them')
    paths = predict.image_paths(request.words)
    net, class_names = predict.open_net(predicted, request[options.Net], request.run, request.averages)
    k = min(predicted.top_k, len(class_names))
    choice = (engine_options.engine, engine_options.precision)
    write = write_csv if predicted.csv else write_json if predicted.json else write_text
    write(predict.predict(net, choice, paths, predicted.batch_size, k), class_names, k)


def best(probabilities, class_names, k):
    """The k best classes with their probabilities, best first: [(name, probability)]."""
    return [(class_names[n], float(probabilities[n])) for n in np.argsort(-probabilities, kind='stable')[:k]]


def write_text(rows, class_names, k):
    """For people: the file, then a class per line. rows: (path, probabilities [classes] or None, error)."""
    for path, probabilities, error in rows:
        if error:
            result(path, f'  cannot be read: {error}')
            continue
        pairs = best(probabilities, class_names, k)
        result(path, *[f'  {100 * value:6.2f}%  {name}' for name, value in pairs])


def write_csv(rows, class_names, k):
    """The columns file, prediction_1, probability_1, … to k, error."""
    table = csv_file.writer(lambda row: data(row[:-1]))
    columns = [name for n in range(1, k + 1) for name in (f'prediction_{n}', f'probability_{n}')]
    table.writerow(['file', *columns, 'error'])
    for path, probabilities, error in rows:
        if error:
            table.writerow([path, *[''] * len(columns), error])
            continue
        pairs = [(name, f'{value:.6f}') for name, value in best(probabilities, class_names, k)]
        table.writerow([path, *[cell for pair in pairs for cell in pair], ''])


def write_json(rows, class_names, k):
    """One object per line: {"file", "predictions": [{"class", "probability"}, …]} or {"file", "error"}."""
    for path, probabilities, error in rows:
        row = {'file': path}
        if error:
            row['error'] = error
        else:
            row['predictions'] = [{'class': name, 'probability': value}
                                  for name, value in best(probabilities, class_names, k)]
        line = json.dumps(row, ensure_ascii=False)
        # JSON is UTF-8: a file name in GBK is escaped.
        data(line.encode('utf-8', 'backslashreplace').decode('utf-8'))
