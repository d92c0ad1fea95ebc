"""Augmentation: a thousand draws against slim's ranges and their means, repeatable from the key."""
import io

import numpy as np
import pytest
from PIL import Image

from slimtune.errors import UserError
from slimtune.preprocessing import training
from slimtune.preprocessing.evaluation import evaluate_array
from slimtune.preprocessing.preprocessing_factory import STYLES, get_preprocessing
from slimtune.runtime import tf


def assert_uniform(draws, low, high, beyond=1e-3):
    """Draws fill low..high evenly, to both ends: none is outside by more than the share `beyond`."""
    draws, span = np.asarray(draws, float), high - low
    assert draws.min() >= low - beyond * span and draws.max() <= high + beyond * span
    # That none of n even draws falls into an outer 10/n happens once in 20,000 times; four standard errors
    # are as rare.
    assert draws.min() <= low + 10 / len(draws) * span and draws.max() >= high - 10 / len(draws) * span
    assert abs(draws.mean() - (low + high) / 2) < 4 * span / np.sqrt(12 * len(draws))
    quartiles = low + span * np.array([.25, .75])
    np.testing.assert_allclose(np.percentile(draws, [25, 75]), quartiles, 0, .06 * span)


def assert_a_fair_coin(heads):
    assert abs(np.mean(heads) - 0.5) < 4 * 0.5 / np.sqrt(len(heads))


def slims_windows(shape, boxes, count):
    """Windows (top, left, height, width) that TensorFlow's own op draws with slim's arguments."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)

        def draw(_):
            begin, size, _ = tf.image.sample_distorted_bounding_box(
                shape, boxes, seed=3, min_object_covered=0.1, aspect_ratio_range=(0.75, 1.33),
                area_range=(0.05, 1.0), max_attempts=100, use_image_if_no_bounding_boxes=True)
            return tf.concat([begin[:2], size[:2]], 0)
        return session.run(tf.map_fn(draw, tf.zeros([count], tf.int32)))


def areas_and_aspects(windows, shape):
    """The windows' share of the image and width / height, two arrays."""
    height, width = windows[:, 2].astype(float), windows[:, 3].astype(float)
    return height * width / (shape[0] * shape[1]), width / height


def covered(windows, shape, box):
    """The share of the box that each window holds."""
    ymin, xmin, ymax, xmax = np.array(box) * (shape[0], shape[1], shape[0], shape[1])
    tall = np.minimum(windows[:, 0] + windows[:, 2], ymax) - np.maximum(windows[:, 0], ymin)
    wide = np.minimum(windows[:, 1] + windows[:, 3], xmax) - np.maximum(windows[:, 1], xmin)
    return np.maximum(tall, 0) * np.maximum(wide, 0) / ((ymax - ymin) * (xmax - xmin))


@pytest.mark.parametrize('shape', [(333, 500, 3), (480, 300, 3), (40, 40, 3)], ids='{0[0]}x{0[1]}'.format)
@pytest.mark.parametrize('boxes', [
    [[0, 0, 1, 1]], [[.6, .1, .8, .2]], [[.1, .1, .2, .3], [.7, .6, .9, .95]], []],
                         ids=['whole', 'one', 'two', 'none'])
def test_crops_are_those_of_slim(shape, boxes, augment, keys):
    boxes = np.array(boxes, np.float32).reshape(1, -1, 4)
    windows = augment(lambda key: training.window(shape, key, boxes), keys)
    top, left, height, width = windows.T
    assert (windows[:, :2] >= 0).all()
    assert (top + height <= shape[0]).all() and (left + width <= shape[1]).all()
    area, aspect = measures = areas_and_aspects(windows, shape)
    assert area.min() >= 0.05
    # Sides are whole pixels: half a pixel decides how far the aspect may be off.
    assert ((aspect >= 0.75 - 0.5 / height) & (aspect <= 1.33 + 0.5 / height) | (area == 1)).all()
    assert (np.max([covered(windows, shape, box) for box in boxes[0]] or [area], 0) > 0.1 - 0.02).all()

    expected = slims_windows(shape, boxes, 4000)
    half_a_pixel = 0.5      # slim never takes the last place at the right and at the bottom
    pairs = list(zip(windows.T, expected.T, [half_a_pixel] * 4))
    for ours, theirs, slack in pairs + list(zip(measures, areas_and_aspects(expected, shape), [0, 0])):
        error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        assert abs(ours.mean() - theirs.mean()) < 4 * error + slack
        assert abs(ours.std() - theirs.std()) < 0.1 * theirs.std() + slack


def test_without_boxes_a_crop_is_drawn_from_the_whole_image(augment, keys):
    windows = augment(lambda key: training.window((333, 500, 3), key), keys)
    np.testing.assert_array_equal(windows, augment(lambda key: training.window((333, 500, 3), key,
                                                                               tf.zeros([1, 0, 4])), keys))


def test_an_image_too_narrow_for_any_crop_is_taken_whole(augment, keys):
    assert (augment(lambda key: training.window((1000, 10, 3), key), keys) == [0, 0, 1000, 10]).all()


def test_inception_mirrors_and_distorts_colours(augment, keys):
    # Two halves of one colour each, of which the left is the brighter: both survive the distortion unclipped.
    colours = np.array([[150, 120, 90], [100, 80, 60]], np.uint8)
    sample_image = np.repeat(colours, 8, 0)[None].repeat(16, 0)
    train = get_preprocessing('inception', is_training=True)
    images = augment(lambda key: train(tf.constant(sample_image), 16, 16, key=key, crop_image=False), keys)
    images = images / 2 + 0.5
    mirrored = images[:, 8, 0].max(1) < images[:, 8, -1].max(1)
    images[mirrored] = images[mirrored, :, ::-1]
    bright = images[:, 8, 0]
    brightness = bright.max(1) - 150 / 255
    # Brightness moves all channels, then saturation moves the lower ones away from the highest.
    spread = (bright.max(1) - bright.min(1)) / ((150 - 90) / 255)
    assert_a_fair_coin(mirrored)
    assert_uniform(brightness, -32 / 255, 32 / 255)
    assert_uniform(spread, 0.5, 1.5)
    draws = np.stack([mirrored, brightness, spread])
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 4 / np.sqrt(len(keys))


def ramp(height, width):
    """An image that says of every pixel where it was: red is its column, green its row, blue nothing."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)


@pytest.mark.parametrize('size, low, high', [(224, 256, 512), (448, 512, 1024)])
def test_vgg_resizes_crops_and_mirrors(size, low, high, augment, keys):
    train = get_preprocessing('vgg', is_training=True)
    sample_image = ramp(120, 160)

    def grid(key):      # small enough to keep a thousand
        return train(tf.constant(sample_image), size, size, key=key)[16::64, 16::64]
    images = augment(grid, keys[:300 if size > 224 else 1000]) + np.array([123.68, 116.78, 103.94])
    assert np.abs(images[..., 2]).max() < 1e-3
    columns, rows = images[:, 1, :, 0], images[:, :, 1, 1]
    mirrored = columns[:, 0] > columns[:, 1]
    columns[mirrored] = columns[mirrored, ::-1]
    sides = np.round(120 * 64 / (rows[:, 1] - rows[:, 0]))
    assert_uniform(sides, low, high)
    assert_a_fair_coin(mirrored)
    # Where the crop lies, as a share of the way it could move, from where the first pixel kept of it was.
    first_of_mirrored = size - 1 - (16 + 64 * (images.shape[1] - 1))
    top = (rows[:, 0] * sides / 120 - 16) / (sides - size)
    first = np.where(mirrored, first_of_mirrored, 16)
    left = (columns[:, 0] * sides / 120 - first) / (sides * 160 / 120 - size)
    assert_uniform(top[sides > low * 1.25], 0, 1, beyond=0.02)
    assert_uniform(left[sides > low * 1.25], 0, 1, beyond=0.02)


def test_vggs_sides_can_be_given(augment, keys):
    train = get_preprocessing('vgg', is_training=True)
    images = augment(lambda key: train(tf.constant(ramp(120, 120)), 64, 64, key=key, resize_side_min=120,
                                       resize_side_max=120), keys[:20])
    steps = np.abs(np.diff(images[..., 0], axis=2))
    np.testing.assert_allclose(steps, 1, 0, 1e-3)


def test_cifarnet_pads_crops_and_mirrors(augment, keys):
    sample_image = np.zeros([32, 32, 3], np.uint8)
    sample_image[16, 10] = 255       # a star that shows where the crop is: right of the middle if mirrored
    train = get_preprocessing('cifarnet', is_training=True)
    images = augment(lambda key: train(tf.constant(sample_image), 32, 32, key=key), keys)
    rows, columns = np.divmod(images[..., 0].reshape(len(keys), -1).argmax(1), 32)
    mirrored = columns > 16
    assert_a_fair_coin(mirrored)
    for offsets in (16 + 4 - rows, 10 + 4 - np.where(mirrored, 31 - columns, columns)):
        counts = np.bincount(offsets)
        assert len(counts) == 9
        assert np.abs(counts - len(keys) / 9).max() < 4 * np.sqrt(len(keys) / 9)


def test_cifarnet_changes_contrast(augment, keys):
    # Red has stripes of 100 and 140, blue is 60: contrast moves the stripes apart and leaves the channels'
    # means.
    sample_image = np.full([900, 900, 3], 60, np.uint8)
    sample_image[::2, :, 0], sample_image[1::2, :, 0] = 100, 140
    train = get_preprocessing('cifarnet', is_training=True)
    images = augment(lambda key: train(tf.constant(sample_image), 32, 32, key=key), keys).astype(float)
    np.testing.assert_allclose(images.mean((1, 2, 3)), 0, 0, 1e-3)
    np.testing.assert_allclose(images.std((1, 2, 3)), 1, 0, 1e-3)
    inside = images[..., 2].std((1, 2)) < 1e-6     # no padding in the crop
    assert inside.mean() > 0.95
    red, blue = images[inside, ..., 0], images[inside, ..., 2]
    assert_uniform(red.std((1, 2)) / (red.mean((1, 2)) - blue.mean((1, 2))) / (20 / 60), 0.2, 1.8)


@pytest.mark.parametrize('style', STYLES)
def test_the_same_key_draws_the_same_and_another_another(style, augment, keys, sample_image):
    train = get_preprocessing(style, is_training=True)
    array = sample_image(60, 70)

    def build(key):
        return train(tf.constant(array), 28, 28, key=key)
    first, again = augment(build, keys[:40]), augment(build, keys[:40][::-1])[::-1]
    np.testing.assert_array_equal(first, again)
    other_seed = augment(build, keys[:40] + np.array([1, 0]))
    if style == 'lenet':    # which draws nothing
        np.testing.assert_array_equal(first, other_seed)
        np.testing.assert_allclose(first[0], evaluate_array('lenet', array, 28, 28), 0, 1e-6)
    else:
        assert len(np.unique(np.concatenate([first, other_seed]).reshape(80, -1), axis=0)) == 80


@pytest.mark.parametrize('style', STYLES)
def test_slims_scripts_call_it_without_a_key(style, run, sample_image):
    train = get_preprocessing(style, is_training=True)
    first, second = run(lambda image: [train(image, 28, 28, add_image_summaries=False) for _ in range(2)],
                        sample_image(60, 70))
    assert np.array_equal(first, second) == (style == 'lenet')


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('use_grayscale', [False, True], ids=['colour', 'grey'])
def test_any_image_gives_any_size_in_the_range_of_evaluation(style, use_grayscale, run, sample_image):
    train = get_preprocessing(style, is_training=True, use_grayscale=use_grayscale)
    ranges = {'inception': (-1, 1), 'vgg': (-124, 152), 'lenet': (-1, 1), 'cifarnet': (-600, 600)}
    lowest, highest = ranges[style]
    for height, width in [(1, 1), (333, 500), (19, 23), (24, 24), (7, 90)]:
        for size in [(32, 32), (299, 299), (33, 60)]:
            image, = run(lambda image: [train(image, *size, key=tf.constant([1, 2], tf.int64))],  # noqa: B023
                         sample_image(height, width))
            assert image.dtype == np.float32
            assert image.shape == size + (1 if use_grayscale else 3,)
            assert lowest <= image.min() and image.max() <= highest


def test_batches_know_their_shape(sample_image):
    for style in STYLES:
        with tf.Graph().as_default():
            for is_training in (True, False):
                image = tf.placeholder(tf.uint8, [None, None, 3])
                answer = get_preprocessing(style, is_training=is_training)(image, 32, 40)
                assert answer.shape.as_list() == [32, 40, 3]


@pytest.mark.parametrize('options', [{}, {'subsampling': 0}, {'progressive': True}], ids=str)
def test_cropping_while_decoding_gives_the_same_image(options, augment, keys, sample_image):
    array = sample_image(333, 500)
    array = array // 2 + np.random.RandomState(0).randint(0, 128, array.shape).astype(np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(array).save(jpeg, 'JPEG', quality=90, **options)
    train = get_preprocessing('inception', is_training=True)

    def both(key):
        encoded = tf.constant(jpeg.getvalue())
        decoded = tf.image.decode_jpeg(encoded, 3, dct_method='INTEGER_ACCURATE')
        return (train(decoded, 64, 64, key=key),
                train(train.crop_jpeg(encoded, key), 64, 64, key=key, crop_image=False))
    decoded, cropped = augment(both, keys[:300])
    np.testing.assert_array_equal(cropped, decoded)


def test_slow_mode_is_refused(sample_image):
    with pytest.raises(UserError, match='fast_mode'):
        get_preprocessing('inception', is_training=True)(sample_image(9, 9), 8, 8, fast_mode=False)
