"""What slim's users bring: train folders that slim wrote, records without a manifest."""
import json
import os
import shutil

import pytest


@pytest.fixture(scope='session')
def flowers(real_data, slimtune_in, tmp_path_factory):
    """A folder of real flowers, flowers/train and flowers/validation, converted in the order of classes that
    slim had."""
    place = tmp_path_factory.mktemp('flowers')
    (place / 'flowers').mkdir()
    for split in ('train', 'validation'):
        os.symlink(os.path.join(real_data, 'flowers', split), str(place / 'flowers' / split))
    shutil.copy(os.path.join(real_data, 'slim_train_dirs', 'label.txt'), str(place / 'flowers'))
    slimtune_in(place)('convert', '-t', 'flowers', '--quiet')
    return place / 'flowers'


@pytest.fixture(scope='session')
def slims(real_data):
    """The folder with what slim's own train script left, and expected.json, what slim's net predicts."""
    return os.path.join(real_data, 'slim_train_dirs')


@pytest.fixture(scope='session')
def expected(slims):
    """expected.json: {name of a run: {'correct', 'of', 'probabilities': {image: [by class]}}}."""
    with open(os.path.join(slims, 'expected.json'), encoding='utf-8') as f:
        return json.load(f)
