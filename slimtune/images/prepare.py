"""THE way from an encoded image to the input of a net, which stands here alone. Two readers of a
model_input.Input:

- in a TensorFlow graph: `evaluation_image` and `training_image`, for pipelines and exported graphs;
- in numpy and Pillow: `image_reader`, for predict, which does not import TensorFlow.

Both decode the whole image, apply the style's preprocessing and give float32 [size, size, channels].
"""
import contextlib
import functools

import numpy as np

from slimtune.images import image_file
from slimtune.images.model_input import ACCURATE
from slimtune.preprocessing import evaluation, preprocessing_factory


def evaluation_image(encoded, inputs):
    """Adds the evaluation of one image to the graph: float32 [size, size, channels].

    encoded: a string tensor, JPEG, PNG or GIF. inputs: an Input.
    """
    preprocess = preprocessing_factory.get_preprocessing(inputs.style, False, inputs.grayscale)
    return _shaped(preprocess(_decode(encoded, inputs), inputs.size, inputs.size), inputs)


def training_image(encoded, inputs, key, boxes):
    """Adds the augmentation of one image to the graph: float32 [size, size, channels].

    key: int64 [2], from which everything random is drawn. boxes: float32 [1, n, 4], see training.window.
    """
    from slimtune.runtime import tf
    preprocess = preprocessing_factory.get_preprocessing(inputs.style, True, inputs.grayscale)
    if preprocess.crop_jpeg is None:
        return _shaped(preprocess(_decode(encoded, inputs), inputs.size, inputs.size, key=key), inputs)

    def whole():
        return preprocess(_decode(encoded, inputs), inputs.size, inputs.size, key=key, bbox=boxes)

    def cropped():      # only the blocks of the JPEG that the crop needs are decoded
        crop = preprocess.crop_jpeg(encoded, key, boxes)
        return preprocess(crop, inputs.size, inputs.size, key=key, crop_image=False)

    return _shaped(tf.cond(tf.image.is_jpeg(encoded), cropped, whole), inputs)


def evaluation_arrays(encoded, inputs):
    """Prepares encoded images (a list of bytes) by the graph: float32 [n, size, size, channels]."""
    with _graph_reader(inputs) as read:
        return np.stack([read(data) for data in encoded])


@contextlib.contextmanager
def image_reader(inputs):
    """Opens the reader of image files for prediction.

    Yields read(path) -> (float32 [size, size, channels], None), or (None, why the file cannot be used). It
    may be called from several threads, and imports TensorFlow only where a net needs TensorFlow's fast
    decoder.
    """
    if inputs.dct_method == ACCURATE:
        yield functools.partial(_read, lambda data: _evaluate_bytes(data, inputs))
        return
    with _graph_reader(inputs) as evaluate:
        as_stored = lambda data: image_file.encode(data, image_file.inspect(data))
        yield functools.partial(_read, lambda data: evaluate(as_stored(data)))


def _read(evaluate, path):
    try:
        return evaluate(image_file.read(path)), None
    except image_file.BadImage as e:
        return None, str(e)


def evaluate_pixels(pixels, inputs):
    """Prepares a decoded image, uint8 [height, width, channels], in numpy: float32 [size, size, channels]."""
    return evaluation.evaluate_array(inputs.style, pixels, inputs.size, inputs.size,
                                     use_grayscale=inputs.grayscale)


def _evaluate_bytes(data, inputs):
    with image_file.open_upright(data) as image:
        pixels = np.asarray(image.convert('RGB' if _decoded_channels(inputs) == 3 else 'L'))
        return evaluate_pixels(pixels.reshape(pixels.shape[:2] + (-1,)), inputs)


@contextlib.contextmanager
def _graph_reader(inputs):
    """Yields a function from bytes that TensorFlow decodes to float32 [size, size, channels]."""
    from slimtune.runtime import session_config, tf
    with contextlib.closing(tf.Session(graph=tf.Graph(), config=session_config(cpu_only=True))) as session:
        with session.graph.as_default():
            encoded = tf.placeholder(tf.string, [])
            image = evaluation_image(encoded, inputs)
        yield lambda data: session.run(image, {encoded: data})


def _decode(encoded, inputs):
    """An encoded image as uint8 [height, width, channels]. decode_jpeg reads PNG and GIF too."""
    from slimtune.runtime import tf
    return tf.image.decode_jpeg(encoded, channels=_decoded_channels(inputs), dct_method=inputs.dct_method)


def _decoded_channels(inputs):
    return 3 if inputs.grayscale else inputs.channels


def _shaped(image, inputs):
    from slimtune.runtime import tf
    return tf.ensure_shape(image, [inputs.size, inputs.size, inputs.channels])
