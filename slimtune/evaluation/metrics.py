"""The metrics of a split, and their tables for the screen."""
import numpy as np

from slimtune.terminal import table

MATRIX_CLASSES = 20     # more do not fit a screen


def measure(logits, truth, names, top_k):
    """The metrics of a split. logits: [n, classes]. truth: int [n]. names: by class.

    top_k is measured for the k asked for, or one less than there are classes where that is smaller: among all of them
    every image would be right.
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
    """The metrics as lines for the screen."""
    per_class, matrix = metrics['per_class'], np.array(metrics['confusion_matrix'])
    names = list(per_class)
    share = lambda value: '-' if value is None else '%.1f%%' % (100 * value)
    lines = table(['class', 'images', 'precision', 'recall'],
                  [[name, row['n'], share(row['precision']), share(row['recall'])] for name, row in per_class.items()
                   if row['n'] or len(names) <= MATRIX_CLASSES])
    if len(names) <= MATRIX_CLASSES:
        lines.extend(table(['is \\ called'] + names, [[name] + row for name, row in zip(names, matrix.tolist())]))
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = sorted(zip(*np.nonzero(wrong)), key=lambda pair: -wrong[pair])[:5]
    if pairs:
        lines.append('Most often confused: ' + '; '.join(
            '%s called %s (%d)' % (names[a], names[b], wrong[a, b]) for a, b in pairs))
    lines.append('Accuracy %s of %d images%s' % (
        share(metrics['accuracy']), metrics['n'],
        ''.join(', top %s %s' % (k, share(value)) for k, value in metrics['top_k'].items())))
    return lines
