"""`--restart`: training starts over, nothing is lost, and nothing is renamed before everything it needs was read."""
import os
import shutil

import numpy as np
import pytest

SLIM = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--model_name=lenet', '--batch_size=2', '--train_dir=run']


@pytest.fixture(autouse=True)
def pic(trained, tmp_path):
    """The converted images, in `pic`."""
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))


@pytest.fixture
def trained_before(trained, tmp_path):
    """A train folder of 60 steps, `pic_lenet`, which is where the folder form trains."""
    return shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'pic_lenet'))


@pytest.fixture
def published(weights_of, save_variables, tmp_path, monkeypatch):
    """Published weights of lenet, of 7 classes, in the cache: {variable: array}."""
    monkeypatch.setenv('SLIMTUNE_CACHE', str(tmp_path / 'cache'))
    folder = tmp_path / 'cache/weights/lenet'
    folder.mkdir(parents=True)
    weights = weights_of('lenet', 7)
    save_variables(weights, folder / 'lenet.ckpt')
    return weights


def test_restart_keeps_the_previous_run_beside_the_new_one(here, values):
    here(*SLIM, '--max_number_of_steps=3')
    output = here(*SLIM, '--max_number_of_steps=2', '--restart')
    assert 'Starting over; the previous run was moved to run.before-1' in output and 'Resuming' not in output
    assert values('run')['global_step'] == 2 and values('run.before-1')['global_step'] == 3


@pytest.mark.parametrize('named', [[], ['--checkpoint-path', 'cache/weights/lenet/lenet.ckpt']])
def test_restart_of_a_folder_trains_the_head_on_the_published_weights_again(here, published, values, named):
    words = ['train', 'pic', '--model', 'lenet', '--max-number', 2, *named]
    for restart in ([], ['--restart']):
        assert '2 of 8 variables trained (LeNet/fc4)' in here(*words, *restart)
        after = values('pic_lenet')
        for name in ('conv1/weights', 'conv2/biases', 'fc3/weights'):
            assert np.array_equal(after['LeNet/' + name], published['LeNet/' + name]), name
    assert os.path.isdir('pic_lenet.before-1')


@pytest.mark.parametrize('name', ['pic_lenet', 'pic_lenet/model.ckpt-60', 'link/model.ckpt-60.index'])
def test_restart_from_the_train_folders_own_checkpoint_starts_from_its_weights(here, trained_before, values, name):
    os.symlink('pic_lenet', 'link')
    before = values('pic_lenet')
    output = here('train', 'pic', '--model', 'lenet', '--max-number', 1, '--restart', '--checkpoint-path', name)
    assert 'moved to pic_lenet.before-1' in output and '2 of 8 variables trained (LeNet/fc4)' in output
    after = values('pic_lenet')
    assert after['global_step'] == 1 and np.array_equal(after['LeNet/conv1/weights'], before['LeNet/conv1/weights'])
    with open('pic_lenet/run.json') as f:
        assert 'pic_lenet.before-1/model.ckpt-60' in f.read()


@pytest.mark.parametrize('mistake', [
    ['--checkpoint-path', 'gone.ckpt'], ['--trainable-scopes', 'LeNet/fc9'], ['--preprocessing-name', 'incepton'],
    ['--checkpoint-path', 'pic_lenet', '--checkpoint-exclude-scopes', 'LeNet/fc9'], ['--dataset-split-name', 'tset'],
    ['--precision', 'bfloat16', '--trainable-scopes', 'all', '--feature-cache', 'off'],
    ['--checkpoint-path', 'pic_lenet', '--model', 'cifarnet', '--train-dir', 'pic_lenet']])
def test_a_mistake_beside_restart_renames_nothing(here, trained_before, monkeypatch, mistake):
    monkeypatch.setattr('slimtune.training.train.trains_in_bfloat16', lambda: False)
    before = sorted(os.listdir('pic_lenet'))
    here('train', 'pic', '--model', 'lenet', '--restart', *mistake, code=1)
    assert sorted(os.listdir('.')) == ['pic', 'pic_lenet'] and sorted(os.listdir('pic_lenet')) == before


def test_restart_renames_no_folder_that_is_not_a_train_folder(here):
    os.mkdir('run')
    with open('run/thesis.txt', 'w') as f:
        f.write('mine')
    output = here(*SLIM, '--max_number_of_steps=2', '--restart', code=1)
    assert '--restart renames a train folder, but run holds no training: choose another --train-dir' in output
    assert sorted(os.listdir('.')) == ['pic', 'run'] and os.listdir('run') == ['thesis.txt']


def test_restart_renames_neither_the_folder_of_the_records_nor_the_one_it_runs_in(here, trained_before):
    shutil.copytree('pic', 'pic_lenet/pic')
    output = here(*SLIM, '--train_dir=pic_lenet', '--dataset_dir=pic_lenet/pic', '--restart', code=1)
    assert 'tfrecord is in use' in output
    os.chdir('pic_lenet')
    assert 'pic_lenet is in use' in here(*SLIM, '--train_dir=.', '--dataset_dir=../pic', '--restart', code=1)
    assert sorted(os.listdir('..')) == ['pic', 'pic_lenet']


@pytest.mark.parametrize('name', ['run.json', 'label.txt', 'labels.txt'])
def test_training_replaces_no_file_of_the_users_own(here, name):
    os.mkdir('run')
    with open('run/' + name, 'w') as f:
        f.write('mine')
    output = here(*SLIM, '--max_number_of_steps=2', code=1)
    assert f'run/{name} is not of a training, and training would replace it: choose another --train-dir' in output
    assert os.listdir('run') == [name]
