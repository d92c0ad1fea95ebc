"""What `make` stands on: finding a Python that fits, and the digits that it learns."""
import os
import pathlib
import shutil
import stat
import subprocess
import sys

import pytest
from PIL import Image

SCRIPTS = str(pathlib.Path(__file__).parents[2] / 'scripts')
FITTING = ((3, 7), (3, 11), (3, 12), (3, 13))


def find(*words, path, home):
    """Runs find_python.sh with nothing on PATH but `path`: (exit code, output, errors)."""
    process = subprocess.run(['/bin/sh', os.path.join(SCRIPTS, 'find_python.sh')] + list(words),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
                             env={'PATH': str(path), 'HOME': str(home)})
    return process.returncode, process.stdout.strip(), process.stderr


@pytest.fixture
def machine(tmp_path):
    """A folder as PATH that holds the tools of the script. machine(name, script) puts a program there.

    A script of None is this Python.
    """
    place = tmp_path / 'bin'
    place.mkdir()
    for tool in ('sed', 'basename', 'sh'):
        os.symlink(shutil.which(tool), str(place / tool))

    this_python = f'exec {os.path.realpath(sys.executable)} "$@"'

    def put(name, script=None, where=place):
        where.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(f'#!/bin/sh\n{script or this_python}\n')
        (where / name).chmod(stat.S_IRWXU)
    put.place = place
    return put


def run_here(machine, tmp_path, *words):
    return find(*words, path=machine.place, home=tmp_path)


SHIM = 'echo "pyenv: python3: command not found" >&2; exit 127'
TOO_OLD = 'case "$*" in *version_info*) exit 1;; esac; exit 0'


def test_python3_is_taken_where_it_fits(machine, tmp_path):
    machine('python3')
    code, found, _ = run_here(machine, tmp_path)
    itself = subprocess.run([os.path.realpath(sys.executable), '-c', 'import sys; print(sys.executable)'],
                            stdout=subprocess.PIPE, encoding='utf-8').stdout.strip()
    assert (code, found) == (0, itself)


@pytest.mark.parametrize('python3', [SHIM, TOO_OLD])
def test_else_the_first_that_fits_and_can_be_run(python3, machine, tmp_path):
    machine('python3', python3)
    machine('python3.11', SHIM)
    machine('python3.12')
    code, found, _ = run_here(machine, tmp_path)
    assert code == 0 and os.path.realpath(found) == os.path.realpath(sys.executable)


def test_pyenvs_own_versions_are_looked_at(machine, tmp_path):
    machine('python3', SHIM)
    machine('python3.7', SHIM)
    machine('python', None, where=tmp_path / '.pyenv' / 'versions' / '3.7.16' / 'bin')
    for words in ([], ['python3.7']):
        code, found, _ = run_here(machine, tmp_path, *words)
        assert code == 0 and os.path.realpath(found) == os.path.realpath(sys.executable)
    assert run_here(machine, tmp_path, 'python3.12')[:2] == (1, '')


def test_where_none_fits_it_says_what_to_install(machine, tmp_path):
    machine('python3', TOO_OLD)
    code, found, error = run_here(machine, tmp_path)
    assert (code, found, error) == (1, '', '')
    code, found, error = run_here(machine, tmp_path, '--explain')
    assert code == 1 and found == '' and 'no Python 3.7 or 3.11 to 3.13 found: install one' in error


def test_a_named_python_that_does_not_fit_is_named(machine, tmp_path):
    machine('python3')
    code, found, error = run_here(machine, tmp_path, 'python2.7', '--explain')
    assert code == 1 and found == ''
    assert 'python2.7 cannot be run or is not Python 3.7 or 3.11 to 3.13' in error


def test_this_python_is_one_that_fits():
    assert sys.version_info[:2] in FITTING


def test_the_digits_are_grey_images_of_28_pixels_in_class_folders(tmp_path):
    pytest.importorskip('sklearn')
    output = subprocess.run([sys.executable, os.path.join(SCRIPTS, 'digits.py'), 'pic', '5', '9'],
                            cwd=str(tmp_path), check=True, stdout=subprocess.PIPE, encoding='utf-8').stdout
    assert output == '362 images in pic\n'
    folders = {folder.name: sorted(os.listdir(str(folder))) for folder in (tmp_path / 'pic').iterdir()}
    assert {name: len(files) for name, files in folders.items()} == {'five': 182, 'nine': 180}
    for folder, files in folders.items():
        image = Image.open(str(tmp_path / 'pic' / folder / files[0]))
        assert (image.format, image.mode, image.size) == ('PNG', 'L', (28, 28))
        assert image.getextrema()[1] > 200
