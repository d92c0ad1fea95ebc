"""Finding a checkpoint, whatever names it and whatever lies beside it."""
import os
import shutil

import numpy as np
import pytest

from slimtune.checkpoints import checkpoint
from slimtune.checkpoints.checkpoint import Checkpoint
from slimtune.errors import UserError

WEIGHTS = {'net/weights': np.float32([1, 2])}


@pytest.fixture
def folder(tmp_path, save_variables):
    """A folder, its name full of what patterns mean, with the checkpoints of the steps 9 and 10 and no `checkpoint` file."""
    place = tmp_path / '训练 [a]*'
    place.mkdir()
    for step in (10, 9):
        save_variables(WEIGHTS, place / ('model.ckpt-%d' % step))
    return str(place)


def test_the_latest_is_the_one_of_the_most_steps_where_nothing_says_otherwise(folder):
    assert checkpoint.find(folder) == checkpoint.find_latest(folder) == os.path.join(folder, 'model.ckpt-10')
    assert np.array_equal(Checkpoint(folder).value('net/weights'), [1, 2])


@pytest.mark.parametrize('said, step', [
    ('model_checkpoint_path: "model.ckpt-9"', 9), ('model_checkpoint_path: "/gone/model.ckpt-9"', 9),
    ('model_checkpoint_path: "/gone/model.ckpt-11"', 10), ('\x00 garbage {', 10), ('', 10)])
def test_the_checkpoint_file_is_believed_as_far_as_it_is_true(folder, said, step):
    with open(os.path.join(folder, 'checkpoint'), 'w') as f:
        f.write(said)
    assert checkpoint.find(folder) == os.path.join(folder, 'model.ckpt-%d' % step)


def test_a_save_that_was_killed_leaves_the_one_before(folder):
    prefix = os.path.join(folder, 'model.ckpt-11')
    shutil.copyfile(checkpoint.files(checkpoint.find(folder))[0], prefix + '.data-00000-of-00002')
    shutil.copyfile(checkpoint.files(checkpoint.find(folder))[1], prefix + '.index')
    os.mkdir(prefix + '_temp_0123')
    open(prefix + '.data-00000-of-00001.tempstate99', 'w').close()
    assert checkpoint.find(folder).endswith('model.ckpt-10')
    with pytest.raises(UserError, match='an incomplete checkpoint at .*model.ckpt-11'):
        checkpoint.find(prefix)


def test_published_weights_in_a_train_folder_are_not_resumed_from(tmp_path, save_variables):
    for name, v1 in (('inception_v3.ckpt', True), ('mobilenet_v1_0.25_128.ckpt', False)):
        save_variables(WEIGHTS, tmp_path / name, v1)
        assert checkpoint.find_latest(str(tmp_path)) is None
        assert checkpoint.find(str(tmp_path)) == str(tmp_path / name)
        for path in tmp_path.iterdir():
            path.unlink()


def test_every_file_of_a_checkpoint_names_it(folder, tmp_path, save_variables):
    prefix = os.path.join(folder, 'model.ckpt-9')
    for ending in ('', '.index', '.meta', '.data-00000-of-00001'):
        assert checkpoint.find(prefix + ending) == prefix
    v1 = save_variables(WEIGHTS, tmp_path / 'inception_v3.ckpt', v1=True)
    assert checkpoint.find(v1) == v1 and Checkpoint(v1).shapes == {'net/weights': [2]}
    assert Checkpoint(v1).step == 0
