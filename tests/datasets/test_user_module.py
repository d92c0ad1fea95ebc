"""The user's own data set module, written for slim, loaded by its path."""
import subprocess
import sys
import types

import pytest
from slims_module import module_text

from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.runtime import CURRENT

OF_2017, OF_2020 = (module_text({'train': 4, 'validation': 350}, 2, dialect) for dialect in ('2017', '2020'))


@pytest.fixture
def module(tmp_path):
    """Writes a module: module(text) -> its path."""
    def make(text, name='mine.py'):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)
    return make


@pytest.mark.parametrize('text', [OF_2020] if CURRENT else [OF_2020, OF_2017],
                         ids=['2020', '2017'][:2 - CURRENT])
def test_a_copy_of_slims_flowers_works_unchanged(module, write, tmp_path, said, text):
    for split in ('train', 'validation'):
        write('mine_%s_00000-of-00001.tfrecord' % split, [0, 1, 1, 1])
    (tmp_path / 'labels.txt').write_text('0:good\n1:bad\n')
    hugging_face = sys.modules['datasets'] = types.ModuleType('datasets')
    try:
        name = dataset_factory.load_module(module(text))
        dataset = dataset_factory.get_dataset(name, 'train', str(tmp_path))
        assert sys.modules.pop('datasets') is hugging_face
    finally:
        sys.modules.pop('datasets', None)
    assert (name, dataset.num_samples, dataset.per_class) == ('mine', 4, [1, 3])
    assert dataset.class_names == ['good', 'bad']
    assert said() == ''
    assert dataset_factory.num_classes('mine') == 2
    assert dataset_factory.get_dataset('mine', 'validation', str(tmp_path)).num_samples == 4
    assert ('the module of mine states that validation has 350 images, but its records hold 4: using 4'
            in said())
    with pytest.raises(UserError, match='choose from train, validation'):
        dataset_factory.get_dataset('mine', 'test', str(tmp_path))


def test_classes_that_a_module_does_not_name_have_numbers(module, tmp_path, write):
    text = OF_2020.replace(', labels_to_names=labels_to_names)', ')')
    assert text != OF_2020
    write('mine_train_00000-of-00001.tfrecord', [0, 1])
    dataset = dataset_factory.get_dataset(dataset_factory.load_module(module(text)), 'train', str(tmp_path))
    assert dataset.class_names == ['class 0', 'class 1']


def test_a_users_module_has_the_splits_that_it_has_files_for(module, tmp_path, write):
    name = dataset_factory.load_module(module(OF_2020))
    write('mine_train_00000-of-00001.tfrecord', [0, 1])
    assert dataset_factory.split_names(name, str(tmp_path)) == ['train']
    write('mine_validation_00000-of-00001.tfrecord', [0, 1])
    assert dataset_factory.split_names(name, str(tmp_path)) == ['train', 'validation']


@pytest.mark.skipif(not CURRENT, reason='TensorFlow 1 has tf.contrib')
def test_on_current_tensorflow_contrib_gets_one_clear_line(module):
    path = module(OF_2017)
    with pytest.raises(UserError) as error:
        dataset_factory.load_module(path)
    line = OF_2017.split('\n').index('slim = tf.contrib.slim') + 1
    assert str(error.value).startswith('%s, line %d: tf.contrib is gone' % (path, line))
    assert 'import tf_slim as slim' in str(error.value)


def test_a_module_may_register_itself_and_be_called_something_else(module, write, tmp_path):
    path = module('from slimtune.datasets.dataset_factory import register\n'
                  'get_split = register("ours", splits={"train": None}, class_names=["a", "b"])\n')
    assert dataset_factory.load_module(path) == 'ours'
    write('ours_train_00000-of-00001.tfrecord', [0, 1])
    assert dataset_factory.get_dataset('ours', 'train', str(tmp_path)).class_names == ['a', 'b']
    assert dataset_factory.load_module(module(OF_2020), 'another_name') == 'another_name'


def test_a_module_may_build_on_slims_flowers(module, write, tmp_path):
    path = module('import datasets.mnist\n'
                  'from datasets.flowers import CLASS_NAMES\n'
                  'from slimtune.datasets.dataset_factory import register\n'
                  'assert datasets.mnist.CLASS_NAMES[0] == "zero"\n'
                  'get_split = register("ours", splits={"train": None}, class_names=CLASS_NAMES)\n')
    before = dataset_factory.registered()['flowers']
    assert dataset_factory.load_module(path) == 'ours'
    assert dataset_factory.registered()['flowers'] is before
    write('ours_train_00000-of-00001.tfrecord', [0, 1])
    assert dataset_factory.get_dataset('ours', 'train', str(tmp_path)).class_names[4] == 'tulips'


@pytest.mark.parametrize('name', ['cifar10', 'flowers', 'guangdong', 'imagenet', 'mnist', 'visualwakewords'])
def test_slims_names_of_the_data_set_modules_can_be_imported(name):
    program = (f'import slimtune.datasets.{name}\n'
               f'from slimtune.datasets.{name} import get_split\n'
               f'from slimtune.datasets import {name}, dataset_factory\n'
               f'import slimtune.datasets.published.{name} as published\n'
               f'assert slimtune.datasets.{name} is {name} is published\n'
               f'entry = dataset_factory._registered["{name}"]\n'
               f'assert dataset_factory.registered()["{name}"] is entry, "registered once"\n'
               f'assert get_split.registered == "{name}"\n')
    subprocess.run([sys.executable, '-c', program], check=True)


@pytest.mark.parametrize('text, said', [
    ('x = 1\ndef broken(:\n', 'line 2: '),
    ('import os\nos.nothing_like_it\n', 'line 2: AttributeError'),
    ('x = 1\n', 'has no get_split'),
])
def test_a_module_that_fails_is_named_with_its_line(module, text, said):
    path = module(text)
    with pytest.raises(UserError) as error:
        dataset_factory.load_module(path)
    assert path in str(error.value) and said in str(error.value) and '\n' not in str(error.value)
    assert 'datasets' not in sys.modules


def test_labels_beyond_the_modules_classes_are_refused(module, write, tmp_path):
    dataset_factory.load_module(module(OF_2020))
    write('mine_train_00000-of-00001.tfrecord', [1, 2])
    with pytest.raises(UserError, match='number them from 0 on'):
        dataset_factory.get_dataset('mine', 'train', str(tmp_path))


def test_a_module_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match='no file'):
        dataset_factory.load_module(str(tmp_path / 'nowhere.py'))
