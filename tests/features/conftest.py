"""Features of a graph that needs no training: the mean of each channel, and the images themselves."""
import pytest

from slimtune.datasets import dataset_factory
from slimtune.features.cache import Part
from slimtune.features.cut import IMAGES, frozen_graph
from slimtune.images.model_input import Input
from slimtune.runtime import tf


@pytest.fixture(scope='session')
def part_of(trained):
    """part_of(scale) gives a Part of the 48 training digits: about 49 kB of features, others per scale."""
    dataset = dataset_factory.get_dataset('pic', 'train', str(trained / 'pic'))

    def make(scale=1.0):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, 16, 16, 1], IMAGES)
            cut = [tf.multiply(images, scale, name='scaled'), tf.reduce_mean(images, [1, 2], name='mean')]
            return Part(frozen_graph(session, images, cut), cut, dataset, Input('lenet', 16, 1))
    return make
