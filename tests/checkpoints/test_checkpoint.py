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
    """A folder with the checkpoints of the steps 9 and 10 and no `checkpoint` file; * ? [ ] in its name."""
    place = tmp_path / '训练 [a]*'
    place.mkdir()
    for step in (10, 9):
        save_variables(WEIGHTS, place / f'model.ckpt-{step}')
    return str(place)


def test_the_latest_is_the_one_of_the_most_steps_where_nothing_says_otherwise(folder):
    assert checkpoint.find(folder) == checkpoint.find_latest(folder) == os.path.join(folder, 'model.ckpt-10')
    assert np.array_equal(Checkpoint(folder).value('net/weights'), [1, 2])


@pytest.mark.parametrize('contents, step', [
    ('model_checkpoint_path: "model.ckpt-9"', 9), ('model_checkpoint_path: "/gone/model.ckpt-9"', 9),
    ('model_checkpoint_path: "C:\\\\gone\\\\model.ckpt-9"', 9),
    ('model_checkpoint_path: "/gone/model.ckpt-11"', 10),
    ('model_checkpoint_path: "model.ckpt-9\\000"', 9), ('\x00 garbage {', 10), ('', 10)])
def test_the_checkpoint_file_says_which_of_the_folders_checkpoints_is_used(folder, contents, step):
    with open(os.path.join(folder, 'checkpoint'), 'w') as f:
        f.write(contents)
    assert checkpoint.find(folder) == os.path.join(folder, f'model.ckpt-{step}')


@pytest.mark.parametrize('path', [
    '{}/elsewhere/model.ckpt-400', '../elsewhere/model.ckpt-400', 'sub/../../elsewhere/model.ckpt-400'])
def test_a_received_folder_brings_no_weights_from_elsewhere(path, tmp_path, save_variables, here):
    """Neither by an absolute path nor by a relative one; what lies in the folder itself is still found."""
    (tmp_path / 'elsewhere').mkdir()
    save_variables(WEIGHTS, tmp_path / 'elsewhere' / 'model.ckpt-400')
    received = tmp_path / 'received'
    (received / 'sub').mkdir(parents=True)
    path = path.format(tmp_path)
    (received / 'checkpoint').write_text(
        f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n')
    assert checkpoint.find_latest(str(received)) is None and checkpoint.find_listed(str(received)) == []
    with pytest.raises(UserError, match='names .*model.ckpt-400, which is not in this folder: copy its'):
        checkpoint.find(str(received))
    (tmp_path / 'a.png').write_bytes(b'')
    printed = here('predict', 'received', '--model-name', 'lenet', 'a.png', code=1)
    assert 'no checkpoint in received' in printed
    save_variables(WEIGHTS, received / 'model.ckpt-3')
    assert checkpoint.find(str(received)) == str(received / 'model.ckpt-3')


def test_a_save_that_was_killed_leaves_the_one_before(folder):
    prefix = os.path.join(folder, 'model.ckpt-11')
    shutil.copyfile(checkpoint.files(checkpoint.find(folder))[0], prefix + '.data-00000-of-00002')
    shutil.copyfile(checkpoint.files(checkpoint.find(folder))[1], prefix + '.index')
    os.mkdir(prefix + '_temp_0123')
    open(prefix + '.data-00000-of-00001.tempstate99', 'w').close()
    open(os.path.join(folder, 'model.ckpt-12.txt'), 'w').close()
    assert checkpoint.find(folder).endswith('model.ckpt-10')
    with pytest.raises(UserError, match='an incomplete checkpoint at .*-11: it needs model.ckpt-11.index'):
        checkpoint.find(prefix)


def test_what_tensorflow_was_still_writing_is_no_file_of_the_checkpoint(folder):
    prefix = checkpoint.find(folder)
    before, digest = checkpoint.files(prefix), checkpoint.sha256(prefix)
    for name in ('.data-00000-of-00001.tempstate7', '.index.tempstate7'):
        open(prefix + name, 'w').close()
    with open(os.path.join(folder, 'checkpoint'), 'w') as f:
        f.write('model_checkpoint_path: "model.ckpt-10"\nall_model_checkpoint_paths: "model.ckpt-10"\n')
    assert checkpoint.files(prefix) == before and checkpoint.sha256(prefix) == digest
    assert checkpoint.find_listed(folder) == [prefix]


@pytest.mark.parametrize('ending, v1', [('.index', False), ('.data-00000-of-00001', False), ('', True)])
def test_a_flipped_bit_changes_no_weight_unnoticed(ending, v1, tmp_path, save_variables):
    """One bit in every second byte: an error, or every shape and value as it was."""
    rng = np.random.RandomState(0)
    variables = {f'net/conv{n}/weights': rng.rand(n + 1, 2).astype(np.float32) for n in range(5)}
    prefix = save_variables(variables, tmp_path / 'model.ckpt-7', v1)
    with open(prefix + ending, 'rb') as f:
        good = f.read()
    noticed = 0
    for place in range(0, len(good), 2):
        damaged = bytearray(good)
        damaged[place] ^= 1 << rng.randint(8)
        with open(prefix + ending, 'wb') as f:
            f.write(damaged)
        try:
            saved = Checkpoint(prefix)
            values = {name: saved.value(name) for name in saved.shapes}
        except UserError:
            noticed += 1
            continue
        assert set(values) == set(variables)
        assert all(np.array_equal(values[name], variables[name]) for name in variables)
    assert noticed > len(good) / 4


@pytest.mark.parametrize('contents', [b'', b'no checkpoint, but longer than the end of a table: 48 bytes'])
def test_another_file_is_no_checkpoint(contents, tmp_path):
    (tmp_path / 'inception_v3.ckpt').write_bytes(contents)
    with pytest.raises(UserError, match='inception_v3.ckpt is not a checkpoint, or it is damaged .*: copy'):
        Checkpoint(str(tmp_path / 'inception_v3.ckpt'))


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
    assert checkpoint.find(folder + '/') == os.path.join(folder, 'model.ckpt-10')
    v1 = save_variables(WEIGHTS, tmp_path / 'inception_v3.ckpt', v1=True)
    assert checkpoint.find(v1) == v1 and Checkpoint(v1).shapes == {'net/weights': [2]}
    assert Checkpoint(v1).step == 0
