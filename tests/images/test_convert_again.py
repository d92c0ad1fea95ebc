"""What convert leaves behind for train, which calls it."""
import hashlib
import os

import pytest

from slimtune import terminal
from slimtune.errors import UserError
from slimtune.images import conversion


def tree(folder):
    """Every file of a folder: {path: hash}."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob('*') if path.is_file()}


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
    convert('-t', root, '--dataset-name', 'mine', '--validation-fraction', 0, '--train-shards', 3, '--seed', 7)
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


# Between the proof and the shards

@pytest.mark.parametrize('kept', [0, 1 << 30])
def test_what_was_proved_is_what_is_written(kept, pic, noise, monkeypatch):
    terminal.setup()
    root = pic({'a': 10, 'b': 10})
    victim = root / 'a' / 'new.jpg'
    noise('new').save(str(victim))
    proved, write = victim.read_bytes(), conversion._write_split

    def changed_first(*arguments):
        victim.write_bytes(proved + b'more')
        return write(*arguments)
    monkeypatch.setattr(conversion, 'MEMORY', kept)
    monkeypatch.setattr(conversion, '_write_split', changed_first)
    if kept:
        conversion.prepare(str(root))
        shards = b''.join(path.read_bytes() for path in root.glob('*.tfrecord'))
        assert proved in shards and proved + b'more' not in shards
    else:
        with pytest.raises(UserError, match='new.jpg changed while it was being converted: start again'):
            conversion.prepare(str(root))
        assert not list(root.glob('*.tfrecord'))
