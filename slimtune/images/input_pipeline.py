"""The input pipelines: records in, batches of preprocessed images out. All of it is tf.data; no Python per
image.

The order of training is a function of seed and step: epoch e is shuffled by (seed, e), and a resumed run
skips what it has seen. So a run that was interrupted sees the images that an uninterrupted one would have
seen.
"""
import collections
import contextlib
import itertools
import os
import re

from slimtune import machine
from slimtune.datasets import dataset_factory, records
from slimtune.errors import UserError
from slimtune.images import prepare
from slimtune.runtime import next_of, session_config, tf

SHUFFLE_BYTES = 256 << 20       # memory for shuffling encoded images
READERS = 4                     # shards that training reads at the same time
SAMPLED_SHARDS, SAMPLED_FROM = 64, 4096     # shards and records among which a sample is chosen
#: How TensorFlow's messages name the op that failed on a record.
_READING_OPS = re.compile(r'\bnode (?:\S*/)?(?:Decode|ExtractJpegShape|ParseSingleExample)')
_FEATURES = {                   # name: (shape, type, default)
    'image/encoded': ((), tf.string, ''), 'image/class/label': ((), tf.int64, -1),
    'image/filename': ((), tf.string, ''),
}
_BOXES = ['image/object/bbox/' + name for name in ('ymin', 'xmin', 'ymax', 'xmax')]


def parse(serialized):
    """One record's features: (encoded image, label, file name, boxes [1, n, 4])."""
    features = {name: tf.FixedLenFeature(*spec) for name, spec in _FEATURES.items()}
    features.update({name: tf.VarLenFeature(tf.float32) for name in _BOXES})
    record = tf.parse_single_example(serialized, features)
    boxes = tf.stack([tf.sparse.to_dense(record[name]) for name in _BOXES], axis=1)
    return record['image/encoded'], record['image/class/label'], record['image/filename'], boxes[tf.newaxis]


def training_batches(dataset, inputs, batch_size, seed, step, threads=None, readers=READERS):
    """Returns endless batches (images [batch, size, size, channels], labels [batch]), from the batch of
    `step` on.

    dataset: of dataset_factory. inputs: an Input. seed: int. Order and augmentation depend on it, on epoch
    and place in the epoch, on `readers` and on the graph's own seed, which tf.data mixes into its shuffling:
    nothing else. threads: that decode, by default one per core. readers: shards that are read at the same
    time.
    """
    num_images = dataset.num_samples
    epoch, seen = divmod(step * batch_size, num_images)
    average = max(1, sum(map(os.path.getsize, dataset.data_sources)) // num_images)
    buffer = max(1, min(num_images, SHUFFLE_BYTES // average))

    def shuffled(number):
        """The records of epoch `number`, each with the key [2] that its augmentation is drawn from."""
        shards = tf.data.Dataset.from_tensor_slices(list(dataset.data_sources))
        shards = shards.shuffle(len(dataset.data_sources), seed=number + seed, reshuffle_each_iteration=False)
        at_once = min(readers, len(dataset.data_sources))
        serialized = shards.interleave(tf.data.TFRecordDataset, cycle_length=at_once)
        serialized = serialized.shuffle(buffer, seed=number + seed, reshuffle_each_iteration=False)
        keys = tf.data.Dataset.range(num_images).map(
            lambda place: tf.stack([tf.constant(seed, tf.int64), number * num_images + place]))
        return tf.data.Dataset.zip((serialized, keys))

    def augment(serialized, key):
        encoded, label, _, boxes = parse(serialized)
        return prepare.training_image(encoded, inputs, key, boxes), label - inputs.labels_offset

    epochs = tf.data.Dataset.range(epoch, tf.int64.max).flat_map(shuffled).skip(seen)
    images = epochs.map(augment, threads or machine.cores())
    return next_of(images.batch(batch_size, drop_remainder=True).prefetch(2))


def evaluation_batches(dataset, inputs, batch_size, threads=None):
    """Returns every image of a split once, in the order of the records: (images, labels, file names).

    images: [batch, size, size, channels]. labels: int64 [batch], the offset subtracted. The last batch is
    smaller. threads: that decode, by default one per core.
    """
    def evaluate(serialized):
        encoded, label, name, _ = parse(serialized)
        return prepare.evaluation_image(encoded, inputs), label - inputs.labels_offset, name

    serialized = tf.data.TFRecordDataset(list(dataset.data_sources))
    return next_of(serialized.map(evaluate, threads or machine.cores()).batch(batch_size).prefetch(2))


def read(dataset, inputs, batch_size, threads=None):
    """Yields what evaluation_batches gives, as arrays; the next ones are decoded while the caller works.

    Raises UserError after the last batch where the records were replaced in the meantime.
    """
    graph = tf.Graph()
    with graph.as_default():
        batch = evaluation_batches(dataset, inputs, batch_size, threads)
    # The session is not made the default: this generator may be suspended, and the caller's graph must stay
    # the default.
    with contextlib.closing(tf.Session(graph=graph, config=session_config(cpu_only=True))) as session:
        while True:
            try:
                with explain_errors():
                    arrays = session.run(batch)
            except tf.errors.OutOfRangeError:
                dataset_factory.check_unchanged(dataset)
                return
            yield arrays


def sample_images(dataset, inputs, count):
    """Returns the images of `sample_encoded`, prepared for evaluation: float32 [n, size, size, channels]."""
    with explain_errors():
        return prepare.evaluation_arrays(sample_encoded(dataset, count), inputs)


def sample_encoded(dataset, count):
    """Returns `count` encoded images (bytes) spread over a whole split, all its classes where possible.

    The same images every time; fewer where the split has fewer. The labels of at most SAMPLED_FROM records in
    SAMPLED_SHARDS shards are read, one shard open at a time, so that a thousand shards cost no more than a
    few. Raises UserError for a record that is damaged.
    """
    shards = records.spread(dataset.data_sources, max(count, SAMPLED_SHARDS))
    places = collections.defaultdict(list)      # label: [(shard, where its record begins, where it ends)]
    for shard in shards:
        for label, start, stop in records.places(shard, -(-SAMPLED_FROM // len(shards))):
            places[label].append((shard, start, stop))
    labels = records.spread(sorted(places), count)
    # One image of every class, then a second one, and so on.
    turns = sorted((turn, label) for label in labels for turn in range(len(places[label])))[:count]
    chosen = itertools.chain.from_iterable(
        records.spread(places[label], number)
        for label, number in collections.Counter(label for _, label in turns).items())
    return [_encoded(*place) for place in sorted(chosen)]


def _encoded(shard, start, stop):
    example = tf.train.Example.FromString(records.read(shard, start, stop))
    images = example.features.feature['image/encoded'].bytes_list.value
    if not images:
        raise UserError(f'{shard} has a record without image/encoded: convert the images again')
    return images[0]


def check_labels(dataset, labels_offset):
    """Raises UserError where the offset makes labels negative: their images would teach nothing."""
    lost = sum(dataset.per_class[:labels_offset])
    if lost:
        raise UserError(f'--labels-offset {labels_offset} leaves out the classes below it, but {lost} images '
                        f'of {dataset.name} have such a label: use 0')


@contextlib.contextmanager
def explain_errors(batch_size=None):
    """Raises the errors of TensorFlow that a user can mend as UserErrors.

    batch_size: where a smaller one would help; the error names it.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as e:
        if 'No space left' in str(e):
            raise UserError('the disk is full: make room and start again')
        if batch_size:
            smaller = max(1, batch_size // 2)
            raise UserError(f'not enough memory for {batch_size} images at once: --batch-size {smaller}')
        raise UserError('not enough memory')
    except tf.errors.DataLossError as e:
        reason = e.message.split('\n')[0]
        raise UserError(f'a file of records is damaged: {reason}. Convert the images again')
    except tf.errors.InvalidArgumentError as e:
        if not _READING_OPS.search(e.message):
            raise
        reason = e.message.split('\n\t [[')[0].split('\n')[-1].split('ParallelMapV2: ')[-1]
        raise UserError(f'a record holds no image that can be decoded ({reason}): convert the images again')
