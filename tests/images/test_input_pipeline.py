"""The order of training is a function of seed and step alone, and every epoch shows every image once."""
import collections
import io
import os
import re
import resource
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from slimtune import options
from slimtune.datasets import dataset_factory, records
from slimtune.errors import UserError
from slimtune.images import input_pipeline
from slimtune.images.model_input import FAST, Input, inputs_of
from slimtune.images.prepare import image_reader
from slimtune.nets import nets_factory
from slimtune.runtime import tf

BATCH = 5


@pytest.fixture(scope='module')
def digits_set(trained):
    """The training split of the digits: 49 images in two shards."""
    return dataset_factory.get_dataset('pic', 'train', str(trained / 'pic'))


def batches(dataset, count, seed=1, step=0, threads=None, **inputs):
    """The first batches from `step` on: a list of (images, labels)."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = Input(**dict(dict(style='lenet', size=28, channels=1), **inputs))
        batch = input_pipeline.training_batches(dataset, inputs, BATCH, seed, step, threads)
        return [session.run(batch) for _ in range(count)]


def sample_images(seen):
    """The images of batches, in order, as bytes."""
    return [image.tobytes() for images, _ in seen for image in images]


def test_every_epoch_shows_every_image_once_in_another_order(digits_set):
    seen = sample_images(batches(digits_set, 20))        # two epochs of 49 images, and two more
    first, second = seen[:49], seen[49:98]
    assert collections.Counter(first) == collections.Counter(second) and len(set(first)) > 45
    assert first != second
    assert sample_images(batches(digits_set, 10, seed=2)) != seen[:50]


@pytest.mark.parametrize('threads', [1, 4])
@pytest.mark.parametrize('style', ['inception', 'vgg', 'cifarnet'])
def test_a_later_start_sees_what_an_earlier_one_would_have_seen(digits_set, style, threads):
    inputs = dict(style=style, size=32, channels=3)
    through = batches(digits_set, 14, **inputs)
    later = batches(digits_set, 3, step=11, threads=threads, **inputs)      # past the first epoch
    for (images, labels), (others, other_labels) in zip(through[11:], later):
        assert np.array_equal(images, others) and np.array_equal(labels, other_labels)
    assert len(set(sample_images(through))) > 49         # augmented anew each time


def test_labels_stay_with_their_images_and_the_offset_is_taken_off(digits_set):
    images, labels, names = evaluated(digits_set)
    label_of = {image.tobytes(): label for image, label in zip(images, labels)}
    for seen, given in batches(digits_set, 12):
        assert [label_of[image.tobytes()] for image in seen] == list(given)
    for label, name in zip(labels, names):
        assert digits_set.class_names[label] == name.decode().split('/')[0]
    assert np.array_equal(evaluated(digits_set, labels_offset=1)[1], labels - 1)


def evaluated(dataset, **inputs):
    """(images, labels, names) of all evaluation batches."""
    with tf.Graph().as_default(), tf.Session() as session:
        batch, found = input_pipeline.evaluation_batches(dataset, Input('lenet', 28, 1, **inputs), BATCH), []
        while True:
            try:
                found.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                return [np.concatenate(part) for part in zip(*found)]


def test_evaluation_shows_every_image_exactly_once(digits_set):
    images, labels, names = evaluated(digits_set)
    assert images.shape == (49, 28, 28, 1) and images.dtype == np.float32 and len(set(names)) == 49
    assert list(np.bincount(labels)) == digits_set.per_class


def test_a_shuffle_that_memory_does_not_hold_still_shows_every_image(digits_set, monkeypatch):
    monkeypatch.setattr(input_pipeline, 'SHUFFLE_BYTES', 4000)
    seen = sample_images(batches(digits_set, 20))
    assert collections.Counter(seen[:49]) == collections.Counter(seen[49:98])


def sorted_shards(folder, per_class, shards, size=(8, 8)):
    """Records sorted by class: image n of class c has the grey value 20 * c + n % 20.

    Returns their data set.
    """
    images = [(label, n) for label, count in enumerate(per_class) for n in range(count)]
    paths = []
    for shard in range(shards):
        paths.append(str(folder / f'{shard}.tfrecord'))
        with records.writer(paths[-1]) as write:
            for label, n in images[shard * len(images) // shards:(shard + 1) * len(images) // shards]:
                png = io.BytesIO()
                Image.new('L', size, 20 * label + n % 20).save(png, 'PNG')
                write(records.example({'image/encoded': png.getvalue(), 'image/class/label': label}))
    return types.SimpleNamespace(data_sources=paths, num_samples=len(images), per_class=per_class)


def sampled_values(dataset, count):
    """The grey values of a sample."""
    sample = input_pipeline.sample_encoded(dataset, count)
    return [Image.open(io.BytesIO(encoded)).getpixel((0, 0)) for encoded in sample]


def test_a_sample_shows_all_classes_though_the_records_are_sorted_and_one_class_is_rare(tmp_path):
    dataset = sorted_shards(tmp_path, [300, 2, 98, 200], 3)
    values = sampled_values(dataset, 32)
    assert len(values) == 32 and len(set(values)) > 8      # over a whole class
    assert collections.Counter(value // 20 for value in values) == {0: 10, 1: 2, 2: 10, 3: 10}
    images = input_pipeline.sample_images(dataset, Input('lenet', 8, 1), 32)
    assert list(images[:, 0, 0, 0]) == [(value - 128) / 128 for value in values]
    assert values == sampled_values(dataset, 32)
    assert len(sampled_values(dataset, 3)) == 3
    assert len(sampled_values(dataset, 1000)) == 600


def test_a_sample_of_a_thousand_shards_opens_few_and_one_at_a_time(tmp_path):
    dataset = sorted_shards(tmp_path, [1000, 1000], 1000)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) + 10, limit[1]))
    try:
        values = sampled_values(dataset, 32)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert collections.Counter(value // 20 for value in values) == {0: 16, 1: 16}


def test_a_sample_of_a_damaged_shard_is_one_line(tmp_path):
    dataset = sorted_shards(tmp_path, [20], 1)
    with open(dataset.data_sources[0], 'r+b') as f:
        f.truncate(os.path.getsize(dataset.data_sources[0]) - 30)
    with pytest.raises(UserError, match='0.tfrecord is damaged: convert the images again'):
        sampled_values(dataset, 4)


@pytest.mark.parametrize('style', ['lenet', 'inception'])
def test_a_record_without_an_image_is_one_line(style, tmp_path):
    path = str(tmp_path / 'x.tfrecord')
    with records.writer(path) as write:
        write(records.example({'image/encoded': b'\xff\xd8\xff\xe0 no image', 'image/class/label': 0}))
    dataset = types.SimpleNamespace(data_sources=[path], num_samples=1)
    told = 'a record holds no image that can be decoded .*JPEG.*: convert the images again'
    with pytest.raises(UserError, match=told):
        next(input_pipeline.read(dataset, Input(style, 8), 1))
    with tf.Graph().as_default(), tf.Session() as session, pytest.raises(UserError, match=told), \
            input_pipeline.explain_errors():
        session.run(input_pipeline.training_batches(dataset, Input(style, 8), 1, 0, 0))


@pytest.mark.parametrize('where', ['in the image', 'in the structure'])
def test_a_flipped_byte_in_a_sampled_record_is_one_line_and_never_used(where, tmp_path):
    dataset = sorted_shards(tmp_path, [2, 2], 1)
    path, = dataset.data_sources
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    place = data.index(b'IDAT') + 6 if where == 'in the image' else data.index(b'image/encoded') - 1
    data[place] ^= 1
    with open(path, 'wb') as f:
        f.write(data)
    with pytest.raises(UserError, match=f'^{re.escape(path)} is damaged: convert the images again$'):
        input_pipeline.sample_encoded(dataset, 4)


def test_a_sampled_record_without_an_image_is_one_line(tmp_path):
    path = str(tmp_path / 'x.tfrecord')
    with records.writer(path) as write:
        write(records.example({'image/class/label': 0}))
    with pytest.raises(UserError, match='without image/encoded'):
        input_pipeline.sample_encoded(types.SimpleNamespace(data_sources=[path], num_samples=1), 1)


def test_other_errors_that_speak_of_images_are_no_damaged_records():
    """The placeholder of training is called `images`."""
    with tf.Graph().as_default(), tf.Session() as session, input_pipeline.explain_errors():
        images = tf.placeholder(tf.float32, [2, 2], 'images')
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(tf.identity(images))


@pytest.mark.parametrize('style', ['lenet', 'cifarnet', 'vgg', 'inception'])
@pytest.mark.parametrize('use_grayscale', [False, True])
def test_grey_data_reach_a_net_for_grey_images_with_any_style(style, use_grayscale, tmp_path):
    net = nets_factory.get_net('lenet')
    net_options = options.Net(preprocessing_name=style, use_grayscale=use_grayscale)
    inputs = inputs_of(net, net_options, 28, channels=1)
    assert inputs.channels == (1 if use_grayscale or style in ('lenet', 'cifarnet') else 3)
    dataset = sorted_shards(tmp_path, [3], 1)
    with tf.Graph().as_default(), tf.Session() as session:
        images, _ = session.run(input_pipeline.training_batches(dataset, inputs, 2, 0, 0))
    assert images.shape == (2, 28, 28, inputs.channels)
    expected = next(input_pipeline.read(dataset, inputs, 3))[0]
    (tmp_path / 'x.png').write_bytes(input_pipeline.sample_encoded(dataset, 3)[0])
    with image_reader(inputs) as read:
        seen, why = read(str(tmp_path / 'x.png'))
    assert why is None and seen.shape == expected[0].shape
    np.testing.assert_allclose(seen, expected[0], 0, 1e-3)


def test_predict_imports_tensorflow_only_for_its_fast_decoder_and_closes_its_session(tmp_path, monkeypatch):
    Image.new('RGB', (20, 16), 'red').save(str(tmp_path / 'x.jpg'))
    program = ('import sys\n'
               'from slimtune.images.model_input import Input\n'
               'from slimtune.images.prepare import image_reader\n'
               'with image_reader(Input("inception", 8)) as read:\n'
               '    assert read("x.jpg")[0].shape == (8, 8, 3)\n'
               'assert "tensorflow" not in sys.modules\n')
    subprocess.run([sys.executable, '-c', program], cwd=str(tmp_path), check=True)
    closed, session = [], tf.Session

    class Session(session):
        def close(self):
            closed.append(self)
            super().close()
    monkeypatch.setattr(tf, 'Session', Session)
    with image_reader(Input('inception', 8, dct_method=FAST)) as read:
        assert read(str(tmp_path / 'x.jpg'))[0].shape == (8, 8, 3) and not closed
    assert len(closed) == 1
