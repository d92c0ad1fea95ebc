"""The command line as a process: what it prints where, and how it ends."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from slimtune import options

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
COMMANDS = sorted(options.COMMANDS)
HEAVY = {'tensorflow', 'tf_slim', 'numpy', 'pkg_resources', 'PIL', 'rich'}


def imported(*words):
    """The top-level modules that a run of slimtune imports."""
    process = subprocess.run([sys.executable, '-X', 'importtime', SLIMTUNE] + list(words), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, encoding='utf-8')
    return set(re.findall(r'^import time:.*\|\s*(\w+)$', process.stderr, re.M)), process


@pytest.mark.parametrize('words, code', [([], 0), (['--version'], 0), (['train', '--bach'], 2), (['trian'], 2)] + [
    ([command, '--help'], 0) for command in COMMANDS])
def test_help_and_usage_errors_come_without_tensorflow(words, code):
    modules, process = imported(*words)
    assert process.returncode == code
    assert 'slimtune' in modules or 'argparse' in modules       # or nothing was measured
    assert not modules & HEAVY


def test_slimtune_alone_says_what_there_is_and_what_to_type_first(slimtune):
    said = slimtune().stdout
    for name, command in options.COMMANDS.items():
        assert re.search(r'^  %s +%s$' % (name, re.escape(command.summary)), said, re.M)
    assert 'slimtune convert -t pic' in said
    assert slimtune('--help').stdout == slimtune('help').stdout == said


def test_version_names_the_runtime(slimtune):
    from slimtune.runtime import VERSION
    said = slimtune('--version').stdout
    assert said == 'slimtune 0.1.0, TensorFlow %s, Python %s\n' % (VERSION, sys.version.split()[0])


@pytest.mark.parametrize('command', COMMANDS)
def test_help_shows_every_option_once_with_dashes(command, slimtune):
    said = slimtune(command, '--help').stdout
    for name in options.command_options(command):
        assert len(re.findall(r'^  %s\b(?!-)' % options.flag(name), said, re.M)) == 1, name
    assert slimtune('help', command).stdout == slimtune(command, '-h').stdout == said


def test_help_tells_slims_default_and_ours(slimtune):
    said = re.sub(r'\s+', ' ', slimtune('train', '--help').stdout)
    assert 'The optimizer. [rmsprop; adam]' in said and 'Images a step. [32]' in said


@pytest.mark.parametrize('words, code, message', [
    (['trian'], 2, 'no command trian: did you mean train?'),
    (['fly'], 2, 'no command fly: '),
    (['train', '--bach-size=3'], 2, 'no option --bach-size: did you mean --batch-size'),
    (['train', '--num_clones=2'], 2, '--num-clones=2 comes in a later version: leave it at 1'),
    (['predict', '--batch-size=x', 'net', 'a.jpg'], 2, "--batch_size: invalid int value: 'x'"),
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


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs named pipes')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_says_so_and_exits_with_130(number, trained, tmp_path):
    waiting = str(tmp_path / 'waiting.png')
    os.mkfifo(waiting)
    process = subprocess.Popen([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), waiting], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, encoding='utf-8')
    pipe = None
    while pipe is None:         # until predict has opened the image and waits for its bytes
        assert process.poll() is None
        try:
            pipe = os.open(waiting, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.1)
    process.send_signal(number)
    time.sleep(1)
    os.close(pipe)              # what has been begun is finished
    assert process.communicate(timeout=60) == ('', 'slimtune: stopped\n')
    assert process.returncode == 130


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
    process = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    assert (process.returncode, process.stdout, process.stderr) == (3, 'said', 'tidied')
