"""What a container or taskset allows is what slimtune counts on."""
import os
import subprocess
import sys

import pytest

from slimtune import machine


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='this system has no affinity')
def test_taskset_decides_how_many_cores_there_are():
    one = min(os.sched_getaffinity(0))
    program = ('import os; from slimtune import machine\n'
               f'os.sched_setaffinity(0, {{{one}}}); print(machine.cores())')
    assert subprocess.check_output([sys.executable, '-c', program]).split() == [b'1']


@pytest.mark.parametrize('files, cores, memory', [
    ({'cpu.max': '150000 100000', 'memory.max': '1000000'}, 2, 1000000),
    ({'cpu.max': 'max 100000', 'memory.max': 'max'}, 64, None),
    ({'cpu/cpu.cfs_quota_us': '50000', 'cpu/cpu.cfs_period_us': '100000',
      'memory/memory.limit_in_bytes': '4096'}, 1, 4096),
    ({'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000'}, 64, None),
])
def test_a_containers_share_counts(tmp_path, monkeypatch, files, cores, memory):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + '\n')
    monkeypatch.setattr(machine, '_CGROUP', str(tmp_path))
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(64)), raising=False)
    assert machine.cores() == cores
    assert machine.memory() == (memory or os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))


def test_under_nohup_a_closed_terminal_is_no_reason_to_stop():
    program = 'import signal; from slimtune import machine; print(signal.SIGHUP in machine.stop_signals())'
    for word, expected in (([], b'True'), (['nohup'], b'False')):
        printed = subprocess.run([*word, sys.executable, '-c', program], stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True).stdout
        assert printed.split() == [expected]
