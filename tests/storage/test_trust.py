"""A received train folder runs no code: whose data set modules are loaded, and what is printed otherwise."""
import json
import os
import shutil

import pytest

from slimtune.storage import trust

MODULE = '''import os
open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'was_run'), 'w').close()
from datasets import dataset_factory, dataset_utils
import tf_slim as slim
import tensorflow.compat.v1 as tf
def get_split(split_name, dataset_dir, file_pattern=None, reader=None):
    decoder = slim.tfexample_decoder.TFExampleDecoder(
        {'image/encoded': tf.FixedLenFeature((), tf.string, default_value=''),
         'image/format': tf.FixedLenFeature((), tf.string, default_value='png'),
         'image/class/label': tf.FixedLenFeature([], tf.int64, default_value=tf.zeros([], dtype=tf.int64))},
        {'image': slim.tfexample_decoder.Image(), 'label': slim.tfexample_decoder.Tensor('image/class/label')})
    return slim.dataset.Dataset(
        data_sources=os.path.join(dataset_dir, 'pic_%s_*' % split_name), reader=tf.TFRecordReader, decoder=decoder,
        num_samples={'train': 48, 'validation': 12}[split_name], items_to_descriptions={}, num_classes=3, labels_to_names=None)
'''


@pytest.fixture
def received(trained, tmp_path):
    """A copy of a train folder whose run.json names a module beside it; `was_run` appears there when the module runs."""
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'received'))
    (tmp_path / 'received' / 'notes.py').write_text(MODULE)
    return tmp_path / 'received'


def name_module(folder, module):
    """Writes the module's path into the folder's run.json, as somebody would who wants it to run."""
    run = json.loads((folder / 'run.json').read_text())
    run['options']['dataset_module'] = module
    (folder / 'run.json').write_text(json.dumps(run))


@pytest.mark.parametrize('command', ['eval', 'export'])
@pytest.mark.parametrize('module', ['received/notes.py', '~/received/notes.py', '$HOME/received/notes.py', 'ABSOLUTE'])
def test_a_received_folder_runs_no_module(command, module, received, here, monkeypatch):
    monkeypatch.setenv('HOME', str(received.parent))
    module = module.replace('ABSOLUTE', str(received / 'notes.py'))
    name_module(received, module)
    printed = here(command, 'received', code=1)
    assert printed.startswith(f'slimtune: received/run.json names the data set module {module}, ')
    assert 'add --dataset-module ' in printed
    assert not (received / 'was_run').exists()


def test_predict_needs_no_module_and_runs_none(received, digits, here):
    name_module(received, str(received / 'notes.py'))
    assert '%' in here('predict', 'received', sorted((digits / 'one').iterdir())[0])
    assert not (received / 'was_run').exists()


def test_a_typed_module_is_run(received, here):
    name_module(received, 'elsewhere.py')
    here('eval', 'received', '--dataset-module', 'received/notes.py', code=1)      # its counts are others: it was asked
    assert (received / 'was_run').exists()


def test_the_module_of_the_users_own_training_is_run_again_until_it_changes(trained, received, here, tmp_path):
    module = tmp_path / 'mine.py'
    module.write_text(MODULE)
    data = [str(trained / 'pic'), '--dataset-module', 'mine.py']
    counts = json.loads((trained / 'pic' / 'dataset.json').read_text())['splits']
    module.write_text(MODULE.replace("'train': 48, 'validation': 12", ', '.join(
        f'{split!r}: {counts[split]["images"]}' for split in ('train', 'validation'))))
    here('train', *data, '--model', 'lenet', '--train-dir', 'mine', '--max-number-of-steps', 1, '--batch-size', 4)
    assert 'Accuracy' in here('eval', 'mine')
    shutil.copytree('mine', 'copied')
    assert 'add --dataset-module' in here('eval', 'copied', code=1)     # it may come from anywhere
    module.write_text(module.read_text() + '\n')
    assert 'add --dataset-module' in here('eval', 'mine', code=1)


def test_a_record_counts_for_its_folder_its_module_and_its_owner(tmp_path, monkeypatch):
    for name in ('mine.py', 'other.py'):
        (tmp_path / name).write_text('same bytes')
    train_dir, module = str(tmp_path / 'net'), str(tmp_path / 'mine.py')
    assert not trust.is_trusted(train_dir, module)
    trust.remember(train_dir, module)
    assert trust.is_trusted(train_dir, module)
    assert not trust.is_trusted(train_dir, str(tmp_path / 'other.py'))
    assert not trust.is_trusted(str(tmp_path / 'other'), module)
    assert not trust.is_trusted(train_dir, str(tmp_path / 'nowhere.py'))
    monkeypatch.setattr(os, 'getuid', lambda: 12345)
    assert not trust.is_trusted(train_dir, module)


def test_a_damaged_record_is_no_trust(tmp_path, monkeypatch):
    monkeypatch.setenv('SLIMTUNE_CACHE', str(tmp_path / 'cache'))
    module = tmp_path / 'mine.py'
    module.write_text('')
    trust.remember(str(tmp_path), str(module))
    (record,) = (tmp_path / 'cache' / 'trusted_modules').iterdir()
    record.write_text('{"train_dir": 7}')
    assert not trust.is_trusted(str(tmp_path), str(module))
