"""A small net and images for it, and engines that are wrong by construction."""
import numpy as np
import pytest

from slimtune import options
from slimtune.checkpoints import restored_model


@pytest.fixture(scope='session')
def graph(trained):
    """The frozen lenet of `trained`, and 100 images for it."""
    run = options.load_run(str(trained / 'pic_lenet'))
    loaded = restored_model.load(str(trained / 'pic_lenet'), options.Net(model_name='lenet'), run)
    images = np.random.RandomState(1).uniform(-1, 1, [100, 28, 28, 1]).astype(np.float32)
    return restored_model.freeze(loaded), images
