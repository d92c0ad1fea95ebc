"""A logistic regression on features, which finds the head's weight decay by cross-validation."""
import dataclasses
import warnings

import numpy as np

#: The C of a logistic regression that are tried, smallest first.
STRENGTHS = [10 ** (exponent / 2) for exponent in range(-8, 3)]
FOLDS, MOST_IMAGES = 5, 2000
SLACK = 1.1     # a loss that is so many times the best one: stronger fits only get slower and worse


class TooFewImages(Exception):
    """There can be no cross-validation; the text tells why."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A weight decay. accuracy: in cross-validation, a share. folds: how many there were."""
    weight_decay: float
    accuracy: float
    folds: int


def choose_weight_decay(features, labels, seed):
    """The weight decay with which a linear head does best on images it was not fitted to: a Choice.

    features: [n, depth] of the training images. labels: int [n]. Compared by the cross entropy in
    cross-validation on at most MOST_IMAGES of the training images, which tells neighbours apart where
    accuracy is noise. The folds are FOLDS, fewer where the smallest class has fewer images. Raises
    TooFewImages where a class has less than two, or where there is one class only.

    The fit to n images with a logistic regression's C has the weight decay 1 / (n C). n is the sample's size
    and not that of its folds: C, not the decay, is what carries over from a part of the images to all of
    them.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from threadpoolctl import threadpool_limits
    chosen = np.sort(np.random.RandomState(seed & 0xffffffff).permutation(len(labels))[:MOST_IMAGES])
    features, labels = np.asarray(features[chosen]), labels[chosen]
    classes, counts = np.unique(labels, return_counts=True)
    folds = min(FOLDS, counts.min())
    if len(classes) < 2:
        raise TooFewImages('there are images of one class only')
    if folds < 2:
        raise TooFewImages('a class has one image only')
    split = StratifiedKFold(int(folds), shuffle=True, random_state=seed & 0xffffffff)
    best_loss, best = np.inf, None
    # Products this small take threads longer, and twenty times as long where the machine has other work.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter('ignore')     # a fit cut short is early stopping, and good enough to compare
        for strength in STRENGTHS:
            scores = cross_validate(LogisticRegression(C=strength, max_iter=200), features, labels, cv=split,
                                    scoring=('neg_log_loss', 'accuracy'))
            loss = -scores['test_neg_log_loss'].mean()
            if loss < best_loss:
                best_loss = loss
                best = Choice(1 / (strength * len(labels)), float(scores['test_accuracy'].mean()), int(folds))
            if loss > SLACK * best_loss:
                break
    return best
