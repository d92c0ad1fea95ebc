"""What decoding at half the size would change: `python -m benchmarks.reduced DATA IMAGE …` prints a line.

DATA holds the real weights of mobilenet_v1. Inception's evaluation reads single pixels; an image whose pixels
are averages of two times two is another image to it.
"""
import os
import sys

import numpy as np
from PIL import Image

from slimtune import options
from slimtune.checkpoints import restored_model
from slimtune.images import prepare
from slimtune.images.model_input import Input
from slimtune.inference import agreement, engines

NET, WEIGHTS, SIZE = 'mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal.ckpt', 224


def main(data, paths):
    """Compares the logits of images decoded whole and at half their size."""
    checkpoint = os.path.join(data, 'weights', WEIGHTS)
    loaded = restored_model.load(checkpoint, options.Net(model_name=NET), image_size=SIZE)
    running = engines.load(restored_model.freeze(loaded))
    whole, half = (running.run(np.stack([prepared(path, scale) for path in paths]))[0] for scale in (1, 2))
    moved = np.abs(half - whole).max() / np.abs(whole).max()
    changed = (half.argmax(1) != whole.argmax(1)).sum()
    print(f'half-size decoding changed {changed} of {len(paths)} predictions and moved a logit by up to '
          f'{moved:.0%} of the largest ({NET}, real weights; allowed: {agreement.LARGEST_ERROR:.0%})')


def prepared(path, scale):
    """An image as the net's input, decoded at 1 / scale of its size: float32 [SIZE, SIZE, 3]."""
    with Image.open(path) as image:
        image.draft('RGB', tuple(side // scale for side in image.size))
        return prepare.evaluate_pixels(np.asarray(image), Input('inception', SIZE))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
