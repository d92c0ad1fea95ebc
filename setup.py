"""Installs slimtune. The pins are sets that were installed and tested together, one per runtime."""
import re

from setuptools import setup

with open('slimtune/__init__.py', encoding='utf-8') as f:
    VERSION = re.search(r"__version__ = '(.+)'", f.read()).group(1)
with open('README.md', encoding='utf-8') as f:
    README = f.read()

REFERENCE = "python_version < '3.8'"    # TensorFlow 1.14
CURRENT = "python_version >= '3.11'"    # TensorFlow 2.21
# OpenVINO has wheels for these machines only; without it everything runs on TensorFlow.
WHEEL = "(platform_machine == 'x86_64' or platform_machine == 'AMD64')"

#: package: (version on the reference runtime, version on the current one)
REQUIRED = {
    'tensorflow': ('1.14.0', '2.21.0'),
    'tf-slim': ('1.1.0', '1.1.0'),
    'tf_keras': (None, '2.21.0'),
    'tensorboard': ('1.14.0', '2.21.0'),
    'protobuf': ('3.20.3', '7.36.2'),
    'gast': ('0.2.2', None),
    'numpy': ('1.16.6', '2.4.6'),
    'pillow': ('9.5.0', '13.0.0'),
    'absl-py': ('2.1.0', '2.5.1'),
    'google-crc32c': ('1.5.0', '1.9.0'),
    'rich': ('13.8.1', '15.0.0'),
    'scikit-learn': ('1.0.2', '1.9.1'),
    'threadpoolctl': ('3.1.0', '3.8.0'),
    'requests': ('2.31.0', '2.34.2'),
    'urllib3': ('1.26.20', '2.8.0'),        # 2.0 refuses the OpenSSL of the machines that still have Python 3.7
}
EXTRAS = {
    'bench': {'matplotlib': ('3.4.3', '3.11.2')},
    'lint': {'ruff': (None, '0.17.6')},
    'test': {'pytest': ('7.4.4', '9.2.0'), 'hypothesis': ('6.79.4', '6.170.15')},
}


def requirements(table):
    """Rows of the table as requirement strings with environment markers."""
    return ['%s==%s; %s' % (name, version, marker)
            for name, versions in table.items()
            for version, marker in zip(versions, (REFERENCE, CURRENT)) if version]


#: Listed, not found: a new folder is a decision.
PACKAGES = ['slimtune'] + ['slimtune.' + name for name in (
    'checkpoints', 'commands', 'evaluation', 'exporting', 'features', 'images', 'inference', 'options', 'storage', 'training',
    'datasets', 'datasets.published', 'nets', 'preprocessing')]

setup(
    name='slimtune',
    version=VERSION,
    description='Fine-tunes TensorFlow-slim image classifiers from the command line: '
                'convert, train, eval, export, predict.',
    long_description=README,
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.7, !=3.8.*, !=3.9.*, !=3.10.*',
    # The library folders live inside the package: a top-level `datasets` would overwrite Hugging Face's.
    packages=PACKAGES,
    package_dir={'slimtune': 'slimtune', 'slimtune.datasets': 'datasets', 'slimtune.nets': 'nets',
                 'slimtune.preprocessing': 'preprocessing'},
    install_requires=requirements(REQUIRED) + [
        'openvino==2023.1.0; %s and %s' % (REFERENCE, WHEEL),
        'openvino==2026.4.1; %s and %s' % (CURRENT, WHEEL)],
    extras_require={name: requirements(table) for name, table in EXTRAS.items()},
    entry_points={'console_scripts': ['slimtune = slimtune.cli:run']},
)
