"""Files of records: TensorFlow reads the same from them as was written, whatever was written."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimtune.datasets import records
from slimtune.errors import UserError
from slimtune.runtime import tf

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(blacklist_categories=['Cs']))
VALUES = st.one_of(st.binary(), TEXT, INTEGERS, st.floats(width=32),
                   st.lists(st.binary(), min_size=1, max_size=3), st.lists(INTEGERS, min_size=1, max_size=3),
                   st.lists(st.floats(width=32), min_size=1, max_size=3))
KEYS = st.text(st.characters(blacklist_categories=['Cs']), min_size=1, max_size=12)
EXAMPLES = st.lists(st.tuples(st.dictionaries(KEYS, VALUES, max_size=4), INTEGERS), min_size=1, max_size=4)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp('records') / 'x.tfrecord')


def as_tensorflow(value):
    """A value as tf.train.Feature."""
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    encoded = [one.encode('utf-8') if isinstance(one, str) else one for one in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(EXAMPLES)
def test_any_record_written_is_read_by_tensorflow_the_same(path, examples):
    examples = [dict(features, **{'image/class/label': label}) for features, label in examples]
    with records.writer(path) as write:
        for features in examples:
            write(records.example(features))
    read = [tf.train.Example.FromString(one) for one in tf.python_io.tf_record_iterator(path)]
    expected = [tf.train.Example(features=tf.train.Features(feature={
        key: as_tensorflow(value) for key, value in features.items()})) for features in examples]
    # As text, because no number equals NaN
    assert [str(one) for one in read] == [str(one) for one in expected]


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(EXAMPLES)
def test_the_labels_of_any_records_are_counted(path, examples):
    written = [tf.train.Example(features=tf.train.Features(feature={
        key: as_tensorflow(value) for key, value in dict(features, **{'image/class/label': label}).items()}))
        for features, label in examples]
    with tf.python_io.TFRecordWriter(path) as writer:
        for one in written:
            writer.write(one.SerializeToString())
    records._scan.cache_clear()     # files of one size within one tick of the clock
    counts = records.scan(path).labels
    labels = [label for _, label in examples]
    assert counts == {label: labels.count(label) for label in labels}


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_has_as_many_records_as_before(path, data):
    with records.writer(path) as write:
        for label in range(3):
            write(records.example({'image/class/label': label, 'image/encoded': b'\xff\xd8' * 20}))
    with open(path, 'rb') as f:
        content = bytearray(f.read())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    content = content[:data.draw(st.integers(0, len(content)))]
    with open(path, 'wb') as f:
        f.write(content)
    records._scan.cache_clear()
    try:
        counts = records.scan(path).labels
    except UserError as e:
        assert 'x.tfrecord' in str(e) and '\n' not in str(e)
    else:
        assert 1 <= sum(counts.values()) <= 3
