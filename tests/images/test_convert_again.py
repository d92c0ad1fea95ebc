"""What convert leaves behind for train, which calls it."""
import json
import os

import pytest
from data_folders import tree

from slimtune import terminal
from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.images import conversion, input_pipeline
from slimtune.images.model_input import Input

# For train, which converts what was not converted yet

def test_a_folder_is_converted_once_and_again_when_its_images_change(pic, noise):
    terminal.setup()
    root = pic({'a': 10, 'b': 10})
    assert not conversion.is_current(str(root))
    assert conversion.prepare(str(root)).name == 'pic'
    shards = [path for path in tree(root) if path.endswith('.tfrecord')]
    times = [os.stat(path).st_mtime_ns for path in shards]
    assert conversion.prepare(str(root)).name == 'pic'
    assert [os.stat(path).st_mtime_ns for path in shards] == times, 'nothing twice'
    noise('new').save(str(root / 'a' / 'new.jpg'))
    assert not conversion.is_current(str(root))
    written = conversion.prepare(str(root))
    assert sum(split.images for split in written.splits.values()) == 21
    os.remove(shards[0])
    assert not conversion.is_current(str(root))


def test_converting_again_keeps_what_was_asked_for(pic, convert, noise):
    root = pic({'a': 10, 'b': 10})
    convert('-t', root, '--dataset-name', 'mine', '--validation-fraction', 0, '--train-shards', 3,
            '--seed', 7)
    noise('new').save(str(root / 'a' / 'new.jpg'))
    terminal.setup()
    written = conversion.prepare(str(root))
    assert (written.name, written.seed, written.validation_fraction) == ('mine', 7, 0)
    assert (written.splits['train'].images, len(written.splits['train'].shards)) == (21, 3)


def test_records_without_their_images_are_current_until_a_shard_is_gone(pic, convert, tmp_path):
    convert('-t', pic({'a': 10, 'b': 10}), '--output-dir', tmp_path / 'out')
    assert conversion.prepare(str(tmp_path / 'out')).name == 'pic'
    os.remove(str(tmp_path / 'out' / 'pic_train_00001-of-00002.tfrecord'))
    with pytest.raises(UserError, match='pic_train_00001-of-00002.tfrecord is gone'):
        conversion.prepare(str(tmp_path / 'out'))


@pytest.mark.parametrize('words', [[], ['--dataset-name', 'pic']])
def test_images_may_be_deleted_after_convert_although_their_folders_stay(pic, here, words):
    root = pic({'a': 10, 'b': 10})
    here('convert', '-t', root)
    for image in root.glob('*/*.jpg'):
        image.unlink()
    assert conversion.is_current(str(root))
    form = ['--dataset-dir', root, '--train-dir', 'net'] + words if words else [root]
    output = here('train', *form, '--model', 'lenet', '--max-number-of-steps', 1)
    assert 'have changed' not in output and '2 classes' in output
    sorted(root.glob('*.tfrecord'))[0].unlink()
    assert not conversion.is_current(str(root))
    with pytest.raises(UserError, match='tfrecord is gone'):
        conversion.prepare(str(root))


def test_images_that_cannot_be_converted_any_more_are_a_warning_in_slims_form(pic, here):
    root = pic({'train/a': 4, 'train/b': 4, 'validation/a': 1, 'validation/b': 1})
    here('convert', '-t', root)
    (root / 'val' / 'a').mkdir(parents=True)
    output = here('train', '--dataset-dir', root, '--dataset-name', 'pic', '--train-dir', 'net',
                  '--model', 'lenet', '--max-number-of-steps', 1)
    assert 'have changed since they were converted; training reads the old records' in output


@pytest.mark.parametrize('words', [[], ['--dataset-name', 'pic']])
def test_train_notices_changed_images_in_every_form(pic, noise, here, words):
    root = pic({'train/a': 4, 'train/b': 4, 'validation/a': 1, 'validation/b': 1})
    train = ['train', root, '--model', 'lenet', '--max-number-of-steps', 1, '--restart'] + words
    assert ' 8 images, 2 classes' in here(*train)
    noise('new').save(str(root / 'train' / 'a' / 'new.jpg'))
    output = here(*train)
    assert 'have changed since they were converted' in output and ' 9 images, 2 classes' in output
    before = tree(root)
    noise('newer').save(str(root / 'train' / 'a' / 'newer.jpg'))
    message = here('train', root, '--model', 'lenet', '--dataset-name', 'other', code=1)
    assert message == f'slimtune: {root} holds the data set pic, not other: add --dataset-name pic\n'
    assert tree(root).items() >= before.items()


def test_a_manifest_without_a_validation_split_can_be_converted_again(pic, convert, noise):
    root = pic({'train/a': 4, 'train/b': 4, 'validation/a': 1, 'validation/b': 1})
    convert('-t', root)
    content = json.loads((root / 'dataset.json').read_text())
    content['splits']['val'] = content['splits'].pop('validation')
    (root / 'dataset.json').write_text(json.dumps(content))
    for path in root.glob('pic_validation_*'):
        path.unlink()           # the manifest's val split has lost its shards
    terminal.setup()
    assert sorted(conversion.prepare(str(root)).splits) == ['train', 'validation']


def test_records_that_were_downloaded_are_not_converted_from_images_beside_them(pic, convert, noise):
    root = pic({'a': 10, 'b': 10})
    convert('-t', root)
    content = json.loads((root / 'dataset.json').read_text())
    (root / 'dataset.json').write_text(json.dumps(dict(content, source='')))
    noise('new').save(str(root / 'a' / 'new.jpg'))
    before = tree(root)
    assert conversion.find_or_convert(str(root)) == 'pic'
    path = sorted(root.glob('*.tfrecord'))[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=path.name):
        conversion.find_or_convert(str(root))
    assert set(tree(root)) == set(before)


@pytest.mark.parametrize('name', [None, 'mine'])
def test_several_data_sets_without_a_manifest_need_a_name(pic, convert, tmp_path, name):
    convert('-t', pic({'a': 10, 'b': 10}), '--output-dir', tmp_path / 'out')
    (tmp_path / 'out' / 'dataset.json').unlink()
    assert conversion.find_or_convert(str(tmp_path / 'out')) == 'pic'
    for path in list((tmp_path / 'out').glob('pic_*')):
        path.with_name(path.name.replace('pic', 'mine')).write_bytes(path.read_bytes())
    if name:
        assert conversion.find_or_convert(str(tmp_path / 'out'), name) == name
    else:
        with pytest.raises(UserError, match='holds the data sets mine and pic: add --dataset-name mine'):
            conversion.find_or_convert(str(tmp_path / 'out'))


# Under a command that reads

def test_a_data_set_that_was_replaced_is_noticed_by_who_reads_it(pic, convert, noise):
    root = pic({'a': 10, 'b': 10})
    convert('-t', root)
    dataset = dataset_factory.get_dataset('pic', 'train', str(root))
    dataset_factory.check_unchanged(dataset)
    convert('-t', root)
    dataset_factory.check_unchanged(dataset)        # the same records once more
    noise('new').save(str(root / 'a' / 'new.jpg'))
    convert('-t', root, '--seed', 9)
    with pytest.raises(UserError, match='the records of pic in .* were replaced while they were being read'):
        dataset_factory.check_unchanged(dataset)
    dataset = dataset_factory.get_dataset('pic', 'train', str(root))
    os.remove(dataset.data_sources[0])
    with pytest.raises(UserError, match='is gone'):
        dataset_factory.check_unchanged(dataset)


def test_eval_and_features_end_with_a_line_where_their_records_were_replaced(pic, convert, noise):
    root = pic({'a': 10, 'b': 10})
    convert('-t', root, '--train-shards', 1)
    inputs = Input('lenet', 28)
    dataset = dataset_factory.get_dataset('pic', 'train', str(root))
    batches = input_pipeline.read(dataset, inputs, 4)
    next(batches)
    noise('new').save(str(root / 'a' / 'new.jpg'))
    convert('-t', root, '--train-shards', 1, '--seed', 9)
    with pytest.raises(UserError, match='were replaced while they were being read: type the same command'):
        list(batches)
    dataset = dataset_factory.get_dataset('pic', 'train', str(root))
    assert sum(len(labels) for _, labels, _ in input_pipeline.read(dataset, inputs, 4)) == dataset.num_samples


# Between the check and the shards

@pytest.mark.parametrize('memory', [0, 1 << 30])
def test_what_was_checked_is_what_is_written(memory, pic, noise, monkeypatch):
    terminal.setup()
    root = pic({'a': 10, 'b': 10})
    victim = root / 'a' / 'new.jpg'
    noise('new').save(str(victim))
    checked, write = victim.read_bytes(), conversion._write_split

    def changed_first(*arguments):
        victim.write_bytes(checked + b'more')
        return write(*arguments)
    monkeypatch.setattr(conversion, 'MEMORY', memory)
    monkeypatch.setattr(conversion, '_write_split', changed_first)
    if memory:
        conversion.prepare(str(root))
        shards = b''.join(path.read_bytes() for path in root.glob('*.tfrecord'))
        assert checked in shards and checked + b'more' not in shards
    else:
        with pytest.raises(UserError, match='new.jpg changed while it was being converted: start again'):
            conversion.prepare(str(root))
        assert not list(root.glob('*.tfrecord'))
