"""Evaluation: both readers against values that slim gave on TensorFlow 1.14, and against one another."""
import json
import lzma
import os
import pathlib
import subprocess
import sys

import numpy as np
import peak_memory
import pytest

from slimtune.errors import UserError
from slimtune.nets.nets_factory import NETS
from slimtune.preprocessing import graph
from slimtune.preprocessing.evaluation import evaluate_array
from slimtune.preprocessing.preprocessing_factory import STYLES, get_preprocessing
from slimtune.runtime import tf

with lzma.open(str(pathlib.Path(__file__).parent / 'preprocessing_eval.json.xz'), 'rt') as f:
    REFERENCE = json.load(f)

#: How far the readers may be apart, as a share of the range of the style's values.
RANGE = {'inception': 2, 'vgg': 255, 'lenet': 2, 'cifarnet': 4}
CLOSE = 2e-6


@pytest.fixture(params=['graph', 'array'])
def evaluate(request, run):
    """evaluate(style, array, height, width, **options), by either reader."""
    if request.param == 'array':
        return evaluate_array

    def evaluate(style, array, height, width, use_grayscale=False, **options):
        preprocess = get_preprocessing(style, use_grayscale=use_grayscale)
        return run(lambda image: preprocess(image, height, width, **options), array)
    return evaluate


@pytest.mark.parametrize('expected', REFERENCE, ids='{preprocessing}-{height}x{width}'.format_map)
def test_an_image_is_prepared_as_slim_prepares_it(expected, evaluate, sample_image):
    style, size = expected['preprocessing'], expected['size']
    array = sample_image(expected['height'], expected['width'], expected['channels'])
    image = evaluate(style, array, size, size)
    assert image.dtype == np.float32
    assert list(image.shape) == expected['shape']
    y, x, channel, values = np.array(expected['samples']).T
    close = CLOSE * RANGE[style]
    np.testing.assert_allclose(image[y.astype(int), x.astype(int), channel.astype(int)], values, 0, close)
    whole = image.astype(float)
    np.testing.assert_allclose([whole.mean(), whole.std(), whole.min(), whole.max()],
                               [expected[name] for name in ('mean', 'std', 'min', 'max')], 0, close)


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('options', [{}, {'use_grayscale': True}], ids=['colour', 'grey'])
def test_predict_sees_what_eval_saw_whatever_the_sizes(style, options, run, sample_image):
    preprocess = get_preprocessing(style, **options)
    for height, width in [(1, 1), (333, 500), (97, 41), (7, 300), (300, 7), (640, 427)]:
        for size in [(28, 28), (299, 299), (33, 60)]:
            array = sample_image(height, width)
            expected = run(lambda image: preprocess(image, *size), array)  # noqa: B023
            assert expected.shape == size + (1 if options else 3,)
            # TensorFlow 1.14 takes an image's variance as a difference of float32 means, which loses digits.
            close = 1e-4 if style == 'cifarnet' else CLOSE * RANGE[style]
            np.testing.assert_allclose(evaluate_array(style, array, *size, **options), expected, 0, close)


@pytest.mark.parametrize('height, width', [(2, 200), (200, 2), (23, 190), (1, 77), (100, 3)])
def test_a_needle_is_cropped_before_it_is_resized_with_the_same_result(height, width, run, sample_image,
                                                                       monkeypatch):
    array = sample_image(height, width)

    def evaluate(image):
        return get_preprocessing('vgg')(image, 224, 224)

    def train(image):
        return get_preprocessing('vgg', is_training=True)(image, 224, 224, key=tf.constant([3, 4], tf.int64))
    for prepare in (evaluate, train):
        cropped = run(prepare, array)
        monkeypatch.setattr(graph, 'NEEDLE', 1000)
        np.testing.assert_array_equal(cropped, run(prepare, array))
        monkeypatch.undo()


def test_the_memory_for_a_needle_is_that_of_its_crop():
    """Resized as a whole, 4000 x 2 pixels take 1.6 GB."""
    program = (
        f'import sys; sys.path.insert(0, {os.path.dirname(peak_memory.__file__)!r})\n'
        'import numpy as np\n'
        'from peak_memory import peak_memory\n'
        'from slimtune.preprocessing.evaluation import evaluate_array\n'
        'from slimtune.preprocessing.preprocessing_factory import get_preprocessing\n'
        'from slimtune.runtime import tf\n'
        'array = np.full([2, 4000, 3], 200, np.uint8)\n'
        'key = tf.constant([3, 4], tf.int64)\n'
        'image = tf.placeholder(tf.uint8, [None, None, 3])\n'
        'evaluation = get_preprocessing("vgg")(image, 224, 224)\n'
        'training = get_preprocessing("vgg", True)(image, 224, 224, key=key)\n'
        'before = peak_memory()\n'
        'evaluate_array("vgg", array, 224, 224)\n'
        'tf.Session().run([evaluation, training], {image: array})\n'
        'print(peak_memory() - before)\n')
    ended = subprocess.run([sys.executable, '-c', program], check=True, stdout=subprocess.PIPE)
    assert int(ended.stdout) < 300 << 20


def test_vgg_takes_sizes_beyond_its_256_pixels_in_proportion(evaluate, sample_image):
    # 448 of 512 is 224 of 256: the same middle of the image, at twice the size.
    array = sample_image(256, 340)
    small, large = evaluate('vgg', array, 224, 224), evaluate('vgg', array, 448, 448)
    np.testing.assert_allclose(large[::2, ::2], small, 0, 1e-3)
    # At 256 the side is slim's still: nothing is cut off the shorter one.
    assert np.allclose(evaluate('vgg', array, 256, 256)[:, 0, 0], array[:, 42, 0] - 123.68, 0, 1e-3)


def test_the_whole_image_can_be_kept(evaluate, sample_image):
    array = sample_image(80, 80)
    whole = evaluate('inception', array, 80, 80, crop_image=False)
    np.testing.assert_allclose(whole, array / 127.5 - 1, 0, 1e-6)
    assert not np.allclose(evaluate('inception', array, 80, 80), whole, 0, 0.1)


def test_the_shorter_side_can_be_given(evaluate, sample_image):
    array = sample_image(300, 300)
    np.testing.assert_allclose(evaluate('vgg', array, 224, 224, resize_side_min=300),
                               array[38:262, 38:262] - np.array([123.68, 116.78, 103.94]), 0, 1e-3)


@pytest.mark.parametrize('style', STYLES)
def test_a_grey_image_gives_the_same_grey_as_its_colours(style, evaluate, sample_image):
    grey = sample_image(60, 50, 1)
    one = evaluate(style, grey, 32, 32, use_grayscale=True)
    three = evaluate(style, np.repeat(grey, 3, 2), 32, 32, use_grayscale=True)
    # The shares of red, green and blue add up to 0.9999.
    np.testing.assert_allclose(one, three, 0, 1e-3 * RANGE[style])


def test_every_net_has_the_style_of_its_record():
    for net in NETS.values():
        assert get_preprocessing(net.name).style == get_preprocessing(net.name, is_training=True).style
        assert get_preprocessing(net.name).style == net.preprocessing
        assert net.preprocessing in STYLES
    slims = {'inception_v3': 'inception', 'mobilenet_v1': 'inception',
             'resnet_v1_50': 'vgg', 'resnet_v2_50': 'vgg', 'vgg_16': 'vgg',
             'lenet': 'lenet', 'cifarnet': 'cifarnet'}
    assert {name: get_preprocessing(name).style for name in slims} == slims


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match='inceptoin: try inception'):
        get_preprocessing('inceptoin')


def test_predict_prepares_images_without_tensorflow():
    program = ('import sys\n'
               'from slimtune.preprocessing.preprocessing_factory import get_preprocessing, style_of\n'
               'get_preprocessing("vgg")\n'
               'assert "numpy" not in sys.modules\n'
               'from slimtune.preprocessing.evaluation import evaluate_array\n'
               'import numpy\n'
               'evaluate_array(style_of("vgg"), numpy.zeros([50, 40, 3], "uint8"), 224, 224)\n'
               'assert "tensorflow" not in sys.modules\n')
    subprocess.run([sys.executable, '-c', program], check=True)
