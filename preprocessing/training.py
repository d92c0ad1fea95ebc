"""How each style augments an image for training: what slim's train script does, drawn from a key.

A key is an int64 tensor [2] that the caller mixes from seed, image and epoch. Nothing else decides what is
drawn, so a run repeats from its seed, in whatever order its threads work. Every function takes one uint8
image [h, w, 3] and returns float32 [height, width, channels] in the range of the style's evaluation. Without
a key one is drawn. The functions of the styles are named for them; the figures are slim's.
"""
from slimtune.errors import UserError
from slimtune.preprocessing.evaluation import evaluation, scaled_side
from slimtune.preprocessing.graph import crop_resized, evaluate_image, resize, to_grey
from slimtune.runtime import tf

#: The crop of Szegedy et al. 2014 (section 6) with slim's figures: share of the image's area, width / height,
#: the share of some object's box that it must hold, and how often it is tried before the whole image is
#: taken.
AREA = (0.05, 1.0)
ASPECT = (0.75, 1.33)
OBJECT_COVERED = 0.1
ATTEMPTS = 100


def window(shape, key, bbox=None):
    """Draws inception's crop as int32 [4]: top, left, height, width in pixels.

    shape: the image's (height, width, channels), a tensor. bbox: [1, n, 4] boxes of objects as shares of the
    image (ymin, xmin, ymax, xmax); none stands for one box around the whole image, so that less than a tenth
    of the area is then never taken. All attempts are drawn at once and the first that fits is taken: the
    distribution of tf.image.sample_distorted_bounding_box, which cannot take its seed from a tensor.
    """
    sides = tf.cast(shape[:2], tf.float32)
    area = sides[0] * sides[1]
    aspect, size, down, across = tf.unstack(tf.random.stateless_uniform([4, ATTEMPTS], key))
    aspect = ASPECT[0] + aspect * (ASPECT[1] - ASPECT[0])
    # Height is uniform from the smallest area's to the largest whose width, rounded, fits into the image.
    lowest, highest = (tf.rint(tf.sqrt(limit * area / aspect)) for limit in AREA)
    highest = tf.minimum(tf.minimum(highest, tf.floor((sides[1] + 0.4999) / aspect)), sides[0])
    lowest = tf.minimum(lowest, highest)
    height = lowest + tf.floor(size * (highest - lowest + 1))
    width = tf.rint(height * aspect)
    top, left = tf.floor(down * (sides[0] - height + 1)), tf.floor(across * (sides[1] - width + 1))

    fits = (height * width >= AREA[0] * area) & (height >= 1) & (width >= 1) & (width <= sides[1])
    fits &= _holds_an_object(top, left, height, width, sides, bbox)
    first = tf.argmax(tf.cast(fits, tf.int32))
    drawn = tf.stack([top, left, height, width])[:, first]
    whole = tf.concat([[0.0, 0.0], sides], 0)
    return tf.cast(tf.where(fits[first], drawn, whole), tf.int32)


def crop_jpeg(encoded, key, bbox=None):
    """Decodes no more of a JPEG than the crop that `window` draws: uint8 [height, width, 3], and then
    `inception` with crop_image=False and the same key gives, bit for bit, what it gives for the whole image.
    """
    shape = tf.image.extract_jpeg_shape(encoded)
    top, left, height, width = tf.unstack(window(shape, key, bbox))
    # One column more on either side: the decoder smooths colours across columns, but not beyond what it is
    # asked for.
    before, after = tf.minimum(left, 1), tf.minimum(shape[1] - left - width, 1)
    crop = [top, left - before, height, before + width + after]
    image = tf.image.decode_and_crop_jpeg(encoded, crop, channels=3, dct_method='INTEGER_ACCURATE')
    return image[:, before:before + width]


def _holds_an_object(top, left, height, width, sides, bbox):
    """Which of the windows [ATTEMPTS] hold OBJECT_COVERED of at least one box: bool [ATTEMPTS]."""
    boxes = tf.zeros([0, 4]) if bbox is None else tf.reshape(bbox, [-1, 4])
    whole = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    boxes = tf.concat([boxes, whole[:tf.cast(tf.equal(tf.shape(boxes)[0], 0), tf.int32)]], 0)
    ymin, xmin, ymax, xmax = tf.unstack(tf.floor(boxes * tf.concat([sides, sides], 0)), axis=1)
    tall = tf.minimum((top + height)[:, None], ymax) - tf.maximum(top[:, None], ymin)
    wide = tf.minimum((left + width)[:, None], xmax) - tf.maximum(left[:, None], xmin)
    covered = tf.maximum(tall, 0) * tf.maximum(wide, 0)
    areas = (ymax - ymin) * (xmax - xmin)
    return tf.reduce_any((covered >= OBJECT_COVERED * areas) & (areas >= 1), 1)


def inception(image, height, width, use_grayscale=False, key=None, bbox=None, fast_mode=True,
              crop_image=True):
    """Crop (see `window`), resize, mirror, brightness by up to 32/255, saturation by 0.5 to 1.5; -1 to 1.

    crop_image=False leaves the crop out, as in slim, or does what follows `crop_jpeg`.
    """
    if not fast_mode:
        raise UserError('fast_mode=False is not supported: leave it out to augment as slim trains')
    key = _new_key() if key is None else key
    if crop_image:
        top, left, crop_height, crop_width = tf.unstack(window(tf.shape(image), key, bbox))
        image = image[top:top + crop_height, left:left + crop_width]
    mirrored, brightness, saturation = _draws(key, 3)
    image = resize(tf.image.convert_image_dtype(image, tf.float32), height, width)
    image = _mirror(image, mirrored) + _between(-32 / 255, 32 / 255, brightness)
    image = tf.image.adjust_saturation(image, _between(0.5, 1.5, saturation))
    image = tf.clip_by_value(image, 0.0, 1.0)
    record = evaluation('inception')
    return ((to_grey(image) if use_grayscale else image) - record.mean) * record.factor


def vgg(image, height, width, use_grayscale=False, key=None, resize_side_min=256, resize_side_max=512):
    """Shorter side to resize_side_min to _max pixels, both included, crop, mirror, less ImageNet's means."""
    side, top, left, mirrored = _draws(_new_key() if key is None else key, 4)
    low = scaled_side(resize_side_min, height, width, resize_side_min)
    high = scaled_side(resize_side_max, height, width, resize_side_min)
    image = crop_resized(image, tf.floor(_between(low, high + 1, side)), height, width,
                         lambda sides: _corner(sides, height, width, top, left))
    image = _mirror(image, mirrored)
    return (to_grey(image) if use_grayscale else image) - evaluation('vgg', use_grayscale).mean


def cifarnet(image, height, width, use_grayscale=False, key=None):
    """Zeros around it, 4 or as many as the size needs, crop, mirror, brightness, contrast; standardized."""
    top, left, mirrored, brightness, contrast = _draws(_new_key() if key is None else key, 5)
    image = tf.cast(image, tf.float32)
    image = to_grey(image) if use_grayscale else image
    sides = tf.shape(image)[:2]
    above, before = tf.unstack(tf.maximum(4, ([height, width] - sides + 1) // 2))
    image = tf.image.pad_to_bounding_box(image, above, before, sides[0] + 2 * above, sides[1] + 2 * before)
    image = _mirror(_crop(image, height, width, top, left), mirrored)
    # sic: standardizing takes the brightness out again.
    image = tf.image.adjust_contrast(image + _between(-63, 63, brightness), _between(0.2, 1.8, contrast))
    return tf.image.per_image_standardization(image)


def lenet(image, height, width, use_grayscale=False, key=None):
    """What evaluation does: nothing is drawn, in slim either."""
    return evaluate_image('lenet', image, height, width, use_grayscale=use_grayscale)


def _new_key():
    return tf.random.uniform([2], maxval=tf.int64.max, dtype=tf.int64)


def _draws(key, count):
    """`count` independent scalars of 0..1.

    The key is moved by more than a caller counts, away from window's draws.
    """
    return tf.unstack(tf.random.stateless_uniform([count], key + tf.constant([0, 1 << 62], tf.int64)))


def _between(low, high, draw):
    return low + (high - low) * draw


def _mirror(image, draw):
    return tf.cond(draw < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def _crop(image, height, width, top, left):
    """The height x width window at the drawn shares (0..1) of the way down and across."""
    top, left = tf.unstack(_corner(tf.shape(image)[:2], height, width, top, left))
    return tf.ensure_shape(image[top:top + height, left:left + width], [height, width, None])


def _corner(sides, height, width, top, left):
    """The (top, left), int32 [2], of a height x width window at the drawn shares (0..1) down and across."""
    return tf.cast([top, left] * tf.cast(sides - [height, width] + 1, tf.float32), tf.int32)
