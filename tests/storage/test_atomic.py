"""Files appear whole or not at all, whenever a command is killed."""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, sets

from slimtune.errors import UserError
from slimtune.storage import atomic

# Replaces the set {a: old, b: old} by {a: new, c: new} and kills itself at the Nth step of the folder's
# renaming.
KILLED = '''
import os, signal, sys
from slimtune.storage import atomic
folder, last = sys.argv[1], int(sys.argv[2])
steps = 0
def step(function):
    def counted(*words, **more):
        global steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*words, **more)
    return counted
for name in ('replace', 'remove', 'mkdir', 'listdir', 'fsync'):
    setattr(os, name, step(getattr(os, name)))
with atomic.exchange(folder) as exchange:
    exchange.remove(['a', 'b'])
    for name in 'ac':
        with open(exchange.path(name), 'w') as f:
            f.write('new')
'''


def content(folder):
    return {name: (folder / name).read_text() for name in sorted(os.listdir(str(folder)))}


def test_a_command_killed_at_any_step_leaves_the_old_files_or_the_new_ones(tmp_path):
    old, new = {'a': 'old', 'b': 'old'}, {'a': 'new', 'c': 'new'}
    seen = []
    for last in range(1, 40):
        folder = tmp_path / str(last)
        folder.mkdir()
        for name, text in old.items():
            (folder / name).write_text(text)
        ended = subprocess.run([sys.executable, '-c', KILLED, str(folder), str(last)], check=False)
        atomic.settle(str(folder))
        seen.append(content(folder))
        assert seen[-1] in (old, new)
        if ended.returncode == 0:
            break
        assert ended.returncode == -9
    assert ended.returncode == 0, 'the last run is not killed'
    assert seen.count(old) > 1, 'some die before the journal'
    assert seen.count(new) > 2, 'some die after it'


def test_what_fails_leaves_nothing(tmp_path):
    folder = tmp_path / 'new'
    with pytest.raises(KeyError), atomic.exchange(str(folder)) as exchange:
        with open(exchange.path('a'), 'w') as f:
            f.write('half')
        raise KeyError
    assert not folder.exists()


def test_two_commands_do_not_write_to_one_folder(tmp_path):
    with atomic.exchange(str(tmp_path)) as exchange:
        with open(exchange.path('a'), 'w') as f:
            f.write('first')
        with pytest.raises(UserError, match='another command is writing to'), atomic.exchange(str(tmp_path)):
            pass
        atomic.settle(str(tmp_path))     # a reader in between disturbs nothing
    assert content(tmp_path) == {'a': 'first'}


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path):
    path = tmp_path / '标签.txt'
    atomic.write_text(str(path), '正常\n')
    atomic.write_text(str(path), '其他\n')
    assert path.read_bytes() == '其他\n'.encode('utf-8')
    assert os.listdir(str(tmp_path)) == [path.name]


def journal(folder, text, stage=('a',)):
    """Puts a journal into the folder, and a stage that holds these files."""
    (folder / '.slimtune-journal.json').write_text(text)
    (folder / '.slimtune-new').mkdir()
    for name in stage:
        (folder / '.slimtune-new' / name).write_text('new')


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else None
            for path in sorted(folder.rglob('*'))}


@pytest.mark.parametrize(
    'text',
    [
        '{"new": ["../evil"], "gone": []}',
        '{"new": [], "gone": ["../thesis"]}',
        '{"new": [], "gone": ["sub/a"]}',
        '{"new": [], "gone": ["/etc/thesis"]}',
        '{"new": ["a\\u0000"], "gone": []}',
        '{"new": [".."], "gone": []}',
        '{"new": "a", "gone": []}',
        '{"new": ["a"]}',
        '{"new": [1], "gone": []}',
        '{"new": ["a"], "go',
        '[]',
        '',
        '{"new": ["folder"], "gone": []}',
        '{"new": [], "gone": ["a", "folder"]}',
    ],
)
@pytest.mark.parametrize('command', ['settle', 'exchange'])
def test_a_received_journal_that_slimtune_did_not_write_touches_nothing(tmp_path, text, command):
    (tmp_path / 'thesis').write_text('mine')
    folder = tmp_path / 'got'
    (folder / 'folder').mkdir(parents=True)
    (folder / 'a').write_text('old')
    journal(folder, text)
    before = tree(tmp_path)
    with pytest.raises(
        UserError, match=r'remove .slimtune-journal.json and .slimtune-new, and trust nothing'
    ):
        if command == 'settle':
            atomic.settle(str(folder))
        else:
            with atomic.exchange(str(folder)):
                pass
    assert tree(tmp_path) == before


def test_a_stage_that_is_a_link_is_an_error_and_its_target_stays(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'a').write_text('mine')
    folder = tmp_path / 'got'
    folder.mkdir()
    (folder / '.slimtune-new').symlink_to(tmp_path / 'mine')
    for text in (None, '{"new": ["a"], "gone": []}'):
        if text:
            (folder / '.slimtune-journal.json').write_text(text)
        with pytest.raises(UserError, match='is not a folder'):
            atomic.settle(str(folder))
    assert (tmp_path / 'mine' / 'a').read_text() == 'mine' and not (folder / 'a').exists()


def test_a_journal_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(str(tmp_path / '.slimtune-journal.json'))
    with pytest.raises(UserError, match='is not a file'):
        atomic.settle(str(tmp_path))


def test_a_file_of_the_users_own_is_not_replaced(tmp_path):
    (tmp_path / 'label.txt').write_text('my notes')
    (tmp_path / 'metrics.json').mkdir()
    for name in ('label.txt', 'metrics.json'):
        message = f'{name} exists and slimtune did not write it'
        with pytest.raises(UserError, match=message), atomic.exchange(str(tmp_path)) as exchange:
            exchange.path(name)
    for name in ('../thesis', '/thesis', 'a\0', 'metrics.json'):
        with pytest.raises(UserError, match='it is not removed'), atomic.exchange(str(tmp_path)) as exchange:
            exchange.remove(['label.txt', name])
    assert sorted(os.listdir(str(tmp_path))) == ['label.txt', 'metrics.json']
    assert (tmp_path / 'label.txt').read_text() == 'my notes'


def test_label_files_are_renamed_first(tmp_path):
    """slim's own scripts, which know no journal, then find the names of the first records."""
    with atomic.exchange(str(tmp_path)) as exchange:
        for name in ('a.tfrecord', 'label.txt', 'labels.txt', 'dataset.json'):
            atomic.write_text(exchange.path(name), 'new')
        exchange.commit()
        with open(str(tmp_path / '.slimtune-journal.json')) as f:
            assert json.load(f)['new'] == ['label.txt', 'labels.txt', 'a.tfrecord', 'dataset.json']


@given(
    old=sets(sampled_from('abcd')),
    new=sets(sampled_from('abcd'), min_size=1),
    gone=sets(sampled_from('abcd')),
    kills=lists(integers(1, 30), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_kills_leaves_the_old_files_or_the_new_ones(old, new, gone, kills):
    """Kills are errors here, at every change of a file: SIGKILL is in the test above."""
    with tempfile.TemporaryDirectory() as folder:
        for name in old:
            atomic.write_text(os.path.join(folder, name), 'old')
        before = dict.fromkeys(old, 'old')
        after = dict(dict.fromkeys(old - gone, 'old'), **dict.fromkeys(new, 'new'))
        with contextlib.suppress(Killed), dying(kills[:1]), atomic.exchange(folder) as exchange:
            exchange.remove(old & (gone | new))
            for name in sorted(new):
                with open(exchange.path(name), 'w') as f:
                    f.write('new')
        for kill in kills[1:]:
            with contextlib.suppress(Killed), dying([kill]):
                atomic.settle(folder)
        atomic.settle(folder)
        assert content(pathlib.Path(folder)) in ((before, after) if kills else (after,))


class Killed(BaseException):
    """What stands for SIGKILL."""


@contextlib.contextmanager
def dying(after):
    """From the Nth change of a file on, every change raises, in `finally` blocks too. after: [N] or []."""
    changes = itertools.count(1)

    def step(function):
        def counted(*words, **more):
            if after and next(changes) >= after[0]:
                raise Killed
            return function(*words, **more)
        return counted
    with pytest.MonkeyPatch.context() as patch:
        for name in ('replace', 'remove', 'mkdir', 'rmdir', 'fsync', 'unlink'):
            patch.setattr(os, name, step(getattr(os, name)))
        patch.setattr(shutil, 'rmtree', step(shutil.rmtree))
        yield
