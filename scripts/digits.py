"""Writes the handwritten digits that scikit-learn ships as images: FOLDER/CLASS/*.png, 28 pixels square, grey.

    python scripts/digits.py FOLDER 5 6 7 8 9
"""
import os
import sys

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


def write(folder, digits):
    """Writes the images of `digits` (numbers 0 to 9) and returns how many there are."""
    data = load_digits()
    written = 0
    for number, (image, digit) in enumerate(zip(data.images, data.target)):
        if digit in digits:
            place = os.path.join(folder, NAMES[digit])
            os.makedirs(place, exist_ok=True)
            grey = Image.fromarray(np.uint8(np.clip(image * 16, 0, 255)))       # 8 x 8 pixels of 0 to 16
            grey.resize((28, 28), Image.BICUBIC).save(os.path.join(place, '%04d.png' % number))
            written += 1
    return written


if __name__ == '__main__':
    print('%d images in %s' % (write(sys.argv[1], set(map(int, sys.argv[2:]))), sys.argv[1]))
