"""Computed images, and one way to run a preprocessing in a graph of its own."""
import numpy as np
import pytest

from slimtune.runtime import tf


def computed_image(height, width, channels=3):
    """The image of the reference: waves, another for each channel, and one flat rectangle."""
    y, x = np.mgrid[:height, :width].astype(float)
    image = np.stack([127.5 + 127.5 * np.sin(x / (7 + 3 * k)) * np.cos(y / (11 + 2 * k))
                      for k in range(channels)], 2)
    image[height // 4:height // 2, width // 3:width // 2] = (230, 40, 90)[:channels]
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


@pytest.fixture
def sample_image():
    return computed_image


@pytest.fixture
def run():
    """run(build, *arrays): what build(*tensors) gives; the graph does not know heights and widths."""
    def run(build, *arrays):
        with tf.Graph().as_default(), tf.Session() as session:
            tensors = [tf.placeholder(array.dtype, (None, None) + array.shape[2:]) for array in arrays]
            return session.run(build(*tensors), dict(zip(tensors, arrays)))
    return run


@pytest.fixture
def augment():
    """augment(build, keys): build(key) for each row of keys int64 [n, 2], as an input pipeline runs it."""
    def augment(build, keys):
        with tf.Graph().as_default(), tf.Session() as session:
            pipeline = tf.data.Dataset.from_tensor_slices(tf.constant(keys, tf.int64))
            pipeline = pipeline.map(build, 2).batch(len(keys))
            return session.run(tf.data.make_one_shot_iterator(pipeline).get_next())
    return augment


@pytest.fixture
def keys():
    """A thousand keys of one seed."""
    return np.stack([np.full(1000, 7), np.arange(1000)], 1)
