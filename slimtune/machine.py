"""What the process may use: cores and memory, with the limits of a container, and installed packages."""
import os
import re
import signal
import sys

_CGROUP = '/sys/fs/cgroup'
#: {package: (a file that it installs, pattern of its distributions' names)}: TensorFlow is also
#: tensorflow-gpu and tf-nightly
PACKAGES = {
    'TensorFlow': ('tensorflow/__init__.py', '.*tensorflow.*|tf_nightly.*'),
    'numpy': ('numpy/__init__.py', 'numpy.*'),
    'Pillow': ('PIL/__init__.py', 'pillow.*'),
    'OpenVINO': ('openvino/__init__.py', 'openvino.*')}
_UNLIMITED = 1 << 60        # cgroup v1 writes about 2^63 where there is no limit


def cores():
    """The number of cores that the process may use, at least 1, by affinity (taskset) and cgroup."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    share = _cpu_share()
    return max(1, min(allowed, -(-share[0] // share[1]))) if share else allowed


def memory():
    """The bytes of memory that the process may use, by the machine and the cgroup; None if unknown."""
    limits = [_number('memory.max'), _number('memory/memory.limit_in_bytes')]
    if hasattr(os, 'sysconf') and 'SC_PHYS_PAGES' in os.sysconf_names:
        limits.append(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
    return min((limit for limit in limits if limit and limit < _UNLIMITED), default=None)


def installed_version(file, names):
    """The version of an installed package, with its distribution's name where that is not the usual one.

    file: as pip records it, such as 'numpy/__init__.py'. names: pattern of the distributions to look at.
    Nothing is imported; Python 3.7 has no importlib.metadata.
    """
    for folder in sys.path:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            match = re.fullmatch(r'([^-]+)-([^-]+)\.dist-info', name)
            if not match or not re.fullmatch(names, match.group(1).lower()):
                continue
            if _installed(file, os.path.join(folder, name)):
                distribution, version = match.groups()
                usual = distribution.lower() in (names.split('.*')[0], file.split('/')[0])
                return version if usual else f'{version} ({distribution.replace("_", "-")})'
    return 'not installed'


def _installed(file, dist_info):
    """Whether a distribution recorded that it installed `file`."""
    try:
        with open(os.path.join(dist_info, 'RECORD'), encoding='utf-8') as f:
            return any(line.startswith(file + ',') for line in f)
    except OSError:
        return False


def _cpu_share():
    """The cgroup's (microseconds of CPU, per microseconds) by version 2, else 1; None without a limit."""
    words = _read('cpu.max').split()
    if len(words) == 2 and words[0].isdigit():
        return int(words[0]), int(words[1])
    quota, period = _number('cpu/cpu.cfs_quota_us'), _number('cpu/cpu.cfs_period_us')
    return (quota, period) if quota and period else None


def _number(name):
    text = _read(name)
    return int(text) if text.isdigit() else None        # "max" and -1 mean no limit


def _read(name):
    """A file of the process's own cgroup, else of the root cgroup (a container's own); '' without one."""
    for folder in _own_folders(name):
        try:
            with open(os.path.join(folder, os.path.basename(name)), encoding='ascii') as f:
                return f.read().strip()
        except OSError:
            continue
    return ''


def _own_folders(name):
    """Where the file may lie. name: 'cpu.max' (v2), or 'cpu/cpu.cfs_quota_us' (v1, with its controller)."""
    controller = os.path.dirname(name)
    root = os.path.join(_CGROUP, controller)
    try:
        with open('/proc/self/cgroup', encoding='ascii') as f:
            rows = [line.strip().split(':', 2) for line in f]
    except OSError:
        rows = []
    own = [path.lstrip('/') for _, controllers, path in rows if controllers == '' and not controller
           or controller in controllers.split(',')]
    return [os.path.join(root, path) for path in own] + [root]


def stop_signals():
    """The numbers of the signals that ask a command to stop. Under nohup, that of a closed terminal is not
    among them."""
    hangup = getattr(signal, 'SIGHUP', None)
    ignored = hangup is None or signal.getsignal(hangup) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] + ([] if ignored else [hangup])
