"""Writes the handwritten digits that scikit-learn contains as FOLDER/CLASS/*.png, 28x28 pixels, greyscale.

    python scripts/digits.py FOLDER 5 6 7 8 9
"""
import os
import sys

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


def write(folder, digits):
    """Writes the images of these digits (numbers 0 to 9) and returns the number of images."""
    data = load_digits()
    written = 0
    for number, (pixels, digit) in enumerate(zip(data.images, data.target)):
        if digit in digits:
            class_folder = os.path.join(folder, NAMES[digit])
            os.makedirs(class_folder, exist_ok=True)
            image = Image.fromarray(np.uint8(np.clip(pixels * 16, 0, 255)))  # 8x8 pixels, values 0 to 16
            image.resize((28, 28), Image.BICUBIC).save(os.path.join(class_folder, f'{number:04d}.png'))
            written += 1
    return written


if __name__ == '__main__':
    print(f'{write(sys.argv[1], set(map(int, sys.argv[2:])))} images in {sys.argv[1]}')
