"""Shards as other programs write them: records without a manifest."""
import io

import pytest
from PIL import Image

from slimtune import terminal
from slimtune.datasets import dataset_utils
from slimtune.runtime import tf


@pytest.fixture(autouse=True)
def said(capfd):
    """What was said so far: said() -> text."""
    terminal.setup()
    return lambda: ''.join(capfd.readouterr())


@pytest.fixture
def write(tmp_path):
    """Writes a file of records with slim's features: write('x.tfrecord', labels) -> its path.

    more: further features.
    """
    image = io.BytesIO()
    Image.new('L', (28, 28), 'white').save(image, 'PNG')

    def make(name, labels, more=None):
        with tf.python_io.TFRecordWriter(str(tmp_path / name)) as writer:
            for label in labels:
                example = dataset_utils.image_to_tfexample(image.getvalue(), b'png', 28, 28, label)
                for key, value in (more or {}).items():
                    example.features.feature[key].CopyFrom(value)
                writer.write(example.SerializeToString())
        return tmp_path / name
    return make
