"""The figures of an evaluation and their tables, from logits."""
import re

import numpy as np
import pytest

from slimtune.evaluation import predictions
from slimtune.evaluation.metrics import largest_k, measure, report


def metrics_for(logits, labels, names, top_k=5):
    """The metrics of these logits [n, classes] and labels [n]."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels)
    k = largest_k(top_k, len(names))
    return measure(predictions.decide(logits, labels, [b'a.jpg'] * len(labels), k)[0], names, k)


def test_k_is_less_than_the_number_of_classes():
    logits, labels = np.array([[3., 2, 1], [1, 2, 3], [2, 3, 1]]), [1, 0, 1]
    metrics = metrics_for(logits, labels, ['a', 'b', 'c'])
    assert metrics['top_k'] == {'2': pytest.approx(2 / 3)}
    assert metrics['accuracy'] == pytest.approx(1 / 3)
    assert metrics_for(logits[:, :2], labels, ['a', 'b'])['top_k'] == {}
    assert metrics_for(logits[:, :1], [0, 0, 0], ['a'])['accuracy'] == 1
    assert list(metrics_for(np.eye(8), np.arange(8), list('abcdefgh'))['top_k']) == ['5']


def test_a_class_without_images_or_never_predicted_has_no_figure():
    metrics = metrics_for([[1, 0, 0], [1, 0, 0]], [0, 1], ['a', 'b', 'c'])
    assert metrics['per_class'] == {'a': {'n': 1, 'precision': 0.5, 'recall': 1.0},
                                    'b': {'n': 1, 'precision': None, 'recall': 0.0},
                                    'c': {'n': 0, 'precision': None, 'recall': None}}
    assert 'Most frequent mistakes: b predicted as a (1)' in report(metrics)


def test_two_classes_of_one_name_are_kept_apart():
    """ImageNet has two kinds of crane."""
    metrics = metrics_for(np.eye(3), np.arange(3), ['crane', 'owl', 'crane'])
    assert list(metrics['per_class']) == ['crane (label 0)', 'owl', 'crane (label 2)']
    assert 'crane (label 2)' in '\n'.join(report(metrics))


def test_a_thousand_classes_with_images_in_each_do_not_fill_the_screen():
    """Class n has 10 images, of which n // 100 are predicted as the next class: class 999 is the worst."""
    labels = np.repeat(np.arange(1000), 10)
    wrong = np.tile(np.arange(10), 1000) < labels // 100
    logits = np.zeros([len(labels), 1000], np.float32)
    logits[np.arange(len(labels)), (labels + wrong) % 1000] = 1
    lines = report(metrics_for(logits, labels, [f'class {n}' for n in range(1000)]))
    rows = [line.split() for line in lines if re.match(r' *class \d', line)]
    assert len(lines) < 30 and len(rows) == 20
    assert {row[1] for row in rows} <= {str(n) for n in range(900, 1000)}
    assert all(row[2] == '10' and row[-1] == '10.0%' for row in rows)
    assert 'Listed: 20 of 1000 classes with images, lowest recall first' in '\n'.join(lines)
    assert lines[-1].startswith('Accuracy 55.0% of 10000 images')
