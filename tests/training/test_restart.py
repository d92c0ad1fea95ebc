"""`--restart`: training starts over, the previous run is kept, and no mistake renames anything."""
import os
import shutil

import numpy as np
import pytest

SLIM = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--model_name=lenet', '--batch_size=2',
        '--train_dir=run']
pytestmark = pytest.mark.usefixtures('pic')


@pytest.fixture
def pic_lenet(trained, tmp_path):
    """A train folder of 60 steps, where the folder form trains: tmp_path / 'pic_lenet'."""
    return shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'pic_lenet'))


@pytest.fixture
def published(weights_of, save_variables, tmp_path, monkeypatch):
    """Writes weights of lenet for 7 classes where downloads are kept: {variable: array}."""
    monkeypatch.setenv('SLIMTUNE_CACHE', str(tmp_path / 'cache'))
    folder = tmp_path / 'cache/weights/lenet'
    folder.mkdir(parents=True)
    weights = weights_of('lenet', 7)
    save_variables(weights, folder / 'lenet.ckpt')
    return weights


def test_restart_keeps_the_previous_run_beside_the_new_one(here, values):
    here(*SLIM, '--max_number_of_steps=3')
    printed = here(*SLIM, '--max_number_of_steps=2', '--restart')
    assert 'Starting over; the previous run was moved to run.before-1' in printed
    assert 'Resuming' not in printed
    assert values('run')['global_step'] == 2 and values('run.before-1')['global_step'] == 3


@pytest.mark.parametrize('start', [[], ['--checkpoint-path', 'cache/weights/lenet/lenet.ckpt']])
def test_restart_of_the_folder_form_trains_the_head_on_the_published_weights_again(
        here, published, values, start):
    words = ['train', 'pic', '--model', 'lenet', '--max-number', 2, *start]
    for restart in ([], ['--restart']):
        assert '2 of 8 variables trained (LeNet/fc4)' in here(*words, *restart)
        after = values('pic_lenet')
        for name in ('conv1/weights', 'conv2/biases', 'fc3/weights'):
            assert np.array_equal(after['LeNet/' + name], published['LeNet/' + name]), name
    assert os.path.isdir('pic_lenet.before-1')


@pytest.mark.parametrize('name', ['pic_lenet', 'pic_lenet/model.ckpt-60', 'link/model.ckpt-60.index'])
def test_restart_from_the_train_folders_own_checkpoint_starts_from_its_weights(
        here, pic_lenet, values, name):
    os.symlink('pic_lenet', 'link')
    before = values('pic_lenet')
    printed = here('train', 'pic', '--model', 'lenet', '--max-number', 1, '--restart',
                   '--checkpoint-path', name)
    assert 'moved to pic_lenet.before-1' in printed and '2 of 8 variables trained (LeNet/fc4)' in printed
    after = values('pic_lenet')
    assert after['global_step'] == 1
    assert np.array_equal(after['LeNet/conv1/weights'], before['LeNet/conv1/weights'])
    with open('pic_lenet/run.json') as f:
        assert 'pic_lenet.before-1/model.ckpt-60' in f.read()


@pytest.mark.parametrize('mistake', [
    ['--checkpoint-path', 'gone.ckpt'], ['--trainable-scopes', 'LeNet/fc9'],
    ['--preprocessing-name', 'incepton'],
    ['--checkpoint-path', 'pic_lenet', '--checkpoint-exclude-scopes', 'LeNet/fc9'],
    ['--dataset-split-name', 'tset'],
    ['--precision', 'bfloat16', '--trainable-scopes', 'all', '--feature-cache', 'off'],
    ['--checkpoint-path', 'pic_lenet', '--model', 'cifarnet', '--train-dir', 'pic_lenet']])
def test_a_mistake_beside_restart_renames_nothing(here, pic_lenet, monkeypatch, mistake):
    monkeypatch.setattr('slimtune.training.train.trains_in_bfloat16', lambda: False)
    before = sorted(os.listdir('pic_lenet'))
    here('train', 'pic', '--model', 'lenet', '--restart', *mistake, code=1)
    assert sorted(os.listdir('.')) == ['pic', 'pic_lenet'] and sorted(os.listdir('pic_lenet')) == before


def test_restart_renames_only_train_folders(here):
    os.mkdir('run')
    with open('run/thesis.txt', 'w') as f:
        f.write('mine')
    printed = here(*SLIM, '--max_number_of_steps=2', '--restart', code=1)
    assert ('--restart renames a train folder, but run holds no training: choose another --train-dir'
            in printed)
    assert sorted(os.listdir('.')) == ['pic', 'run'] and os.listdir('run') == ['thesis.txt']


def test_restart_renames_neither_the_folder_of_the_records_nor_the_current_one(here, pic_lenet):
    shutil.copytree('pic', 'pic_lenet/pic')
    printed = here(*SLIM, '--train_dir=pic_lenet', '--dataset_dir=pic_lenet/pic', '--restart', code=1)
    assert 'tfrecord is in use' in printed
    os.chdir('pic_lenet')
    assert 'pic_lenet is in use' in here(*SLIM, '--train_dir=.', '--dataset_dir=../pic', '--restart', code=1)
    assert sorted(os.listdir('..')) == ['pic', 'pic_lenet']


@pytest.mark.parametrize('name', ['run.json', 'label.txt', 'labels.txt'])
def test_training_replaces_no_file_of_the_users_own(here, name):
    os.mkdir('run')
    with open('run/' + name, 'w') as f:
        f.write('mine')
    printed = here(*SLIM, '--max_number_of_steps=2', code=1)
    assert (f'run/{name} is not of a training, and training would replace it: choose another --train-dir'
            in printed)
    assert os.listdir('run') == [name]
