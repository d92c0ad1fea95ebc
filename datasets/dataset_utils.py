"""The functions of slim's module of this name, for data set modules and converters written for slim."""
import os

from slimtune.datasets import labels
from slimtune.storage import atomic

LABELS_FILENAME = 'labels.txt'


def _as_list(values):
    return list(values) if isinstance(values, (tuple, list)) else [values]


def int64_feature(values):
    """An integer, or a list of them, as a tf.train.Feature."""
    from slimtune.runtime import tf
    return tf.train.Feature(int64_list=tf.train.Int64List(value=_as_list(values)))


def bytes_feature(values):
    """Bytes, or a list of them, as a tf.train.Feature. Text is stored as UTF-8."""
    from slimtune.runtime import tf
    encoded = [value.encode('utf-8') if isinstance(value, str) else value for value in _as_list(values)]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))


def float_feature(values):
    """A float, or a list of them, as a tf.train.Feature."""
    from slimtune.runtime import tf
    return tf.train.Feature(float_list=tf.train.FloatList(value=_as_list(values)))


def image_to_tfexample(image_data, image_format, height, width, class_id):
    """A tf.train.Example with slim's five features. image_data: encoded. height, width: pixels."""
    from slimtune.runtime import tf
    return tf.train.Example(features=tf.train.Features(feature={
        'image/encoded': bytes_feature(image_data),
        'image/format': bytes_feature(image_format),
        'image/class/label': int64_feature(class_id),
        'image/height': int64_feature(height),
        'image/width': int64_feature(width),
    }))


def has_labels(dataset_dir, filename=LABELS_FILENAME):
    """Whether the folder holds a label file."""
    return os.path.exists(os.path.join(dataset_dir, filename))


def read_label_file(dataset_dir, filename=LABELS_FILENAME):
    """The folder's label file as {label: name}."""
    return dict(enumerate(labels.read(os.path.join(dataset_dir, filename))))


def write_label_file(labels_to_class_names, dataset_dir, filename=LABELS_FILENAME):
    """Writes {label: name} as lines `label:name`."""
    atomic.write_text(os.path.join(dataset_dir, filename), labels.text_numbered(labels_to_class_names))
