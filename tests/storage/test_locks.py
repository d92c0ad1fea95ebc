"""Locks: they exclude other processes, go with their process, and are done without where there are none."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from slimtune.storage import locks

HOLD = '''
import sys
from slimtune.storage import locks
lock = locks.acquire(sys.argv[1], shared=sys.argv[2] == 'shared')
print('held', flush=True)
sys.stdin.read()
'''


def holder(path, how='alone'):
    """A process that holds a lock until its standard input ends."""
    process = subprocess.Popen([sys.executable, '-c', HOLD, str(path), how], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'held\n'
    return process


@pytest.mark.parametrize('folder', [True, False])
def test_a_lock_excludes_others_until_its_process_is_killed(tmp_path, folder):
    path = tmp_path if folder else tmp_path / 'file'
    folder or path.write_bytes(b'content')
    process = holder(path)
    assert locks.acquire(str(path)) is None and locks.acquire(str(path), shared=True) is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with locks.acquire(str(path)) as lock:
        assert lock.excludes and locks.acquire(str(path)) is None
        lock.share()
        with locks.acquire(str(path), shared=True) as other:
            assert other is not None
    assert locks.acquire(str(path)) is not None
    assert folder or path.read_bytes() == b'content'


def test_a_shared_lock_lets_readers_in_and_keeps_the_remover_out(tmp_path):
    process = holder(tmp_path, 'shared')
    with locks.acquire(str(tmp_path), shared=True) as lock:
        assert lock is not None and locks.acquire(str(tmp_path)) is None
    process.communicate()
    assert locks.acquire(str(tmp_path)) is not None


def test_waiting_ends_with_the_other_process(tmp_path):
    process = holder(tmp_path)
    threading.Timer(0.3, process.communicate).start()
    begun = time.monotonic()
    assert locks.acquire(str(tmp_path), wait=True) is not None and time.monotonic() - begun > 0.2


def test_a_lock_that_is_given_away_while_it_is_shared_is_waited_for(tmp_path):
    lock = locks.acquire(str(tmp_path))
    locks.fcntl.flock(lock._descriptor, locks.fcntl.LOCK_UN)        # as flock may do before it shares
    threading.Timer(0.3, holder(tmp_path).communicate).start()
    lock.share()
    assert lock.excludes and locks.acquire(str(tmp_path)) is None
    assert locks.acquire(str(tmp_path), shared=True) is not None


def test_only_a_lock_file_is_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        locks.acquire(str(tmp_path / 'none'))
    assert locks.acquire(str(tmp_path / 'lock'), make=True) is not None
    assert os.listdir(str(tmp_path)) == ['lock']


def test_without_locks_files_are_still_exchanged(tmp_path):
    """Windows has no fcntl."""
    code = '''
import sys
sys.modules['fcntl'] = None
from slimtune.storage import atomic, http, locks
with locks.acquire(sys.argv[1]) as lock:
    assert not lock.excludes
    lock.share()
with atomic.exchange(sys.argv[1]) as exchange:
    atomic.write_text(exchange.path('a'), 'new')
'''
    subprocess.run([sys.executable, '-c', code, str(tmp_path)], check=True)
    assert os.listdir(str(tmp_path)) == ['a'] and (tmp_path / 'a').read_text() == 'new'
