"""The command line as a process: what it prints where, and how it ends."""
import os
import re
import signal
import subprocess
import sys

import pytest

from slimtune import options

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
COMMANDS = sorted(options.COMMANDS)
HEAVY = {'tensorflow', 'tf_slim', 'numpy', 'pkg_resources', 'PIL', 'rich'}


def imported(*words):
    """The top-level modules that a run of slimtune imports."""
    process = subprocess.run([sys.executable, '-X', 'importtime', SLIMTUNE] + list(words),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    return set(re.findall(r'^import time:.*\|\s*(\w+)$', process.stderr, re.M)), process


@pytest.mark.parametrize('words, code', [
    ([], 0), (['--version'], 0), (['--completion', 'bash'], 0), (['train', '--bach'], 2), (['trian'], 2)] + [
    ([command, '--help'], 0) for command in COMMANDS])
def test_help_and_usage_errors_come_without_tensorflow(words, code):
    modules, process = imported(*words)
    assert process.returncode == code
    assert 'slimtune' in modules        # or nothing was measured
    assert not modules & HEAVY


def test_slimtune_alone_lists_the_commands_and_what_to_type_first(slimtune):
    shown = slimtune().stdout
    for name, command in options.COMMANDS.items():
        assert re.search(r'^  %s +%s$' % (name, re.escape(command.summary)), shown, re.M)
    assert 'slimtune convert -t pic' in shown
    assert slimtune('--help').stdout == slimtune('help').stdout == shown


def test_version_names_what_the_runtime_is_made_of(slimtune):
    import numpy
    import PIL

    from slimtune import __version__
    from slimtune.runtime import VERSION
    shown = slimtune('--version').stdout
    expected = [f'slimtune {__version__}', f'Python {sys.version.split()[0]}', f'TensorFlow {VERSION}',
                f'numpy {numpy.__version__}', f'Pillow {PIL.__version__}']
    assert shown.startswith(', '.join(expected) + ', OpenVINO ')


def test_a_tensorflow_of_another_name_is_found(tmp_path, monkeypatch):
    from slimtune.machine import PACKAGES, installed_version
    monkeypatch.setattr(sys, 'path', [str(tmp_path), str(tmp_path / 'nowhere')])
    assert installed_version(*PACKAGES['TensorFlow']) == 'not installed'
    for name, file in (('tensorflow_estimator-2.0', 'tensorflow_estimator/__init__.py'),
                       ('numpy-1.16.6', 'numpy/__init__.py'),
                       ('tensorflow-9.9', 'README')):       # a wheel that only requires tensorflow-intel
        (tmp_path / f'{name}.dist-info').mkdir()
        (tmp_path / f'{name}.dist-info' / 'RECORD').write_text(f'{file},sha256=x,1\n')
    assert installed_version(*PACKAGES['TensorFlow']) == 'not installed'
    for name, shown in (('tensorflow_gpu-1.14.0', '1.14.0 (tensorflow-gpu)'),
                        ('tensorflow_intel-2.21.0', '2.21.0 (tensorflow-intel)'),
                        ('tensorflow_cpu-2.21.0', '2.21.0 (tensorflow-cpu)'),
                        ('tf_nightly-2.22.0.dev1', '2.22.0.dev1 (tf-nightly)'),
                        ('tensorflow-2.21.0', '2.21.0')):
        folder = tmp_path / f'{name}.dist-info'
        folder.mkdir()
        (folder / 'RECORD').write_text('tensorflow-1.data/x,,\ntensorflow/__init__.py,sha256=x,1\n')
        assert installed_version(*PACKAGES['TensorFlow']) == shown
        (folder / 'RECORD').unlink()


def test_windows_is_told_in_one_line_what_to_use(monkeypatch, capsys):
    from slimtune import cli
    monkeypatch.setattr(sys, 'platform', 'win32')
    assert cli.main(['train', 'pic']) == 1
    error = capsys.readouterr().err
    assert error == 'slimtune: slimtune runs on Linux and macOS. On Windows, install it in WSL\n'


@pytest.mark.parametrize('command', COMMANDS)
def test_help_shows_every_option_once_with_dashes(command, slimtune):
    shown = slimtune(command, '--help').stdout
    for name in options.command_options(command):
        assert len(re.findall(r'^  %s\b(?!-)' % options.flag(name), shown, re.M)) == 1, name
    assert slimtune('help', command).stdout == slimtune(command, '-h').stdout == shown


def test_help_tells_slims_default_and_ours(slimtune):
    shown = re.sub(r'\s+', ' ', slimtune('train', '--help').stdout)
    assert 'Optimizer. [rmsprop; adam]' in shown and 'Batch size: images per training step. [32]' in shown


@pytest.mark.parametrize('columns', [80, 200])
def test_help_is_as_wide_as_the_terminal(columns, slimtune):
    lines = slimtune('train', '--help', COLUMNS=str(columns)).stdout.splitlines()
    assert max(map(len, lines)) <= min(columns, 110)
    assert any(len(line) > min(columns, 110) - 12 for line in lines)


@pytest.mark.parametrize('words, code, message', [
    (['--completion'], 2, '--completion : expected one of bash, zsh'),
    (['--completion=fish'], 2, '--completion fish: expected one of bash, zsh'),
    (['trian'], 2, 'no command trian: did you mean train?'),
    (['fly'], 2, 'no command fly: expected convert, train, '),
    (['train', '--bach-size=3'], 2, 'no option --bach-size: did you mean --batch-size'),
    (['predict', '--batch-size=x', 'net', 'a.jpg'], 2, '--batch-size=x: expected a whole number from 1 to '
                                                       '1000000'),
    (['convert', '-t', 'nowhere'], 1, 'no folder nowhere')])
def test_a_mistake_is_one_line_on_standard_error(words, code, message, slimtune):
    process = slimtune(*words, code=code)
    assert process.stdout == ''
    assert process.stderr.startswith('slimtune: ' + message) and process.stderr.count('\n') == 1


def test_a_reader_that_has_enough_is_no_error():
    for words in (['train', '--help'], []):
        process = subprocess.Popen([SLIMTUNE] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b''
        assert process.wait() == 0


def test_a_terminal_that_lacks_letters_is_no_error():
    process = subprocess.run([SLIMTUNE, 'predict', '--help'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=dict(os.environ, PYTHONIOENCODING='ascii'))
    assert process.returncode == 0 and b'IMAGE' in process.stdout and process.stderr == b''


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_says_so_and_exits_with_130(number, trained, tmp_path):
    image = next((trained / 'pic' / 'one').iterdir())
    for n in range(5000):
        os.link(str(image), str(tmp_path / f'{n:04d}.png'))
    process = subprocess.Popen([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), str(tmp_path),
                                '--batch-size', '4', '--csv'],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    # the header and the first of 5,000 predictions
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert errors.endswith('slimtune: stopped\n') and process.returncode == 130
    assert lines[1].count(',') == lines[0].count(',') and rest.count('\n') < 4999


def test_a_command_ends_after_what_was_left_for_its_end_and_takes_nothing_apart():
    program = ('import atexit, sys; from slimtune import cli\n'
               'class Graph:\n'
               '    def __del__(self): sys.stderr.write("taken apart")\n'
               'graph = Graph()\n'
               'def main():\n'
               '    atexit.register(lambda: sys.stderr.write("tidied"))\n'
               '    sys.stdout.write("said")\n'
               '    return 3\n'
               'cli.main = main\n'
               'cli.run()')
    process = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             encoding='utf-8')
    assert (process.returncode, process.stdout, process.stderr) == (3, 'said', 'tidied')
