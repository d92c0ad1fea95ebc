"""The reader of evaluation's records that builds a TensorFlow graph, and the steps that training shares with it."""
from slimtune.preprocessing.evaluation import evaluation, scaled_side
from slimtune.runtime import tf


def evaluate_image(style, image, height, width, **options):
    """Prepares one image for a net, in the graph.

    image: uint8 [h, w, channels]. options: evaluation.evaluation's. Returns float32 [height, width, channels].
    """
    record = evaluation(style, **options)
    # An image that is float already is 0..1 to inception, as in slim.
    unit = 1 / image.dtype.max if record.unit and image.dtype.is_integer else 1
    if record.grey:
        image = to_grey(tf.cast(image, tf.float32))
    if record.central_fraction:
        image = tf.image.central_crop(image, record.central_fraction)
    if record.side:
        image = resize_shorter_side(image, scaled_side(record.side, height, width))
    if record.fit == 'resize':
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


def resize_shorter_side(image, side):
    """Resizes an image so that its shorter side has `side` pixels (an int or a scalar), the aspect kept."""
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    sides = tf.cast(tf.rint(sides * (tf.cast(side, tf.float32) / tf.reduce_min(sides))), tf.int32)
    return resize(image, sides[0], sides[1])
