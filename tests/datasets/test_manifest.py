"""dataset.json as it is written, and as others may have written or damaged it."""
import copy
import json
import os

import pytest

from slimtune.datasets import manifest
from slimtune.errors import UserError

SHARD = {'name': 'pic_train_00000-of-00001.tfrecord', 'bytes': 700, 'records': 7, 'checksum': 'ab'}
CONTENT = {
    'name': 'pic', 'classes': ['正常', '擦花'],
    'splits': {'train': {'images': 7, 'per_class': [3, 4], 'shards': [SHARD]},
               'validation': {'images': 0, 'per_class': [0, 0], 'shards': []}},
    'channels': 3, 'left_out': [{'file': 'a/x.jpg', 'why': 'empty file'}], 'seed': 5,
    'validation_fraction': 0.2, 'source': '.', 'fingerprint': 'cd', 'version': '0.1.0', 'format': 1}


def places(value, path=()):
    """The path of every value in a JSON structure, itself included."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], path + (key,))


def changed(path, value):
    """A copy of CONTENT with another value at `path`."""
    content = {'': copy.deepcopy(CONTENT)}
    container = content
    for key in ('',) + path[:-1] if path else ():
        container = container[key]
    container[path[-1] if path else ''] = value
    return content['']


@pytest.fixture
def load(tmp_path):
    """load(content) writes it as dataset.json and gives what manifest.load makes of it."""
    def write_and_load(content):
        (tmp_path / 'dataset.json').write_text(json.dumps(content), encoding='utf-8')
        return manifest.load(str(tmp_path))
    return write_and_load


def error_of(load, content):
    with pytest.raises(UserError) as error:
        load(content)
    assert '\n' not in str(error.value) and 'dataset.json' in str(error.value)
    return str(error.value)


def test_what_is_written_reads_back_as_itself(load, tmp_path):
    written = load(CONTENT)
    assert written.splits['train'].shards[0].records == 7 and written.left_out[0].why == 'empty file'
    (tmp_path / 'dataset.json').write_text(written.text(), encoding='utf-8')
    assert manifest.load(str(tmp_path)) == written
    assert json.loads(written.text()) == CONTENT
    assert '"per_class": [ 3, 4 ]' in written.text(), 'short lists on one line'


def test_what_a_later_version_adds_is_ignored_but_a_later_format_is_refused(load):
    assert load(dict(CONTENT, mood='good')) == load(CONTENT)
    assert 'written by slimtune 9.0: install that or a later' in error_of(
        load, dict(CONTENT, format=2, version='9.0', splits='of another form'))


def test_a_manifest_of_version_0_1_0_is_read(load):
    shard = {key: value for key, value in SHARD.items() if key != 'checksum'}
    splits = {'train': {'pictures': 7, 'per_class': [3, 4], 'shards': [shard]},
              'validation': {'pictures': 0, 'per_class': [0, 0], 'shards': []}}
    written = load(dict(CONTENT, splits=splits))
    assert {name: split.images for name, split in written.splits.items()} == {'train': 7, 'validation': 0}
    assert '"images": 7' in written.text() and 'pictures' not in written.text()
    splits['train']['pictures'] = 'seven'
    assert 'splits.train.pictures is "seven"' in error_of(load, dict(CONTENT, splits=splits))


def test_a_manifest_of_the_first_version_has_no_checksums(load):
    shard = {key: value for key, value in SHARD.items() if key != 'checksum'}
    assert load(changed(('splits', 'train', 'shards'), [shard])).generation('train') == ''
    assert load(CONTENT).generation('train') != load(
        changed(('splits', 'train', 'shards', 0, 'checksum'), 'ef')).generation('train')


@pytest.mark.parametrize('value', [None, True, 'text', 7, -1, 1.5, [], [7], {}, {'a': 7}], ids=json.dumps)
def test_a_value_of_another_type_is_one_line_that_names_it(load, value):
    """Every value of the file replaced: it still is a whole manifest, or the error names where it is not."""
    for path in places(CONTENT):
        content = changed(path, value)
        try:
            written = load(content)
        except UserError as e:
            named = str(e).split('dataset.json', 1)[1]
            key = next((key for key in reversed(path) if isinstance(key, str)), '')
            assert '\n' not in str(e) and (key in named or 'together' in named or 'written by' in named), path
        else:
            assert written.splits and type(written.name) is str, path


def test_a_missing_key_is_named(load):
    for path in places(CONTENT):
        key = path[-1] if path else None
        if key in ('name', 'classes', 'splits', 'images', 'per_class', 'shards', 'bytes', 'records'):
            content = copy.deepcopy(CONTENT)
            container = content
            for part in path[:-1]:
                container = container[part]
            if container is not content['splits']:
                del container[key]
                assert key + ' is missing' in error_of(load, content)


OUTSIDE = ['../victim/thesis.txt', '/etc/passwd', 'a/b', 'a\\b', '..', '.', '', 'a\0b']


@pytest.mark.parametrize('name', OUTSIDE, ids=ascii)
def test_every_name_of_a_file_is_one_of_its_own_folder(load, name):
    """Walks the manifest: whatever holds the name of a file refuses one of another folder."""
    names = [path for path in places(CONTENT) if path[-1:] == ('name',)]
    assert len(names) == 2, 'the data set and a shard: a new name needs its check'
    for path in names:
        assert 'name is' in error_of(load, changed(path, name))
    if '\0' in name:
        assert 'source is' in error_of(load, dict(CONTENT, source=name))


@pytest.mark.parametrize('path, value, message', [
    (('splits', 'train', 'images'), 8,
     'splits.train.images is 8, but the numbers of per_class are 7 together'),
    (('splits', 'train', 'per_class'), [4, 4],
     'splits.train.images is 7, but the numbers of per_class are 8 together'),
    (('splits', 'train', 'shards'), [],
     'splits.train.images is 7, but the records of its shards are 0 together'),
    (('splits', 'train', 'shards'), [SHARD, SHARD], 'pic_train_00000-of-00001.tfrecord is listed twice'),
    (('splits', 'train', 'per_class'), [7], 'splits.train.per_class has 1 numbers for 2 classes'),
    (('splits', 'train', 'per_class'), [-1, 8],
     'splits.train.per_class[0] is -1, expected no negative number'),
    (('channels',), 4, 'channels is 4, expected 1 or 3'),
    (('validation_fraction',), 1, 'validation_fraction is 1, expected at least 0 and less than 1'),
    (('classes',), ['a\nb', 'c'], "classes has 'a\\nb', expected names of one line"),
    (('classes',), ['', 'c'], "classes has '', expected names of one line"),
])
def test_numbers_that_contradict_each_other_are_named(load, path, value, message):
    assert message in error_of(load, changed(path, value))


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '\ufeff{}', '[' * 100000],
                         ids=lambda text: ascii(text)[:6])
def test_what_is_no_manifest_is_named(tmp_path, text):
    (tmp_path / 'dataset.json').write_text(text, encoding='utf-8')
    with pytest.raises(UserError, match='dataset.json'):
        manifest.load(str(tmp_path))


def test_shards_are_checked_to_have_the_size_that_is_stated(load, tmp_path):
    written = load(CONTENT)
    path = str(tmp_path / SHARD['name'])
    for size, message in ((None, 'is gone'), (0, 'is empty'),
                          (699, 'is 699 bytes long where dataset.json states 700')):
        if size is not None:
            with open(path, 'wb') as f:
                f.write(bytes(size))
        with pytest.raises(UserError, match=message):
            written.shards('train', str(tmp_path))
    with open(path, 'wb') as f:
        f.write(bytes(700))
    assert written.shards('train', str(tmp_path)) == [os.path.join(str(tmp_path), SHARD['name'])]
