"""A logistic regression on features, which finds the head's weight decay by cross-validation."""
import warnings

import numpy as np

#: What the head's weight decay is chosen from, as the C of a logistic regression, and how.
STRENGTHS = [10 ** (exponent / 2) for exponent in range(-8, 3)]
FOLDS, MOST_IMAGES = 5, 2000


def choose_weight_decay(features, labels, seed):
    """The weight decay with which a linear head on these features does best on images it has not seen: (decay, accuracy).

    features: [n, depth] of the training images. labels: int [n]. By the cross entropy in cross-validation on the training
    images alone, which tells neighbours apart where accuracy is noise. None where a class has too few images for it. One
    decay is a logistic regression's 1 / (n C).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from threadpoolctl import threadpool_limits
    chosen = np.random.RandomState(seed & 0xffffffff).permutation(len(labels))[:MOST_IMAGES]
    features, labels = np.asarray(features[np.sort(chosen)]), labels[np.sort(chosen)]
    counts = np.bincount(labels)
    if counts[counts > 0].min() < FOLDS or (counts > 0).sum() < 2:
        return None
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed & 0xffffffff)
    best = (np.inf, None, None)
    # Products this small take threads longer, and twenty times as long where the machine has other work.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter('ignore')         # a fit cut short is early stopping, and good enough to compare
        for strength in STRENGTHS:
            scores = cross_validate(LogisticRegression(C=strength, max_iter=200), features, labels, cv=folds,
                                    scoring=('neg_log_loss', 'accuracy'))
            loss = -scores['test_neg_log_loss'].mean()
            best = min(best, (loss, strength, scores['test_accuracy'].mean()))
            if loss > 1.1 * best[0]:            # beyond the best it only gets slower and worse
                break
    return 1 / (best[1] * len(labels)), best[2]
