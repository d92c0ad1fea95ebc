"""Installs slimtune: `pip install .`, or with one of the extras below: `pip install '.[gpu]'`.

requirements/tensorflow.txt and requirements/without-tensorflow.txt have the ranges of what slimtune needs;
requirements/tensorflow-1.14.txt and requirements/tensorflow-2.21.txt have complete sets of exact versions.
"""
import re

from setuptools import setup


def text(path):
    """What a file of this checkout holds."""
    with open(path, encoding='utf-8') as f:
        return f.read()


def requirements(path):
    """The requirements in a file, one a line, without its comments."""
    return [line for line in text(path).splitlines() if line and not line.startswith('#')]


OLD, NEW = 'python_version < "3.8"', 'python_version >= "3.11"'     # TensorFlow 1.14 and 2
EXTRAS = {
    # Not for TensorFlow 1.14: its GPU build is another package, tensorflow-gpu, and an extra would install it
    # and tensorflow into the same folder. README has the lines for it.
    'gpu': [f'tensorflow[and-cuda]; {NEW} and sys_platform == "linux"'],
    'test': [f'pytest>=7.4.4,<8; {OLD}', f'pytest>=9.2.0,<10; {NEW}',
             'pytest-xdist>=3.5,<4',
             f'hypothesis>=6.79.4,<7; {OLD}', f'hypothesis>=6.170.15,<7; {NEW}'],
    'lint': [f'ruff==0.17.6; {NEW}'],
    'bench': [f'matplotlib>=3.4.3,<3.5; {OLD}', f'matplotlib>=3.11.2,<3.12; {NEW}'],
}
#: Listed, not found: a new folder is a decision.
PACKAGES = ['slimtune'] + [f'slimtune.{name}' for name in (
    'checkpoints', 'commands', 'evaluation', 'exporting', 'features', 'images', 'inference', 'options',
    'storage', 'training', 'datasets', 'datasets.published', 'nets', 'preprocessing')]

setup(
    name='slimtune',
    version=re.search(r"__version__ = '(.+)'", text('slimtune/__init__.py')).group(1),
    description='Fine-tunes TensorFlow-slim image classifiers from the command line: '
                'convert, train, eval, export, predict.',
    long_description=text('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.7, !=3.8.*, !=3.9.*, !=3.10.*',
    # The library folders live inside the package: a top-level `datasets` would overwrite Hugging Face's.
    packages=PACKAGES,
    package_dir={'slimtune': 'slimtune', 'slimtune.datasets': 'datasets', 'slimtune.nets': 'nets',
                 'slimtune.preprocessing': 'preprocessing'},
    install_requires=(requirements('requirements/tensorflow.txt')
                      + requirements('requirements/without-tensorflow.txt')),
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['slimtune = slimtune.cli:run']},
)
