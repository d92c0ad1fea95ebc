"""The writer of splits: how images are spread over shards, and what happens to one that cannot be stored."""
import os

import pytest

from slimtune import terminal
from slimtune.datasets import manifest, records, split_writer
from slimtune.errors import UserError
from slimtune.storage import atomic


@pytest.fixture
def write_split(tmp_path, said):
    """write_split(labels, num_shards) writes images of these labels and gives what was Written.

    An exception in the place of a label is what making the image's example raises.
    """
    terminal.setup()

    def make(label):
        if isinstance(label, Exception):
            raise label
        record = records.example({'image/class/label': label, 'image/channels': 1})
        return split_writer.Example(label, 1, record)

    def write(labels, num_shards, folder='data'):
        with atomic.exchange(str(tmp_path / folder)) as exchange:
            return split_writer.write_split(
                exchange, 'train', lambda number, total: manifest.shard_name('pic', 'train', number, total),
                num_shards, [f'{number}.jpg' for number in range(len(labels))],
                map(split_writer.example_or_reason(make), labels), 3)
    return write


def labels_in(folder, split):
    """The labels of every shard, as the records have them."""
    return [dict(records.scan(os.path.join(str(folder), shard.name)).labels) for shard in split.shards]


def test_images_are_spread_evenly_and_counted(write_split, tmp_path, said):
    split, left_out, channels = write_split([0, 1, 2, 0, 0], 2)
    assert (split.images, split.per_class, left_out, channels) == (5, [3, 1, 1], [], 1)
    assert [(shard.name, shard.records) for shard in split.shards] == [
        ('pic_train_00000-of-00002.tfrecord', 2), ('pic_train_00001-of-00002.tfrecord', 3)]
    assert labels_in(tmp_path / 'data', split) == [{0: 1, 1: 1}, {2: 1, 0: 2}]
    for shard in split.shards:
        assert shard.bytes == os.path.getsize(str(tmp_path / 'data' / shard.name))
    assert said() == ''


def test_no_shard_is_empty(write_split, said):
    split, _, _ = write_split([0, 1], 5)
    assert [shard.records for shard in split.shards] == [1, 1]
    assert '2 images in train: 2 shards instead of 5, none may be empty.' in said()
    assert write_split([], 5, 'none').split == manifest.Split(0, [0, 0, 0], [])


@pytest.mark.parametrize('fault', [
    ValueError('broken data stream'), OSError(5, 'Input/output error'), KeyError('mode')])
def test_an_image_that_cannot_be_stored_is_left_out_and_named(write_split, tmp_path, fault):
    split, left_out, _ = write_split([0, fault, 2], 1)
    assert (split.images, split.per_class) == (2, [1, 0, 1])
    assert [one.file for one in left_out] == ['1.jpg'] and left_out[0].why in str(fault)
    assert labels_in(tmp_path / 'data', split) == [{0: 1, 2: 1}]


def test_a_shard_of_which_every_image_is_left_out_is_none(write_split, tmp_path):
    fault = ValueError('broken')
    split, left_out, _ = write_split([0, 1, fault, fault, 2, 2], 3)
    assert [shard.name for shard in split.shards] == [
        'pic_train_00000-of-00002.tfrecord', 'pic_train_00001-of-00002.tfrecord']
    assert labels_in(tmp_path / 'data', split) == [{0: 1, 1: 1}, {2: 2}]
    assert sorted(os.listdir(str(tmp_path / 'data'))) == [shard.name for shard in split.shards]
    assert write_split([fault], 1, 'none').split == manifest.Split(0, [0, 0, 0], [])


@pytest.mark.parametrize('fault', [UserError('x.jpg changed: start again'), MemoryError()])
def test_a_fault_that_is_not_one_images_ends_the_command_and_nothing_is_written(write_split, tmp_path, fault):
    with pytest.raises(type(fault)):
        write_split([0, fault, 2], 1)
    assert not (tmp_path / 'data').exists()


def test_checksums_tell_records_apart_that_have_one_size(write_split):
    first, again, other = (write_split(labels, 1, folder).split for folder, labels in (
        ('first', [0, 1]), ('again', [0, 1]), ('other', [1, 0])))
    assert first == again
    assert first.shards[0].bytes == other.shards[0].bytes
    assert first.shards[0].checksum != other.shards[0].checksum
