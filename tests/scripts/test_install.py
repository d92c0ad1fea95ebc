"""An sdist and a wheel work outside the checkout, and beside a TensorFlow of one's own."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

from slimtune.runtime import CURRENT

ROOT = pathlib.Path(__file__).parents[2]
PINS = f'tensorflow-{"2.21" if CURRENT else "1.14"}.txt'


def requirements(name):
    """The requirements in a file of requirements/ that hold for this Python."""
    lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith('#')]
    return [requirement for requirement in found if not requirement.marker or requirement.marker.evaluate()]


def canonical(name):
    return re.sub('[-_.]+', '-', name).lower()


def test_the_exact_versions_lie_in_the_ranges():
    pins = {canonical(pin.name): str(pin.specifier)[2:] for pin in requirements(PINS)}
    for requirement in requirements('tensorflow.txt') + requirements('without-tensorflow.txt'):
        assert requirement.specifier.contains(pins[canonical(requirement.name)]), requirement


@pytest.mark.parametrize('name', ['tensorflow.txt', 'without-tensorflow.txt'])
def test_a_range_has_a_lowest_and_a_highest_version(name):
    for requirement in requirements(name):
        assert {clause.operator for clause in requirement.specifier} == {'>=', '<'}, requirement


# Whole installations

@pytest.fixture
def machine(tmp_path):
    """A new virtual environment, in which lines are typed: machine(line, folder) -> what they print."""
    subprocess.run([sys.executable, '-m', 'venv', str(tmp_path / 'venv')], check=True)
    binaries = tmp_path / 'venv' / 'bin'

    def type_line(line, folder=tmp_path):
        path = f'{binaries}{os.pathsep}{os.environ["PATH"]}'
        env = dict(os.environ, PATH=path, SLIMTUNE_CACHE=str(tmp_path / 'cache'))
        env.pop('PYTHONPATH', None)
        process = subprocess.run(line, shell=True, cwd=str(folder), env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, universal_newlines=True)
        assert process.returncode == 0, f'{line}\n{process.stdout}'
        return process.stdout
    type_line('python -m pip install --quiet -U pip')
    return type_line


@pytest.fixture
def checkout(tmp_path):
    """A copy of the files of this checkout that are not build outputs."""
    left_out = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'demo')
    return pathlib.Path(shutil.copytree(str(ROOT), str(tmp_path / 'checkout'), ignore=left_out))


def install_lines(number):
    """The lines of a code block of README's chapter on installation."""
    chapter = (ROOT / 'README.md').read_text(encoding='utf-8').split('## Install\n')[1].split('\n## ')[0]
    return re.findall(r'^```sh\n(.*?)^```$', chapter, re.M | re.S)[number].splitlines()


@pytest.mark.slow
def test_an_sdist_and_a_wheel_install_and_run_the_demo_outside_the_checkout(machine, checkout, tmp_path):
    machine('python -m pip install --quiet "setuptools>=64" wheel')
    for build in ('sdist', 'wheel'):
        program = f"from setuptools import build_meta; build_meta.build_{build}('{tmp_path}')"
        machine(f'python -c "{program}"', checkout)
    wheel, = tmp_path.glob('*.whl')
    modules = [name for name in zipfile.ZipFile(str(wheel)).namelist() if name.endswith('.py')]
    for top in ('slimtune', 'nets', 'datasets', 'preprocessing'):
        inside = '' if top == 'slimtune' else f'{top}/'
        expected = [f'slimtune/{inside}{path.relative_to(ROOT / top)}' for path in (ROOT / top).rglob('*.py')]
        assert set(expected) <= set(modules), 'a package is missing in setup.py'
    sdist, = tmp_path.glob('*.tar.gz')
    machine(f'tar xf {sdist.name}')
    unpacked, = [path for path in tmp_path.glob('slimtune-*') if path.is_dir()]
    for line in install_lines(0)[1:]:       # the first makes the virtual environment
        output = machine(line, unpacked)
    assert f'TensorFlow {"2." if CURRENT else "1.14"}' in output
    machine(f'pip install --quiet --force-reinstall --no-deps {wheel.name}')
    (tmp_path / 'elsewhere').mkdir()
    output = machine(f'sh {unpacked}/scripts/demo.sh', tmp_path / 'elsewhere')
    assert (tmp_path / 'elsewhere' / 'demo' / 'high_lenet' / 'export' / 'frozen.pb').is_file(), output
    place = machine('python -c "import slimtune; print(slimtune.__file__)"', tmp_path / 'elsewhere')
    assert place.startswith(str(tmp_path / 'venv'))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tensorflow-cpu'] if CURRENT else ['tensorflow-gpu'])
def test_a_tensorflow_of_ones_own_is_not_overwritten(name, machine, checkout, tmp_path):
    version = '2.21.0' if CURRENT else '1.14.0'
    packages, = (tmp_path / 'venv').glob('lib/python*/site-packages')
    stub = packages / f'{name.replace("-", "_")}-{version}.dist-info'
    stub.mkdir()
    (stub / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    (stub / 'RECORD').write_text('')
    plain = machine('pip install --dry-run .', checkout)
    assert re.search(r'Would install .*\btensorflow-[\d.]+', plain), 'pip alone installs a second one'
    lines = [line for line in install_lines(1) if CURRENT or 'tf_keras' not in line]
    outputs = [machine(line.replace('pip install', 'pip install --dry-run'), checkout) for line in lines]
    installed = ' '.join(re.findall('Would install (.*)', '\n'.join(outputs)))
    assert 'slimtune-' in installed and 'numpy-' in installed
    assert not re.search(r'\btensorflow(-gpu|-cpu)?-[\d.]+', installed), installed
