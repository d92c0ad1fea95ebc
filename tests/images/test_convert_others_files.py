"""What others put into the folder that convert writes to: it is never replaced, removed or trusted."""
import json
import os

import pytest
from data_folders import tree

from slimtune.datasets import dataset_factory, manifest

SMALL = {'train/daisy': 3, 'train/rose': 3, 'validation/daisy': 1, 'validation/rose': 1}
SHARD = 'pic_train_00000-of-00001.tfrecord'


def edit(path, **changes):
    """Changes keys of a dataset.json. shard: what becomes of the first training shard's entry."""
    content = json.loads(path.read_text(encoding='utf-8'))
    content['splits']['train']['shards'][0].update(changes.pop('shard', {}))
    path.write_text(json.dumps(dict(content, **changes)), encoding='utf-8')


# The user's own files

@pytest.mark.parametrize('name, content, message', [
    ('label.txt', 'shopping\nlist\n',
     'the label file names shopping, list, but the class folders are daisy, rose'),
    ('label.txt', 'daisy\nrose\ndaisy\n', 'the label file has daisy twice'),
    (SHARD, 'mine', f'holds 1 files that no dataset.json lists ({SHARD}): move them away'),
    ('dataset.json', '{"rows": 7}', 'dataset.json: name is missing: slimtune convert '),
    ('dataset.json', 'my notes', 'dataset.json is damaged'),
])
def test_the_users_own_files_are_an_error_and_nothing_is_touched(
        pic, convert, tmp_path, name, content, message):
    root, own = pic(SMALL), tmp_path / 'own'
    own.mkdir()
    (own / name).write_text(content)
    (own / 'thesis.tfrecord').write_text('of another kind')
    before = tree(tmp_path)
    assert message in convert('-t', root, '--output-dir', own, code=1)
    assert tree(tmp_path) == before
    os.remove(str(own / name))
    convert('-t', root, '--output-dir', own)
    assert (own / 'thesis.tfrecord').read_text() == 'of another kind'


def test_a_shard_that_appears_beside_the_manifest_is_not_removed(pic, convert):
    root = pic(SMALL)
    convert('-t', root)
    (root / 'pic_train_00000-of-00007.tfrecord').write_text('mine')
    message = convert('-t', root, code=1)
    assert 'no dataset.json lists (pic_train_00000-of-00007.tfrecord): move them away' in message
    assert (root / 'pic_train_00000-of-00007.tfrecord').read_text() == 'mine'


def test_a_manifest_lists_what_convert_removes_only_under_names_of_its_own(pic, convert):
    root = pic(SMALL)
    convert('-t', root, '--train-shards', 1)
    (root / SHARD).rename(root / 'thesis.txt')
    edit(root / 'dataset.json', shard={'name': 'thesis.txt'})
    convert('-t', root)
    assert (root / 'thesis.txt').exists()


def test_a_downloaded_data_set_is_not_replaced(pic, convert):
    root = pic(SMALL)
    convert('-t', root)
    edit(root / 'dataset.json', source='')
    before = tree(root)
    message = convert('-t', root, code=1)
    assert message == (f'slimtune: {root} holds the data set pic, which was downloaded: '
                       f'slimtune convert {root} --output-dir FOLDER\n')
    assert tree(root) == before


def test_what_train_cannot_convert_is_an_error_with_a_whole_command_of_convert(pic, said_by):
    root = pic(SMALL, 'my pic')
    surplus = root / 'my_pic_validation_00000-of-00007.tfrecord'
    surplus.write_text('mine')
    message = said_by('train', root, '--model', 'lenet', code=1)
    assert message.endswith(f"move them away, or slimtune convert '{root}' --output-dir FOLDER\n")
    root = pic({'daisy': 2, 'rose': 2}, 'few')
    message = said_by('convert', root, '--validation-fraction', 0.999, code=1)
    assert message == (f'slimtune: no usable image to train on in {root}: all were held out for validation: '
                       f'slimtune convert {root} --validation-fraction 0\n')
    said_by('convert', root, '--validation-fraction', 0)


# A folder that was received

@pytest.mark.parametrize('absolute', [False, True])
def test_a_manifest_that_names_files_elsewhere_is_refused_by_every_command(pic, here, tmp_path, absolute):
    victim = tmp_path / 'victim'
    victim.mkdir()
    (victim / 'thesis.txt').write_text('ten years of work')
    root = pic(SMALL, 'got')
    here('convert', '-t', root)
    name = str(victim / 'thesis.txt') if absolute else '../victim/thesis.txt'
    edit(root / 'dataset.json', shard={'name': name, 'bytes': 17})
    for words in (['convert', '-t', 'got'], ['train', 'got', '--model', 'lenet'],
                  ['train', '--dataset_dir=got', '--dataset_name=got', '--model_name=lenet',
                   '--train_dir=t']):
        message = here(*words, code=1)
        assert 'dataset.json: splits.train.shards[0].name is' in message, message
        assert 'expected the name of a file in the same folder' in message
    assert (victim / 'thesis.txt').read_text() == 'ten years of work'


# What was written reads back

def test_clock_times_are_classes(pic, convert):
    root = pic({f'{hour}:00': 2 for hour in range(3)})
    convert('-t', root, '--validation-fraction', 0)
    assert (root / 'label.txt').read_text() == '0:0:00\n1:1:00\n2:2:00\n'
    assert dataset_factory.get_dataset('pic', 'train', str(root)).class_names == ['0:00', '1:00', '2:00']
    convert('-t', root, '--validation-fraction', 0)
    os.remove(str(root / 'dataset.json'))
    assert dataset_factory.get_dataset('pic', 'train', str(root)).class_names == ['0:00', '1:00', '2:00']


def test_a_label_file_from_a_mac_names_the_same_classes(pic, convert):
    root = pic({'caf\u00e9': 3, 'bar': 3})
    (root / 'label.txt').write_text('cafe\u0301\nbar\n', encoding='utf-8')
    output = convert('-t', root)
    assert manifest.load(str(root)).classes == ['caf\u00e9', 'bar'] and 'New classes' not in output


def test_folders_that_become_one_class_and_classes_that_look_alike_are_reported(pic, convert):
    root = pic({'cat': 3, 'cat ': 3, 'Cat': 3, 'cafe\u0301': 2, 'caf\u00e9': 2})
    output = convert('-t', root)
    assert manifest.load(str(root)).classes == ['Cat', 'caf\u00e9', 'cat']
    assert "2 folders are the one class cat: 'cat', 'cat '" in output
    assert '2 folders are the one class caf\u00e9: ' in output
    assert 'classes that differ in capital letters only: Cat, cat' in output
    output = convert('-t', pic(SMALL, 'again'))
    assert 'one class' not in output and 'capital' not in output, 'one folder per split is the ordinary case'
