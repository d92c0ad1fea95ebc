"""What all tests share: the command as a user runs it, real pictures, real folders."""
import os
import subprocess
import sys

import pytest

BIN = os.path.dirname(sys.executable)
SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'scripts')
DIGITS = 20         # pictures of each class in the `pictures` fixture


@pytest.fixture
def slimtune(tmp_path):
    """slimtune(*words, code=0, **environment) runs the installed command in tmp_path and gives the finished process.

    Fails where the exit code is another; `output` is what it printed on both streams. A traceback always fails.
    """
    return runner(tmp_path)


def runner(folder):
    """The function that the `slimtune` fixture is, running in `folder`."""
    def run(*words, code=0, **environment):
        process = subprocess.run(
            [os.path.join(BIN, 'slimtune')] + [str(word) for word in words], cwd=str(folder), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8', timeout=600,
            env=dict(os.environ, PYTHONIOENCODING='utf-8', **environment))
        process.output = process.stdout + process.stderr
        assert 'Traceback' not in process.output, process.output
        assert process.returncode == code, process.output
        return process
    return run


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A folder of real pictures, zero/*.png to two/*.png: DIGITS handwritten digits each, 28 pixels square."""
    pytest.importorskip('sklearn')
    folder = tmp_path_factory.mktemp('digits') / 'all'
    subprocess.run([sys.executable, os.path.join(SCRIPTS, 'digits.py'), str(folder), '0', '1', '2'], check=True,
                   stdout=subprocess.DEVNULL)
    for place in folder.iterdir():
        for surplus in sorted(place.iterdir())[DIGITS:]:
            surplus.unlink()
    return folder


@pytest.fixture(scope='session')
def trained(digits, tmp_path_factory):
    """A folder in which `pic` holds the digits, converted, and `pic_lenet` a lenet trained on them for 60 steps.

    Shared: a test that changes anything copies it first.
    """
    import shutil
    place = tmp_path_factory.mktemp('trained')
    shutil.copytree(str(digits), str(place / 'pic'))
    runner(place)('train', 'pic', '--model', 'lenet', '--max-number-of-steps', 60, '--quiet')
    return place


@pytest.fixture(scope='session')
def real_data():
    """The folder of real pictures and weights that SLIMTUNE_TEST_DATA names; skips without."""
    folder = os.environ.get('SLIMTUNE_TEST_DATA')
    if not folder:
        pytest.skip('needs real pictures and weights: set SLIMTUNE_TEST_DATA to their folder')
    return folder
