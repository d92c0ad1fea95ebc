"""From an encoded image to the input of a net, outside a training graph."""
import numpy as np

from slimtune.images import image_file
from slimtune.images.model_input import ACCURATE
from slimtune.preprocessing import evaluation, preprocessing_factory


def prepared_encoded(encoded, inputs):
    """Encoded images as a net's input: float32 [n, size, size, channels]."""
    from slimtune.images import input_pipeline
    from slimtune.runtime import session_config, tf
    preprocess = preprocessing_factory.get_preprocessing(inputs.preprocessing, False, inputs.use_grayscale)
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        one = tf.placeholder(tf.string, [])
        image = preprocess(input_pipeline.decode(one, inputs), inputs.size, inputs.size)
        return np.stack([session.run(image, {one: data}) for data in encoded])


def decoder(inputs):
    """How images are decoded for a net: a function of bytes that returns uint8 [height, width, channels]."""
    mode = 'L' if inputs.channels == 1 and not inputs.use_grayscale else 'RGB'

    def by_pillow(encoded):
        array = np.asarray(image_file.open_upright(encoded).convert(mode))
        return array.reshape(array.shape[:2] + (-1,))

    def by_tensorflow(encoded):
        return session.run(image, {placeholder: image_file.encode(encoded, image_file.inspect(encoded))})

    if inputs.dct_method == ACCURATE:
        return by_pillow
    from slimtune.images import input_pipeline
    from slimtune.runtime import session_config, tf
    session = tf.Session(graph=tf.Graph(), config=session_config(cpu_only=True))
    with session.graph.as_default():
        placeholder = tf.placeholder(tf.string, [])
        image = input_pipeline.decode(placeholder, inputs)
    return by_tensorflow


def prepared(path, inputs, decode):
    """An image as a net's input: (float32 [size, size, channels], None), or (None, why not). decode: of `decoder`."""
    try:
        with open(path, 'rb') as f:
            image = decode(f.read())
        style = preprocessing_factory.style_of(inputs.preprocessing)
        return evaluation.evaluate_array(style, image, inputs.size, inputs.size, use_grayscale=inputs.use_grayscale), None
    except (image_file.BadImage, OSError) as e:
        return None, getattr(e, 'strerror', None) or str(e)
