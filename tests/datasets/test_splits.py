"""Which splits a data set has, and which one is held out: by manifest, by shards in the folder, by module."""
import os
import shutil

import pytest

from slimtune.datasets import dataset_factory
from slimtune.errors import UserError


def truncate(path):
    """Cuts the last bytes off a file."""
    with open(str(path), 'r+b') as f:
        f.truncate(os.path.getsize(str(path)) - 3)


def test_the_held_out_split_is_found_whatever_it_is_called(tmp_path, write):
    (tmp_path / 'label.txt').write_text('a\nb\n')
    write('pic_train_00000-of-00001.tfrecord', [0, 1])
    assert dataset_factory.split_names('pic', str(tmp_path)) == ['train']
    assert dataset_factory.held_out_split('pic', str(tmp_path)) is None
    for better in ('test', 'val', 'validation'):
        write('pic_%s_00000-of-00001.tfrecord' % better, [0, 1])
        assert dataset_factory.held_out_split('pic', str(tmp_path)) == better
    assert dataset_factory.split_names('pic', str(tmp_path)) == ['test', 'train', 'val', 'validation']
    assert dataset_factory.held_out_split('pic', str(tmp_path), preferred='test') == 'test'
    assert dataset_factory.held_out_split('pic', str(tmp_path), preferred='absent') == 'validation'
    assert dataset_factory.held_out_split('pic', str(tmp_path), trained_on='validation') == 'val'


def test_visual_wake_words_hold_out_val_and_other_files_are_no_splits(tmp_path, write):
    for split in ('train', 'val'):
        write(split + '.record-00000-of-00001', [0, 1])
    write('test.record-notes', [0])
    assert dataset_factory.split_names('visualwakewords', str(tmp_path)) == ['train', 'val']
    assert dataset_factory.held_out_split('visualwakewords', str(tmp_path)) == 'val'


@pytest.mark.parametrize('folder', [None, '', 'nowhere'])
def test_no_folder_has_no_splits(folder):
    assert dataset_factory.split_names('flowers', folder) == []


@pytest.mark.parametrize('with_manifest', [True, False], ids=['with dataset.json', 'without'])
def test_a_damaged_held_out_split_is_an_error_and_no_other_split_is_taken(
        here, trained, tmp_path, with_manifest):
    pic = tmp_path / 'pic'
    pic.mkdir()
    for path in (trained / 'pic').iterdir():
        if path.is_file():
            shutil.copy(str(path), str(pic))
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'pic_lenet'))
    if not with_manifest:
        (pic / 'dataset.json').unlink()
        for path in pic.glob('pic_validation_*'):       # a test split that is whole
            shutil.copy(str(path), str(path).replace('validation', 'test'))
    shard = sorted(pic.glob('pic_validation_*'))[0]
    truncate(shard)
    net = ['--dataset-dir', 'pic', '--dataset-name', 'pic']
    for words in (['eval', 'pic_lenet'] + net, ['export', 'pic_lenet'] + net,
                  ['train', 'pic', '--model', 'lenet', '--checkpoint-path', 'pic_lenet',
                   '--train-dir', 'again']):
        said = here(*words, code=1)
        assert shard.name in said and 'convert the images again' in said, words
    assert not (tmp_path / 'pic_lenet' / 'export').exists()


def test_a_damaged_manifest_is_an_error_when_splits_are_looked_up(tmp_path):
    (tmp_path / 'dataset.json').write_text('{')
    with pytest.raises(UserError, match='dataset.json is damaged'):
        dataset_factory.held_out_split('pic', str(tmp_path))
