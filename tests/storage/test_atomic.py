"""Files appear whole or not at all, whenever a command is killed."""
import os
import subprocess
import sys

import pytest

from slimtune.errors import UserError
from slimtune.storage import atomic

# Replaces the set {a: old, b: old} by {a: new, c: new} and kills itself at the Nth step of the folder's renaming.
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
