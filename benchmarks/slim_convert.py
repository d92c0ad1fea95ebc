"""How slim's converters read images: each is decoded by TensorFlow for its size, in one session."""
import os
from concurrent.futures import ThreadPoolExecutor

from slimtune.datasets import dataset_utils
from slimtune.runtime import tf


def convert(folder, path, threads=1):
    """Writes the JPEGs of FOLDER/CLASS/ as records to one file."""
    classes = sorted(os.listdir(folder))
    sample_images = [(os.path.join(folder, name, file), label) for label, name in enumerate(classes)
                for file in sorted(os.listdir(os.path.join(folder, name)))]
    with tf.Graph().as_default(), tf.Session() as session, tf.python_io.TFRecordWriter(path) as writer, \
            ThreadPoolExecutor(threads) as pool:
        encoded = tf.placeholder(tf.string, [])
        image = tf.image.decode_jpeg(encoded, channels=3)

        def read(sample_image):
            with open(sample_image[0], 'rb') as f:
                data = f.read()
            height, width, _ = session.run(image, {encoded: data}).shape
            example = dataset_utils.image_to_tfexample(data, b'jpg', height, width, sample_image[1])
            return example.SerializeToString()

        for record in pool.map(read, sample_images):
            writer.write(record)
