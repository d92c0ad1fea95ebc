"""The order of training is a function of seed and step alone, and every epoch shows every image once."""
import collections

import numpy as np
import pytest

from slimtune.datasets import dataset_factory
from slimtune.images import input_pipeline
from slimtune.images.model_input import Input
from slimtune.runtime import tf

BATCH = 5


@pytest.fixture(scope='module')
def digits_set(trained):
    """The training split of the digits: 49 images in two shards."""
    return dataset_factory.get_dataset('pic', 'train', str(trained / 'pic'))


def batches(dataset, count, seed=1, step=0, threads=None, **inputs):
    """The first batches from `step` on: a list of (images, labels)."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = Input(**dict(dict(style='lenet', size=28, channels=1), **inputs))
        batch = input_pipeline.training_batches(dataset, inputs, BATCH, seed, step, threads)
        return [session.run(batch) for _ in range(count)]


def sample_images(seen):
    """The images of batches, in order, as bytes."""
    return [image.tobytes() for images, _ in seen for image in images]


def test_every_epoch_shows_every_image_once_in_another_order(digits_set):
    seen = sample_images(batches(digits_set, 20))        # two epochs of 49 images, and two more
    first, second = seen[:49], seen[49:98]
    assert collections.Counter(first) == collections.Counter(second) and len(set(first)) > 45
    assert first != second
    assert sample_images(batches(digits_set, 10, seed=2)) != seen[:50]


@pytest.mark.parametrize('threads', [1, 4])
@pytest.mark.parametrize('style', ['inception', 'vgg', 'cifarnet'])
def test_a_later_start_sees_what_an_earlier_one_would_have_seen(digits_set, style, threads):
    inputs = dict(style=style, size=32, channels=3)
    through = batches(digits_set, 14, **inputs)
    later = batches(digits_set, 3, step=11, threads=threads, **inputs)      # past the first epoch
    for (images, labels), (others, other_labels) in zip(through[11:], later):
        assert np.array_equal(images, others) and np.array_equal(labels, other_labels)
    assert len(set(sample_images(through))) > 49         # augmented anew each time


def test_labels_stay_with_their_images_and_the_offset_is_taken_off(digits_set):
    images, labels, names = evaluated(digits_set)
    label_of = {image.tobytes(): label for image, label in zip(images, labels)}
    for seen, given in batches(digits_set, 12):
        assert [label_of[image.tobytes()] for image in seen] == list(given)
    assert all(digits_set.class_names[label] == name.decode().split('/')[0] for label, name in zip(labels, names))
    assert np.array_equal(evaluated(digits_set, labels_offset=1)[1], labels - 1)


def evaluated(dataset, **inputs):
    """(images, labels, names) of all evaluation batches."""
    with tf.Graph().as_default(), tf.Session() as session:
        batch, found = input_pipeline.evaluation_batches(dataset, Input('lenet', 28, 1, **inputs), BATCH), []
        while True:
            try:
                found.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                return [np.concatenate(part) for part in zip(*found)]


def test_evaluation_shows_every_image_exactly_once(digits_set):
    images, labels, names = evaluated(digits_set)
    assert images.shape == (49, 28, 28, 1) and images.dtype == np.float32 and len(set(names)) == 49
    assert list(np.bincount(labels)) == digits_set.per_class


def test_a_shuffle_that_memory_does_not_hold_still_shows_every_image(digits_set, monkeypatch):
    monkeypatch.setattr(input_pipeline, 'SHUFFLE_BYTES', 4000)
    seen = sample_images(batches(digits_set, 20))
    assert collections.Counter(seen[:49]) == collections.Counter(seen[49:98])


