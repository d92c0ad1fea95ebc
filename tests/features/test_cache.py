"""Features on the disk: whole or not at all, bounded, kept while they are used, no bus error."""
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from slimtune import options
from slimtune.errors import UserError
from slimtune.features import cache, feed
from slimtune.features.cache import compute, find, make_room
from slimtune.images import input_pipeline
from slimtune.images.model_input import Input
from slimtune.storage import locks

GIB = 1 << 30


@pytest.fixture(autouse=True)
def no_margin(monkeypatch):
    monkeypatch.setattr(cache, 'MARGIN', 0)


def names(folder):
    return sorted(os.listdir(os.path.join(str(folder), 'features')))


def size_of(part):
    """Bytes on the disk, headers included."""
    with tempfile.TemporaryDirectory() as folder:
        found, _ = compute(part, folder)
        return sum(os.path.getsize(os.path.join(found.folder, name)) for name in os.listdir(found.folder))


def test_features_are_found_again_and_another_graph_has_others(part_of, tmp_path):
    first, reused = compute(part_of(), str(tmp_path))
    assert not reused and len(first.labels) == part_of().dataset.num_samples
    assert np.allclose(first.features['mean:0'], first.features['scaled:0'].mean((1, 2)), atol=1e-6)
    again, reused = compute(part_of(), str(tmp_path))
    assert reused and again.folder == first.folder
    assert not compute(part_of(2.0), str(tmp_path))[1] and len(names(tmp_path)) == 2


def test_what_determines_no_pixel_is_not_part_of_the_name(part_of):
    part = part_of()
    fields = {'style', 'size', 'channels', 'grayscale', 'dct_method', 'labels_offset'}
    assert set(Input.__dataclass_fields__) == fields, (
        'a new field of Input: does it determine pixels or labels?'
    )
    keys = {part.key}
    for changed in (dict(style='vgg'), dict(size=17), dict(channels=3), dict(grayscale=True),
                    dict(dct_method='INTEGER_FAST'), dict(labels_offset=1)):
        inputs = dataclasses.replace(part.inputs, **changed)
        keys.add(dataclasses.replace(part, inputs=inputs).key)
    assert len(keys) == 7


def test_features_that_exist_are_used_however_full_the_disk_is(part_of, tmp_path, monkeypatch, said_of_fits):
    part = part_of()
    compute(part, str(tmp_path))
    monkeypatch.setattr(cache, 'MARGIN', 1 << 60)
    assert said_of_fits([part], tmp_path) == (True, '')
    assert said_of_fits([part], tmp_path, limit=0.0) == (True, '')
    fits, said = said_of_fits([part, part_of(2.0)], tmp_path)
    assert not fits and 'more than the 0 allowed (--cache-limit' in said and 'the whole net runs' in said


@pytest.fixture
def said_of_fits(capsys):
    from slimtune import terminal
    terminal.setup()

    def run(parts, folder, limit=None):
        graph = SimpleNamespace(trained=[SimpleNamespace(op=SimpleNamespace(name='head'))])
        return feed._fits(parts, graph, options.Cache('on', limit, str(folder))), capsys.readouterr().out
    return run


def test_the_least_recently_used_features_make_room(part_of, tmp_path):
    parts = [part_of(float(n)) for n in range(1, 5)]
    for n, part in enumerate(parts[:3]):
        folder = compute(part, str(tmp_path))[0].folder
        os.utime(folder, (1000 + n, 1000 + n))
    find(parts[0], str(tmp_path))       # used now: the second one is the oldest
    size = size_of(parts[0])
    assert make_room(str(tmp_path), size, 3.5 * size / GIB) >= size
    assert names(tmp_path) == sorted(part.key for part in (parts[0], parts[2]))
    assert make_room(str(tmp_path), 4 * size, 3.5 * size / GIB) < 4 * size
    assert len(names(tmp_path)) == 2, 'what makes no room for all is not removed'


def test_features_in_use_are_never_removed(part_of, tmp_path):
    parts = [part_of(1.0), part_of(2.0)]
    used, _ = compute(parts[0], str(tmp_path))
    compute(parts[1], str(tmp_path))
    os.utime(used.folder, (1000, 1000))
    size = size_of(parts[0])
    assert make_room(str(tmp_path), size, 2 * size / GIB) >= size
    assert names(tmp_path) == [parts[0].key]
    assert make_room(str(tmp_path), 2 * size, 2 * size / GIB) < 2 * size
    assert names(tmp_path) == [parts[0].key]
    del used
    assert make_room(str(tmp_path), 2 * size, 2 * size / GIB) >= 2 * size
    assert names(tmp_path) == []


@pytest.mark.parametrize('damage', ['labels.npy', '0.npy', 'short'])
def test_damaged_features_are_computed_again(part_of, tmp_path, damage):
    folder = compute(part_of(), str(tmp_path))[0].folder
    if damage == 'short':
        np.save(os.path.join(folder, 'labels.npy'), np.zeros(3, np.int64))
    else:
        with open(os.path.join(folder, damage), 'r+b') as f:
            f.truncate(100)
    found, reused = compute(part_of(), str(tmp_path))
    assert not reused and len(found.labels) == part_of().dataset.num_samples


def test_records_that_hold_fewer_images_than_they_should_give_no_features(part_of, tmp_path, monkeypatch):
    read = input_pipeline.read
    monkeypatch.setattr(
        input_pipeline, 'read', lambda *words: ((a[:5], b[:5], c) for a, b, c in read(*words))
    )
    with pytest.raises(UserError, match='holds 5 images where .* were expected: convert the images again'):
        compute(part_of(), str(tmp_path))
    assert names(tmp_path) == []


COMPUTING = '''
import os, sys
from slimtune.storage import cache_contents, locks
with cache_contents.alone(sys.argv[1]):
    beside = os.path.join(sys.argv[1], 'features', sys.argv[2])
    os.mkdir(beside)
    lock = locks.acquire(beside)
print('computing', flush=True)
sys.stdin.read()
'''


def computing(folder, name):
    """A process that is in the middle of computing the features `name`."""
    process = subprocess.Popen([sys.executable, '-c', COMPUTING, str(folder), name], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'computing\n'
    return process


def test_what_a_killed_computation_left_is_removed_and_what_runs_is_not(part_of, tmp_path):
    killed, running = (computing(tmp_path, f'{letter * 32}-1234.part') for letter in 'ab')
    earlier = tmp_path / 'features' / ('c' * 32 + '.part-1')        # of an earlier version
    earlier.mkdir()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    compute(part_of(), str(tmp_path))
    assert names(tmp_path) == sorted([part_of().key, 'b' * 32 + '-1234.part'])
    running.communicate()


def test_a_second_command_waits_for_the_same_features(part_of, tmp_path, capsys):
    part = part_of()
    other = computing(tmp_path, f'{part.key}-1234.part')
    threading.Timer(0.5, other.communicate).start()
    begun = time.time()
    compute(part, str(tmp_path))
    assert time.time() - begun > 0.4
    assert 'Another command is computing the same features: waiting for it' in capsys.readouterr().out


def test_where_there_are_no_locks_it_goes_on(part_of, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, 'fcntl', None)
    (tmp_path / 'features' / (part_of().key + '-1234.part')).mkdir(parents=True)
    assert compute(part_of(), str(tmp_path))[1] is False
    assert compute(part_of(), str(tmp_path))[1] is True


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 kB; skips where none can be mounted."""
    place = tmp_path / 'small'
    place.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=96k', 'tmpfs', str(place)], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip('needs the right to mount a file system')
    yield place
    subprocess.run(['umount', '-l', str(place)], check=True)


@pytest.mark.parametrize('reserved', [True, False])
def test_a_full_disk_is_one_line_and_leaves_nothing(part_of, small_disk, monkeypatch, reserved):
    if not reserved:        # macOS
        monkeypatch.delattr(os, 'posix_fallocate')
    (small_disk / 'other').write_bytes(bytes(70000))
    with pytest.raises(
        UserError, match='the disk is full: the features of .* images take .* MB in .*: make room'
    ):
        compute(part_of(), str(small_disk))
    assert names(small_disk) == []
    (small_disk / 'other').unlink()
    assert compute(part_of(), str(small_disk))[1] is False


def test_features_in_a_cache_that_can_only_be_read_are_used(part_of, tmp_path, monkeypatch):
    folder = compute(part_of(), str(tmp_path))[0].folder
    with contextlib.ExitStack() as stack:
        if os.getuid() == 0:
            if subprocess.run(['mount', '--bind', str(tmp_path), str(tmp_path)], check=False).returncode:
                pytest.skip('needs the right to mount, because root can write everywhere')
            stack.callback(subprocess.run, ['umount', '-l', str(tmp_path)], check=True)
            subprocess.run(['mount', '-o', 'remount,bind,ro', str(tmp_path)], check=True)
        else:
            tmp_path.chmod(0o555)
            stack.callback(tmp_path.chmod, 0o755)
        found, reused = compute(part_of(), str(tmp_path))
        assert reused and found.folder == folder
        elsewhere, reused = compute(part_of(2.0), str(tmp_path))
        assert not reused and not elsewhere.folder.startswith(str(tmp_path))
