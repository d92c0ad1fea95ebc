"""A published data set is one file, and what `slimtune download` says next can be typed."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

from slimtune.datasets import dataset_factory, published, published_data
from slimtune.storage import cache as cache_module

pytestmark = pytest.mark.usefixtures('cache')

ROOT = pathlib.Path(__file__).parents[2]
#: All there is to add: slimtune/datasets/published/toys.py.
TOYS = '''
"""Toys: photographs of two kinds."""
from slimtune.datasets.dataset_factory import register
from slimtune.datasets.published_data import Contents, PublishedImage, Release
from slimtune.storage.archives import Archive, members

CLASS_NAMES = ['ball', 'doll']

get_split = register('toys', splits={'train': 6, 'val': 2}, file_pattern='toys_%s.tfrecord',
                     class_names=CLASS_NAMES)


def read(paths):
    """The photographs in the archive."""
    images = [PublishedImage(CLASS_NAMES.index(member.name.split('/')[0]), member.name,
                             lambda data=member.stream.read(): data)
              for member in members(paths['toys.tar.gz'])]
    return Contents(CLASS_NAMES, {'train': images[2:], 'val': images[:2]})


RELEASE = Release([Archive('https://example.com/toys.tar.gz')],
                  {'train': ('toys_train.tfrecord', 1), 'val': ('toys_val.tfrecord', 1)}, read, 'lenet')
'''


#: One without a download: slimtune/datasets/published/my_set.py, as CONTRIBUTING.md shows it.
MY_SET = re.search(r'```python\n("""My set.*?)```',
                   (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8'), re.S).group(1)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Two data sets that are added, each by its one file; only the toys can be downloaded."""
    (tmp_path / 'published').mkdir()
    (tmp_path / 'published' / 'toys.py').write_text(TOYS)
    (tmp_path / 'published' / 'my_set.py').write_text(MY_SET)
    for name in ('toys', 'my_set'):     # imported, and so registered, by another test
        monkeypatch.delitem(sys.modules, f'{published.__name__}.{name}', raising=False)
    monkeypatch.setattr(published, '__path__', list(published.__path__) + [str(tmp_path / 'published')])


@pytest.fixture
def paste(here):
    """paste(output, *more) runs the command in an output's last line with `more` words; gives its output."""
    def run(output, *more):
        line = output.splitlines()[-1]
        assert line.startswith('Next: slimtune ') and '&&' not in line, line
        printed = subprocess.run(['bash', '-c', 'printf "%s\\n" ' + line[len('Next: slimtune '):]],
                                 stdout=subprocess.PIPE, check=True).stdout.decode()
        return here(*printed.splitlines(), *more)
    return run


def test_adding_a_data_set_is_adding_one_file(toys, here, paste, jpeg, tarred, tmp_path):
    (tmp_path / 'toys.tar.gz').write_bytes(tarred({
        f'{label}/{n}.jpg': jpeg(10 * n + len(label)) for n in range(4) for label in ('ball', 'doll')}))
    assert any(line.split()[:3] == ['toys', 'data', 'set'] for line in here('download').splitlines())
    assert 'did you mean toys?' in here('download', 'toyz', code=1)
    output = here('download', 'toys', '--from', tmp_path, '--dataset-dir', 'my toys')
    assert output.splitlines()[-1] == "Next: slimtune train 'my toys' --model lenet"
    assert dataset_factory.get_dataset('toys', 'val', 'my toys').per_class == [1, 1]
    assert 'lenet on ' in paste(output, '--max-number-of-steps', 1)
    assert dataset_factory.num_classes('toys') == 2 and 'toys' in dataset_factory.names()
    output = here('download', 'toys', '--dataset-dir', 'my toys')
    assert 'toys was downloaded before: 6 train, 2 val in my toys' in output


def test_a_data_set_without_a_download_is_one_file_too(toys, here, write, tmp_path):
    write('my_set_train_00000-of-00001.tfrecord', [0, 1] * 4)
    assert dataset_factory.num_classes('my_set') == 2
    assert 'my_set' not in here('download') and 'guangdong' not in here('download')
    assert 'nothing called my_set to download' in here('download', 'my_set', code=1)
    here('cache')
    output = here('train', '--dataset-name', 'my_set', '--dataset-dir', '.', '--train-dir', 'net',
                  '--model-name', 'lenet', '--max-number-of-steps', 1)
    assert '8 images, 2 classes' in output
    assert dataset_factory.get_dataset('my_set', 'train', '.').class_names == ['good', 'bad']


def test_every_published_data_set_names_a_net_and_how_it_is_obtained():
    from slimtune.nets import nets_factory
    for name in published_data.names():
        release = published_data.release(name)
        assert release.first_net in nets_factory.NETS
        assert bool(release.archives) != bool(release.needs), 'fetched, or brought by the user'
        splits = dataset_factory.registered()[name].splits
        assert set(release.shards) == set(splits)


def test_slims_own_records_are_trained_on_where_download_finds_them(here, paste, write, tmp_path):
    for split in ('train', 'test'):
        write(f'mnist_{split}.tfrecord', [0, 1, 2] * 4)
    output = here('download', 'mnist', '--dataset-dir', tmp_path)
    assert 'left as they are' in output
    assert '12 images, 10 classes' in paste(output, '--max-number-of-steps', 1, '--train-dir', 'net')


@pytest.mark.parametrize('name, content, message', [
    ('mnist_train.tfrecord', b'mine', 'mnist_train.tfrecord'),
    ('dataset.json', b'my notes', 'dataset.json is damaged'),
    ('label.txt', b'shopping\nlist\n', 'names other classes (shopping'),
])
def test_the_users_own_files_are_an_error_and_nothing_is_touched(
        here, mnist_digits, pinned, tmp_path, name, content, message):
    archives, own = tmp_path / 'archives', tmp_path / 'own'
    archives.mkdir()
    for file, data in mnist_digits[0].items():
        (archives / file).write_bytes(data)
    pinned(mnist_digits[0])
    own.mkdir()
    (own / name).write_bytes(content)
    assert message in here('download', 'mnist', '--from', archives, '--dataset-dir', own, code=1)
    assert os.listdir(str(own)) == [name] and (own / name).read_bytes() == content


def test_weights_that_are_missing_are_downloaded_first_in_the_next_line(here, digits, monkeypatch, tmp_path):
    output = here('convert', '-t', digits, '--output-dir', 'my data')
    assert output.splitlines()[-1] == (
        "Next: slimtune download mobilenet_v1_025 && slimtune train 'my data' --model mobilenet_v1_025")
    folder = os.path.join(cache_module.cache_folder(None), 'weights', 'mobilenet_v1_025')
    os.makedirs(folder)
    with open(os.path.join(folder, 'mobilenet_v1_025.ckpt.index'), 'w'):
        pass
    output = here('convert', '-t', digits, '--output-dir', 'my data')
    assert output.splitlines()[-1] == "Next: slimtune train 'my data' --model mobilenet_v1_025"
