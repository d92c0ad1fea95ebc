"""The metrics of a split, and their tables for the screen."""
import collections

import numpy as np

from slimtune.terminal import table

LISTED_CLASSES = 20     # more rows, or a larger matrix, do not fit a screen
LISTED_CONFUSIONS = 5


def largest_k(top_k, num_classes):
    """The k that top-k accuracy is measured for: among all classes every prediction would be correct."""
    return min(top_k, num_classes - 1)


def measure(predictions, class_names, k):
    """The metrics of a split, as in metrics.json.

    predictions: Predictions. k: of their in_top_k, see largest_k. Rows of confusion_matrix are the true
    classes, columns the predicted ones. Precision is None for a class that was never predicted, recall for
    one without images. Classes of one name are told apart by their labels.
    """
    num_classes = len(class_names)
    matrix = np.zeros([num_classes, num_classes], int)
    np.add.at(matrix, (predictions.labels, predictions.classes), 1)
    correct, num_images, num_predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    uses = collections.Counter(class_names)
    per_class = {}
    for label, name in enumerate(class_names):
        unique = name if uses[name] == 1 else f'{name} (label {label})'      # ImageNet has two `crane`
        per_class[unique] = {
            'n': int(num_images[label]),
            'precision': _ratio(correct[label], num_predicted[label]),
            'recall': _ratio(correct[label], num_images[label]),
        }
    return {
        'accuracy': float(predictions.correct.mean()),
        'n': len(predictions.labels),
        'top_k': {str(k): float(predictions.in_top_k.mean())} if k > 1 else {},
        'classes': list(class_names),
        'per_class': per_class,
        'confusion_matrix_rows': 'true class',
        'confusion_matrix_columns': 'predicted class',
        'confusion_matrix': matrix.tolist(),
    }


def _ratio(part, whole):
    return float(part / whole) if whole else None


def report(metrics):
    """The metrics as lines for the screen: at most LISTED_CLASSES classes, those of the lowest recall."""
    matrix, names = np.array(metrics['confusion_matrix']), list(metrics['per_class'])
    rows = [[name, row['n'], _percent(row['precision']), _percent(row['recall'])]
            for name, row in metrics['per_class'].items()]
    if len(names) <= LISTED_CLASSES:
        lines = table(['class', 'images', 'precision', 'recall'], rows)
        counts = [[name] + row for name, row in zip(names, matrix.tolist())]
        lines += table(['true \\ predicted'] + names, counts)
    else:
        tested = [n for n, row in enumerate(metrics['per_class'].values()) if row['n']]
        wrong = matrix.sum(1) - np.diag(matrix)
        worst = sorted(tested, key=lambda n: (matrix[n, n] / matrix[n].sum(), -wrong[n]))[:LISTED_CLASSES]
        lines = table(['class', 'images', 'precision', 'recall'], [rows[n] for n in worst])
        lines.append(f'Listed: {len(worst)} of {len(tested)} classes with images, lowest recall first; '
                     'metrics.json has all of them')
    confusions = matrix - np.diag(np.diag(matrix))
    pairs = sorted(zip(*np.nonzero(confusions)), key=lambda pair: -confusions[pair])[:LISTED_CONFUSIONS]
    if pairs:
        lines.append('Most frequent mistakes: ' + '; '.join(
            f'{names[label]} predicted as {names[predicted]} ({confusions[label, predicted]})'
            for label, predicted in pairs))
    shares = ''.join(f', top {k} {_percent(share)}' for k, share in metrics['top_k'].items())
    lines.append(f"Accuracy {_percent(metrics['accuracy'])} of {metrics['n']} images{shares}")
    return lines


def _percent(share):
    return '-' if share is None else f'{100 * share:.1f}%'
