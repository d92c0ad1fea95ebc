"""Every image's prediction, as a file."""
import csv
import io

import numpy as np


def predictions(images, truth, logits, names):
    """Every image's answer as CSV, the surest mistakes first: file, its class, the answer, its probability."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    best = logits.argmax(1)
    order = sorted(range(len(truth)), key=lambda n: (best[n] == truth[n], -probabilities[n, best[n]], n))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(['file', 'class', 'answer', 'probability', 'right'])
    for n in order:
        rows.writerow([images[n].decode('utf-8', 'replace'), names[truth[n]], names[best[n]],
                       '%.6f' % probabilities[n, best[n]], int(best[n] == truth[n])])
    return text.getvalue()
