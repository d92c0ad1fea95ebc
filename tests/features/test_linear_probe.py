"""The weight decay by cross-validation, small and unbalanced classes included."""
import numpy as np
import pytest

from slimtune.features.linear_probe import TooFewImages, choose_weight_decay


def images(counts, noise, seed=0):
    """Features [n, 20] and labels of classes with so many images each, their centres 1 apart."""
    rng = np.random.RandomState(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return (np.eye(20)[labels] + rng.normal(0, noise, [len(labels), 20])).astype(np.float32), labels


@pytest.mark.parametrize('smallest, folds', [(2, 2), (3, 3), (4, 4), (5, 5), (9, 5)])
def test_the_smallest_class_sets_the_number_of_folds(smallest, folds):
    chosen = choose_weight_decay(*images([40, 30, smallest], 0.1), seed=0)
    assert chosen.folds == folds and chosen.accuracy > 0.9


@pytest.mark.parametrize(
    'counts, why', [([40, 1], 'a class has one image only'), ([40], 'images of one class only')]
)
def test_where_there_is_nothing_to_compare_the_reason_is_given(counts, why):
    with pytest.raises(TooFewImages, match=why):
        choose_weight_decay(*images(counts, 0.1), seed=0)


def test_noisy_features_get_the_stronger_decay():
    clean, noisy = (choose_weight_decay(*images([30, 30, 30], noise), seed=0) for noise in (0.1, 1.5))
    assert noisy.weight_decay > 10 * clean.weight_decay
    assert clean.accuracy == 1 and 1 / 3 < noisy.accuracy < 0.9


def test_a_class_that_no_image_has_is_no_matter():
    features, labels = images([30, 30], 0.1)
    assert choose_weight_decay(features, labels * 5, seed=0) == choose_weight_decay(features, labels, seed=0)
