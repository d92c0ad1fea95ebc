"""The input pipelines: records in, batches of preprocessed images out. All of it is tf.data; no Python per image.

The order of training is a function of seed and step alone: epoch e is shuffled by (seed, e), and a resumed run skips what
it has seen. So a run that was interrupted sees the images an uninterrupted one would have seen.
"""
import contextlib
import itertools
import os

from slimtune.errors import UserError
from slimtune.preprocessing import preprocessing_factory
from slimtune.runtime import next_of, session_config, tf

SHUFFLE_BYTES = 256 << 20       # memory for shuffling encoded images
_FEATURES = {                   # name: (shape, type, default)
    'image/encoded': ((), tf.string, ''), 'image/class/label': ((), tf.int64, -1), 'image/filename': ((), tf.string, ''),
}
_BOXES = ('image/object/bbox/ymin', 'image/object/bbox/xmin', 'image/object/bbox/ymax', 'image/object/bbox/xmax')


def parse(serialized):
    """One record's features: (encoded image, label, file name, boxes [1, n, 4])."""
    features = {name: tf.FixedLenFeature(*spec) for name, spec in _FEATURES.items()}
    features.update({name: tf.VarLenFeature(tf.float32) for name in _BOXES})
    record = tf.parse_single_example(serialized, features)
    boxes = tf.stack([tf.sparse.to_dense(record[name]) for name in _BOXES], axis=1)
    return record['image/encoded'], record['image/class/label'], record['image/filename'], boxes[tf.newaxis]


def decode(encoded, inputs):
    """An encoded image, JPEG, PNG or GIF, as uint8 [height, width, channels]."""
    return tf.image.decode_jpeg(encoded, channels=3 if inputs.use_grayscale else inputs.channels,
                                dct_method=inputs.dct_method)


def training_batches(dataset, inputs, batch_size, seed, step):
    """Endless batches (images [batch, size, size, channels], labels [batch]), beginning with the one of `step`.

    dataset: of dataset_factory. inputs: an Input. seed: int; with epoch and place in it all that order and augmentation
    depend on.
    """
    num_images = dataset.num_samples
    epoch, seen = divmod(step * batch_size, num_images)
    average = max(1, sum(map(os.path.getsize, dataset.data_sources)) // num_images)
    buffer = max(1, min(num_images, SHUFFLE_BYTES // average))
    preprocess = preprocessing_factory.get_preprocessing(inputs.preprocessing, True, inputs.use_grayscale)

    def shuffled(number):
        """The records of epoch `number`, each with the key [2] that its augmentation is drawn from."""
        shards = tf.data.Dataset.from_tensor_slices(list(dataset.data_sources))
        shards = shards.shuffle(len(dataset.data_sources), seed=number + seed, reshuffle_each_iteration=False)
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=min(inputs.readers, len(dataset.data_sources)))
        records = records.shuffle(buffer, seed=number + seed, reshuffle_each_iteration=False)
        places = tf.data.Dataset.range(num_images).map(lambda place: number * num_images + place)
        return tf.data.Dataset.zip((records, places.map(lambda place: tf.stack([tf.constant(seed, tf.int64), place]))))

    def prepared_example(serialized, key):
        encoded, label, _, boxes = parse(serialized)

        def whole():
            known = {} if preprocess.crop_jpeg is None else {'bbox': boxes}
            return preprocess(decode(encoded, inputs), inputs.size, inputs.size, key=key, **known)

        def cropped():      # only the crop's blocks of the JPEG are decoded
            crop = preprocess.crop_jpeg(encoded, key, boxes)
            return preprocess(crop, inputs.size, inputs.size, key=key, crop_image=False)

        image = whole() if preprocess.crop_jpeg is None else tf.cond(tf.image.is_jpeg(encoded), cropped, whole)
        return tf.ensure_shape(image, [inputs.size, inputs.size, inputs.channels]), label - inputs.labels_offset

    epochs = tf.data.Dataset.range(epoch, tf.int64.max).flat_map(shuffled).skip(seen)
    batches = epochs.map(prepared_example, inputs.threads).batch(batch_size, drop_remainder=True).prefetch(2)
    return next_of(batches)


def evaluation_batches(dataset, inputs, batch_size):
    """Every image of a split once, in the order of the records: (images, labels, file names), the last batch smaller.

    images: [batch, size, size, channels]. labels: int64 [batch], the offset subtracted.
    """
    preprocess = preprocessing_factory.get_preprocessing(inputs.preprocessing, False, inputs.use_grayscale)

    def prepared_example(serialized):
        encoded, label, name, _ = parse(serialized)
        image = preprocess(decode(encoded, inputs), inputs.size, inputs.size)
        return tf.ensure_shape(image, [inputs.size, inputs.size, inputs.channels]), label - inputs.labels_offset, name

    records = tf.data.TFRecordDataset(list(dataset.data_sources))
    batches = records.map(prepared_example, inputs.threads).batch(batch_size).prefetch(2)
    return next_of(batches)


def read(dataset, inputs, batch_size):
    """Yields what evaluation_batches gives, as arrays; the next ones are decoded while the caller works."""
    graph = tf.Graph()
    with graph.as_default():
        batch = evaluation_batches(dataset, inputs, batch_size)
    # Not entered: as long as this is not read to its end, the default graph and session are the caller's.
    with contextlib.closing(tf.Session(graph=graph, config=session_config(cpu_only=True))) as session:
        while True:
            try:
                with explained():
                    arrays = session.run(batch)
            except tf.errors.OutOfRangeError:
                return
            yield arrays


def first_images(dataset, inputs, count):
    """The first `count` images of a split, as evaluation prepares them: float32 [n, size, size, channels]."""
    with contextlib.closing(read(dataset, inputs, count)) as batches:
        return next(batches)[0]


def encoded_images(dataset, count):
    """The first `count` encoded images of a split, spread over its shards: a list of bytes."""
    rounds = itertools.zip_longest(*map(tf.python_io.tf_record_iterator, dataset.data_sources))    # shards differ in length
    records = itertools.islice(filter(None, itertools.chain.from_iterable(rounds)), count)
    return [tf.train.Example.FromString(one).features.feature['image/encoded'].bytes_list.value[0] for one in records]


def check_labels(dataset, labels_offset):
    """Refuses labels that the offset makes negative: their images would teach nothing. Raises UserError."""
    lost = sum(dataset.per_class[:labels_offset])
    if lost:
        raise UserError('--labels-offset %d leaves out the classes below it, but %d images of %s are labelled so: use 0'
                        % (labels_offset, lost, dataset.name))


@contextlib.contextmanager
def explained(batch_size=None):
    """TensorFlow's errors that a user can mend, as one line. batch_size: to say a smaller one."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as e:
        if 'No space left' in str(e):
            raise UserError('the disk is full: make room and start again')
        raise UserError('not enough memory%s' % (
            ' for %d images at once: --batch-size %d' % (batch_size, max(1, batch_size // 2)) if batch_size else ''))
    except tf.errors.DataLossError as e:
        raise UserError('a file of records is damaged: %s. Convert the images again' % e.message.split('\n')[0])
    except tf.errors.InvalidArgumentError as e:
        if not any(word in e.message for word in ('JPEG', 'PNG', 'image')):
            raise
        raise UserError('an image in the records cannot be decoded: convert the images again (%s)'
                        % e.message.split('\n')[0])
