"""The reader of evaluation's records that builds a TensorFlow graph, and the steps that training shares."""
from slimtune.preprocessing.evaluation import evaluation, scaled_side
from slimtune.runtime import tf

#: Where the sides of an image differ by more than this factor, only its crop is resized: 4000 x 2 pixels
#: would become 512,000 x 256. For other images TensorFlow's own kernel takes half the time.
NEEDLE = 8


def evaluate_image(style, image, height, width, **options):
    """Prepares one image for a net, in the graph.

    image: uint8 [h, w, channels]. options: evaluation.evaluation's. Returns float32 [height, width,
    channels].
    """
    record = evaluation(style, **options)
    # An image that is float already is 0..1 to inception, as in slim.
    unit = 1 / image.dtype.max if record.unit and image.dtype.is_integer else 1
    if record.grey:
        image = to_grey(tf.cast(image, tf.float32))
    if record.central_fraction:
        image = tf.image.central_crop(image, record.central_fraction)
    if record.side:
        side = scaled_side(record.side, height, width)
        image = crop_resized(image, side, height, width, lambda sides: (sides - [height, width]) // 2)
    elif record.fit == 'resize':
        image = resize(image, height, width)
    else:
        image = tf.image.resize_image_with_crop_or_pad(image, height, width)
    # Only now float: of the whole image that takes as long as decoding it.
    image = (tf.cast(image, tf.float32) * unit - record.mean) * record.factor
    return tf.image.per_image_standardization(image) if record.standardize else image


def to_grey(image):
    """Returns a float image [h, w, 3] as [h, w, 1]; one that has a single channel is left alone."""
    return image if image.shape[2] == 1 else tf.image.rgb_to_grayscale(image)


def resize(image, height, width):
    """Returns an image as float [height, width, channels], version 1's bilinear way."""
    return tf.squeeze(tf.image.resize_bilinear(tf.expand_dims(image, 0), [height, width]), [0])


def crop_resized(image, side, height, width, corner):
    """Resizes an image, the aspect kept, and crops it: float32 [height, width, channels].

    side: pixels of the shorter side, an int or a scalar. corner: a function of the resized sides, int32 [2],
    that returns the crop's (top, left), int32 [2].
    """
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    sides = tf.cast(tf.rint(sides * (tf.cast(side, tf.float32) / tf.reduce_min(sides))), tf.int32)
    top, left = tf.unstack(corner(sides))
    crop = tf.cond(
        tf.reduce_max(sides) > NEEDLE * tf.reduce_min(sides),
        lambda: _resize_window(image, sides, top, left, height, width),
        lambda: resize(image, sides[0], sides[1])[top:top + height, left:left + width])
    return tf.ensure_shape(crop, [height, width, image.shape[2]])


def _resize_window(image, sides, top, left, height, width):
    """A window of the resized image, from the pixels that it needs; bit for bit what `resize` gives there."""
    rows, columns, channels = tf.unstack(tf.shape(image))

    def neighbours(size, new_size, start, count):
        scale = tf.cast(size, tf.float32) / tf.cast(new_size, tf.float32)
        place = tf.cast(start + tf.range(count), tf.float32) * scale
        before = tf.minimum(tf.cast(place, tf.int32), size - 1)
        return before, tf.minimum(before + 1, size - 1), place - tf.cast(before, tf.float32)

    above, below, down = neighbours(rows, sides[0], top, height)
    before, after, across = neighbours(columns, sides[1], left, width)
    pixels = tf.reshape(image, [rows * columns, channels])

    def along(row):
        start, end = (tf.cast(tf.gather(pixels, row[:, None] * columns + column), tf.float32)
                      for column in (before, after))
        return start + (end - start) * across[:, None]

    upper = along(above)
    return upper + (along(below) - upper) * down[:, None, None]
