"""Data sets found by name: with slim's files, without a manifest, with all that can be wrong."""
import gzip
import os
import struct
import subprocess
import sys

import pytest

from slimtune.datasets import dataset_factory, dataset_utils, guangdong, labels, records
from slimtune.errors import UserError
from slimtune.runtime import slim, tf


def refused(folder, name='pic', split='train', **more):
    """The error that get_dataset gives."""
    with pytest.raises(UserError) as error:
        dataset_factory.get_dataset(name, split, str(folder), **more)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.fixture
def folder(tmp_path, write):
    """Two shards of training images and one of validation, beside a label.txt; put there by hand."""
    write('pic_train_00000-of-00002.tfrecord', [0, 1, 2])
    write('pic_train_00001-of-00002.tfrecord', [0, 1])
    write('pic_validation_00000-of-00001.tfrecord', [2])
    (tmp_path / 'label.txt').write_bytes('daisy\nrose\ntulip\n'.encode())
    return tmp_path


# What is right

def test_shards_and_a_label_file_moved_by_hand_are_a_data_set(folder):
    dataset = dataset_factory.get_dataset('pic', 'train', str(folder))
    assert [os.path.basename(path) for path in dataset.data_sources] == [
        'pic_train_00000-of-00002.tfrecord', 'pic_train_00001-of-00002.tfrecord']
    assert (dataset.num_samples, dataset.num_classes, dataset.per_class) == (5, 3, [2, 2, 1])
    assert dataset.labels_to_names == {0: 'daisy', 1: 'rose', 2: 'tulip'}
    assert (dataset.name, dataset.split_name, dataset.dataset_dir) == ('pic', 'train', str(folder))


def test_slims_own_provider_reads_it_with_and_without_boxes(tmp_path, write):
    side = dataset_utils.float_feature([0.25, 0.5])
    write('pic_train_00000-of-00001.tfrecord', [1])
    write('pic_validation_00000-of-00001.tfrecord', [1], {'image/object/bbox/' + name: side
                                                         for name in ('ymin', 'xmin', 'ymax', 'xmax')})
    (tmp_path / 'label.txt').write_text('a\nb\n')
    for split, boxes in (('train', 0), ('validation', 2)):
        with tf.Graph().as_default(), tf.Session() as session:
            provider = slim.dataset_data_provider.DatasetDataProvider(
                dataset_factory.get_dataset('pic', split, str(tmp_path)), shuffle=False, num_epochs=1)
            items = provider.get(['image', 'label', 'object/bbox'])
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            with slim.queues.QueueRunners(session):
                image, label, bbox = session.run(items)
        assert (image.shape, label, bbox.shape) == ((28, 28, 3), 1, (boxes, 4))


@pytest.mark.parametrize('name, split, file, of_labels, classes, channels', [
    ('flowers', 'train', 'flowers_train_00000-of-00001.tfrecord', [0, 4], 5, 3),
    ('mnist', 'test', 'mnist_test.tfrecord', [0, 9], 10, 1),
    ('cifar10', 'train', 'cifar10_train.tfrecord', [0, 9], 10, 3),
    ('imagenet', 'validation', 'validation-00000-of-00001', [1, 1000], 1001, 3),
    ('visualwakewords', 'val', 'val.record-00000-of-00001', [0, 1], 2, 3),
])
def test_slims_own_sets_are_found_by_their_file_names(
        tmp_path, write, said, name, split, file, of_labels, classes, channels):
    write(file, of_labels)
    dataset = dataset_factory.get_dataset(name, split, str(tmp_path))
    assert (dataset.num_samples, dataset.num_classes, dataset.channels) == (2, classes, channels)
    assert dataset_factory.num_classes(name) == classes == len(dataset.class_names)
    assert 'using 2' in said(), 'the module says that there are more'


def test_guangdong_has_its_twelve_classes_unless_the_folder_has_others(tmp_path, write):
    assert ' '.join(guangdong.CLASSES) == (
        '正常 不导电 擦花 横条压凹 桔皮 漏底 碰伤 起坑 凸粉 涂层开裂 脏点 其他')
    write('guangdong_train_00000-of-00001.tfrecord', [0, 1])
    assert guangdong.get_split('train', str(tmp_path)).class_names == guangdong.CLASSES
    (tmp_path / 'label.txt').write_bytes('好\n坏\n'.encode())
    assert dataset_factory.get_dataset('guangdong', 'train', str(tmp_path)).class_names == ['好', '坏']


def test_another_pattern_of_file_names_can_be_given(folder):
    os.rename(str(folder / 'pic_validation_00000-of-00001.tfrecord'), str(folder / 'held_out.validation'))
    assert dataset_factory.get_dataset('pic', 'validation', str(folder), 'held_out.%s').num_samples == 1


def test_naming_the_data_sets_needs_no_tensorflow():
    program = ('import sys; from slimtune.datasets import dataset_factory; print(dataset_factory.names());'
               'assert not {"tensorflow", "numpy"} & set(sys.modules)')
    ended = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, check=True)
    assert b'guangdong' in ended.stdout


def test_a_percent_sign_and_brackets_in_a_name_are_letters_like_others(tmp_path, write):
    (tmp_path / 'label.txt').write_text('a\nb\n')
    for name in ('100%cotton', '50%shirts', 'a[1]*'):
        write(name + '_train_00000-of-00001.tfrecord', [0, 1])
        assert dataset_factory.get_dataset(name, 'train', str(tmp_path)).num_samples == 2
        assert dataset_factory.split_names(name, str(tmp_path)) == ['train']
    assert dataset_factory.names_in(str(tmp_path)) == ['100%cotton', '50%shirts', 'a[1]*']
    assert dataset_factory.split_names('100%wool', str(tmp_path)) == []


# What is wrong with the name

def test_an_unknown_split_lists_the_valid_ones(folder):
    assert refused(folder, split='test') == 'pic has no split test: choose from train, validation'


def test_an_unknown_name_says_what_the_folder_holds(folder, tmp_path):
    assert 'holds the data set pic, not flowers: add --dataset-name pic' in refused(folder, 'flowers')
    (tmp_path / 'empty').mkdir()
    assert 'did you mean flowers?' in refused(tmp_path / 'empty', 'flower')
    assert 'no folder' in refused(tmp_path / 'nowhere')
    with pytest.raises(UserError, match='how many classes does nobody have'):
        dataset_factory.num_classes('nobody')


# What is wrong with the files

def test_an_empty_shard_is_named(folder):
    (folder / 'pic_train_00001-of-00002.tfrecord').write_bytes(b'')
    assert 'pic_train_00001-of-00002.tfrecord is empty' in refused(folder)


def test_a_truncated_shard_is_named(folder):
    path = folder / 'pic_train_00000-of-00002.tfrecord'
    path.write_bytes(path.read_bytes()[:-3])
    assert 'pic_train_00000-of-00002.tfrecord is cut short after 2 records' in refused(folder)


@pytest.mark.parametrize('damage', [
    lambda data: gzip.compress(data), lambda data: b'text, no records', lambda data: bytes(160),
    lambda data: struct.pack('<Q', 5) + bytes(4) + b'\xff' * 5 + bytes(4)])
def test_a_file_of_something_else_is_named(folder, damage):
    path = folder / 'pic_train_00001-of-00002.tfrecord'
    path.write_bytes(damage(path.read_bytes()))
    assert 'pic_train_00001-of-00002.tfrecord' in refused(folder)


def test_a_missing_shard_and_a_stale_one_are_named(folder, write):
    write('pic_train_00000-of-00003.tfrecord', [0])
    assert 'pic_train_00001-of-00003.tfrecord is missing' in refused(folder)
    os.remove(str(folder / 'pic_train_00000-of-00003.tfrecord'))
    write('pic_train_00000-of-00001.tfrecord', [0])
    assert 'more than one set of shards' in refused(folder)


# What is wrong with the labels

@pytest.mark.parametrize('of_labels, said', [
    ([1, 2, 3],
     'labels are 1 to 3 in the records, but with 3 classes they must be 0 to 2: number them from 0 on'),
    ([0, 7], 'put every class into label.txt'),
    ([-1, 0], 'labels are -1 to 0'),
])
def test_labels_out_of_range_are_refused(folder, write, of_labels, said):
    for shard in range(2):
        write('pic_train_%05d-of-00002.tfrecord' % shard, of_labels)
    assert said in refused(folder)


def test_without_any_names_a_label_file_is_asked_for(folder):
    os.remove(str(folder / 'label.txt'))
    assert 'no label.txt' in refused(folder)


def test_label_files_that_disagree_are_both_named(folder):
    dataset_utils.write_label_file({0: 'daisy', 1: 'tulip', 2: 'rose'}, str(folder))
    said = refused(folder)
    assert 'labels.txt and label.txt' in said and 'from label 1 on (tulip, rose)' in said


@pytest.mark.parametrize('content', [
    '正常\n其他\n'.encode(), '\ufeff正常\r\n\r\n  \n其他'.encode(), '正常\n其他\n'.encode('gbk'),
    '0:正常\n1:其他\n'.encode(), '1: 其他\n0: 正常\n'.encode()])
def test_label_files_as_people_save_them(tmp_path, content, said):
    (tmp_path / 'label.txt').write_bytes(content)
    assert labels.read(str(tmp_path / 'label.txt')) == ['正常', '其他']
    assert ('read as GBK' in said()) == (content == '正常\n其他\n'.encode('gbk'))


def test_slims_label_file_is_written_and_read(tmp_path):
    assert not dataset_utils.has_labels(str(tmp_path))
    dataset_utils.write_label_file({0: 'a:b', 1: '正常'}, str(tmp_path))
    assert (tmp_path / 'labels.txt').read_bytes() == '0:a:b\n1:正常\n'.encode()
    assert dataset_utils.has_labels(str(tmp_path))
    assert dataset_utils.read_label_file(str(tmp_path)) == {0: 'a:b', 1: '正常'}
    (tmp_path / 'labels.txt').write_text('0:a\n2:c\n')
    with pytest.raises(UserError, match='numbered 0 to 1'):
        dataset_utils.read_label_file(str(tmp_path))


def test_records_are_counted_as_tensorflow_reads_them(write):
    path = write('x', [3, 1, 3], {'image/channels': dataset_utils.int64_feature(1)})
    assert records.scan(str(path)) == ({3: 2, 1: 1}, 1)
