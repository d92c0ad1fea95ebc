"""Folders of images that no two tests share, and the command in this process."""
import functools
import random

import pytest
from PIL import Image


def _noise(seed, size=(20, 16), mode='RGB'):
    """An image that no other seed gives."""
    rng = random.Random(seed)
    image = Image.new(mode, size)
    image.putdata([tuple(rng.randrange(256) for _ in image.getbands()) if len(image.getbands()) > 1
                   else rng.randrange(256) for _ in range(size[0] * size[1])])
    return image


@pytest.fixture
def pic(tmp_path):
    """Makes the folder pic with so many JPEGs in each of its subfolders: pic({'train/a': 3}) -> its path."""
    def make(counts, where='pic', ending='.jpg', mode='RGB'):
        root = tmp_path / where
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for n in range(count):
                _noise('%s %d' % (folder, n), mode=mode).save(str(root / folder / ('%d%s' % (n, ending))))
        return root
    return make


@pytest.fixture
def convert(said_by):
    """Runs `slimtune convert`: convert(words...) -> what it says. code: the exit code expected."""
    return functools.partial(said_by, 'convert')


@pytest.fixture
def noise():
    """An image that no other seed gives: noise(seed, size, mode)."""
    return _noise
