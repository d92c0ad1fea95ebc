"""A received train folder runs no code: whose data set modules are loaded, and what is printed otherwise."""
import json
import os
import shutil

import pytest
from slims_module import module_text

from slimtune.storage import trust

MODULE = module_text({'train': 24, 'validation': 3}, 3) + '''
open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'was_run'), 'w').close()
'''


@pytest.fixture
def received(trained, tmp_path):
    """A copy of a train folder whose run.json names a module beside it; `was_run` appears there when the
    module runs."""
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'received'))
    (tmp_path / 'received' / 'notes.py').write_text(MODULE)
    return tmp_path / 'received'


def name_module(folder, module):
    """Writes the module's path into the folder's run.json, as somebody would who wants it to run."""
    run = json.loads((folder / 'run.json').read_text())
    run['options']['dataset_module'] = module
    (folder / 'run.json').write_text(json.dumps(run))


@pytest.mark.parametrize('command', ['eval', 'export'])
@pytest.mark.parametrize('module', ['received/notes.py', '~/received/notes.py', '$HOME/received/notes.py',
                                    'ABSOLUTE'])
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
    # it finds no records of its own
    here('eval', 'received', '--dataset-module', 'received/notes.py', code=1)
    assert (received / 'was_run').exists()


def test_the_module_of_the_users_own_training_is_run_again_until_it_changes(grey_records, here, tmp_path):
    module = tmp_path / 'mine.py'
    module.write_text(MODULE)
    here('train', '--dataset-dir', grey_records, '--dataset-module', 'mine.py', '--model', 'lenet',
         '--train-dir', 'net', '--max-number-of-steps', 1, '--batch-size', 4)
    assert 'of 12 images' in here('eval', 'net')
    assert 'on 12 images of validation' in here('export', 'net')
    shutil.copytree('net', 'copied')
    assert 'add --dataset-module' in here('eval', 'copied', code=1)     # a copy may come from anywhere
    module.write_text(MODULE + '\n')
    assert 'add --dataset-module' in here('eval', 'net', code=1)


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
