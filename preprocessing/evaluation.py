"""How each style prepares an image for evaluation, as a record, and its reader that needs numpy alone.

graph.py reads the same records into a TensorFlow graph. The figures are slim's.
"""
from dataclasses import dataclass, replace
from typing import Optional, Tuple

import numpy as np

#: The share of red, green and blue in grey, as tf.image.rgb_to_grayscale has it.
GREY = (0.2989, 0.5870, 0.1140)


@dataclass(frozen=True)
class Evaluation:
    """What happens to an image of 0..255, in this order."""

    grey: bool = False                          # made grey
    unit: bool = False                          # pixels become 0..1
    central_fraction: Optional[float] = None    # the middle of each side that is kept
    side: Optional[int] = None                  # what the shorter side is resized to, the aspect kept
    fit: str = 'crop_or_pad'                    # to the output's size: 'crop_or_pad' (the middle) or 'resize'
    mean: Tuple[float, ...] = (0.0,)            # subtracted, by channel
    factor: float = 1.0                         # then multiplied by
    standardize: bool = False                   # to mean 0 and deviation 1 of the image itself


RECORDS = {
    'inception': Evaluation(unit=True, central_fraction=0.875, fit='resize', mean=(0.5,), factor=2.0),
    'vgg': Evaluation(side=256, mean=(123.68, 116.78, 103.94)),     # ImageNet's means
    'lenet': Evaluation(mean=(128.0,), factor=1 / 128),
    'cifarnet': Evaluation(standardize=True),
}


def evaluation(style, use_grayscale=False, crop_image=True, resize_side_min=None):
    """Returns the style's record.

    crop_image=False: the whole image (inception). resize_side_min: side (vgg).
    """
    record = RECORDS[style]
    if use_grayscale:
        mean = record.mean if len(record.mean) == 1 else (float(np.dot(GREY, record.mean)),)
        record = replace(record, grey=True, mean=mean)
    if not crop_image:
        record = replace(record, central_fraction=None)
    return replace(record, side=resize_side_min) if record.side and resize_side_min else record


def scaled_side(side, height, width, at_least=None):
    """Returns the pixels that an image's shorter side is resized to before it is cropped to height x width.

    It is `side` where `at_least` (by default `side`) holds the output, as in slim; larger outputs, which slim
    refuses, get it in proportion to the 224 it is meant for.
    """
    size = max(height, width)
    return side if size <= (at_least or side) else max(size, int(round(side * size / 224)))


def evaluate_array(style, array, height, width, **options):
    """Prepares one image for a net without TensorFlow.

    array: uint8 [h, w, channels]. options: evaluation's. Returns float32 [height, width, channels], what
    graph.evaluate_image gives but for the last bits.
    """
    record = evaluation(style, **options)
    if record.grey and array.shape[2] == 3:
        array = np.dot(array.astype(np.float32), np.array(GREY, np.float32))[:, :, None]
    if record.central_fraction:
        cut = (1 - record.central_fraction) / 2
        array = _middle(array, *(side - 2 * int(side * cut) for side in array.shape[:2]))
    if record.side:
        # float32 as in the graph: it decides which way a half is rounded.
        sides = np.array(array.shape[:2], np.float32)
        sides *= np.float32(scaled_side(record.side, height, width)) / sides.min()
        sides = np.rint(sides).astype(int)
        # Only the part that the crop keeps: of 4000 x 2 pixels, the whole would be 512,000 x 256.
        array = _resize_bilinear(array, sides, (sides - [height, width]) // 2, (height, width))
    if record.fit == 'resize':
        array = _resize_bilinear(array, (height, width), (0, 0), (height, width))
    else:
        array = _crop_or_pad(array, height, width)
    image = array.astype(np.float32, copy=False)        # resized or cropped: a copy already
    if record.unit:
        image *= np.float32(1 / 255)
    image = image - np.array(record.mean, np.float32)
    image *= np.float32(record.factor)
    if record.standardize:
        image -= image.mean(dtype=np.float64)
        image /= max(image.std(dtype=np.float64), image.size ** -0.5)
    return image


def _middle(array, height, width):
    """The central height x width pixels of an array that is at least as large."""
    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
    return array[top:top + height, left:left + width]


def _crop_or_pad(array, height, width):
    """The central height x width pixels, with zeros around a smaller array."""
    array = _middle(array, min(height, array.shape[0]), min(width, array.shape[1]))
    padding = [(missing // 2, missing - missing // 2)
               for missing in (height - array.shape[0], width - array.shape[1])]
    return np.pad(array, padding + [(0, 0)], 'constant')


def _resize_bilinear(array, sides, corner, window):
    """A window of what tf.image.resize_bilinear of version 1 gives: corners and pixel centres not aligned.

    sides: (height, width) that the whole array is resized to. corner: (top, left) of the window. window: its
    (height, width). Returns float32. Only the rows and columns that count are read, each once, so that a
    large image costs what a small one does.
    """
    height = window[0]

    def neighbours(size, new_size, start, count):
        place = np.arange(start, start + count).astype(np.float32) * (np.float32(size) / np.float32(new_size))
        before = np.minimum(place.astype(int), size - 1)
        return before, np.minimum(before + 1, size - 1), place - before.astype(np.float32)

    (above, below, down), (left, right, across) = map(neighbours, array.shape, sides, corner, window)

    def between(start, end, share):
        end -= start
        end *= share
        end += start
        return end

    needed, places = np.unique(np.concatenate([above, below]), return_inverse=True)
    rows = array[needed]
    rows = between(rows[:, left].astype(np.float32), rows[:, right].astype(np.float32), across[:, None])
    return between(rows[places[:height]], rows[places[height:]], down[:, None, None])
