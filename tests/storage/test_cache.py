"""The cache: small records, no home, a folder that cannot be written or only read."""
import json
import os
import subprocess
import sys
import tempfile

import pytest

from slimtune.storage import cache

as_root = pytest.mark.skipif(not hasattr(os, 'getuid') or os.getuid() != 0,
                             reason='only root can become another user')

@pytest.fixture(autouse=True)
def process(monkeypatch):
    """Every test is a process of its own as far as the cache's warnings and temporary folder go."""
    for name in ('_fallback', '_warned'):
        monkeypatch.setattr(cache, name, [])


def python(code, cwd, **environment):
    """The output of `code`, run after the import of the cache, without the variables that name a cache."""
    removed = ('HOME', 'XDG_CACHE_HOME', 'SLIMTUNE_CACHE')
    kept = {name: text for name, text in os.environ.items() if name not in removed}
    code = f'from slimtune import terminal; terminal.setup()\nfrom slimtune.storage import cache\n{code}'
    ended = subprocess.run(
        [sys.executable, '-c', code],
        cwd=str(cwd),
        env=dict(kept, **environment),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return ended.stdout.decode('utf-8')


WRITE_AND_READ = '''
for key in ('one', 'two'):
    cache.write_record(None, 'verdicts', key, {'error': 0.5})
    print(cache.read_record(None, 'verdicts', key))
print(cache.writable_folder())
'''


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    assert cache.read_record(str(tmp_path), 'agreement', 'key') is None
    cache.write_record(str(tmp_path), 'agreement', 'key', {'名': [1, 0.5, None]})
    assert cache.read_record(str(tmp_path), 'agreement', 'key') == {'名': [1, 0.5, None]}
    assert os.listdir(str(tmp_path / 'agreement')) == ['key.json']


@pytest.mark.parametrize('damaged', [b'', b'{"error": 0.', b'[1]', b'\xff\xfe', b'[' * 100000], ids=repr)
def test_a_damaged_record_is_none_and_is_written_anew(tmp_path, damaged):
    (tmp_path / 'agreement').mkdir()
    (tmp_path / 'agreement' / 'key.json').write_bytes(damaged)
    assert cache.read_record(str(tmp_path), 'agreement', 'key') is None
    cache.write_record(str(tmp_path), 'agreement', 'key', {'error': 1})
    assert cache.read_record(str(tmp_path), 'agreement', 'key') == {'error': 1}


def test_a_folder_in_the_place_of_a_record_is_none(tmp_path, capsys):
    (tmp_path / 'agreement' / 'key.json').mkdir(parents=True)
    assert cache.read_record(str(tmp_path), 'agreement', 'key') is None
    cache.write_record(str(tmp_path), 'agreement', 'key', {})


@pytest.mark.parametrize('environment', [
    {'HOME': '/proc'}, {'HOME': '/dev/null'}, {'SLIMTUNE_CACHE': '/proc/x'}, {'SLIMTUNE_CACHE': '/dev/null'},
    {'SLIMTUNE_CACHE': '~nobody_of_this_name/cache'}], ids=str)
def test_without_a_place_to_write_one_line_says_so_and_work_goes_on(tmp_path, environment):
    lines = python(WRITE_AND_READ, tmp_path, **environment).splitlines()
    assert lines[0].startswith('note: ') and 'set SLIMTUNE_CACHE to a folder' in lines[0]
    assert '--cache-dir' not in lines[0], 'predict, eval and export have no such option'
    assert lines[1:3] == ["{'error': 0.5}"] * 2 and len(lines) == 4
    assert not os.path.exists(lines[3]), 'the temporary folder is removed at the end'
    assert os.listdir(str(tmp_path)) == []


@as_root
def test_a_user_without_an_entry_and_without_home_has_no_folder_called_tilde(tmp_path):
    tmp_path.chmod(0o777)
    lines = python('import os; os.setuid(54321)' + WRITE_AND_READ, tmp_path).splitlines()
    assert 'there is no home folder' in lines[0] and lines[1:3] == ["{'error': 0.5}"] * 2
    assert os.listdir(str(tmp_path)) == []


def test_a_tilde_in_slimtune_cache_is_the_home_folder(tmp_path):
    python(WRITE_AND_READ, tmp_path, HOME=str(tmp_path / 'home'), SLIMTUNE_CACHE='~/cache')
    assert os.listdir(str(tmp_path)) == ['home']
    assert (tmp_path / 'home' / 'cache' / 'verdicts' / 'one.json').exists()


@as_root
def test_a_cache_that_can_only_be_read_is_read():
    code = '''
import os; os.setuid(54321)
print(cache.read_record(None, 'verdicts', 'old'))
cache.write_record(None, 'verdicts', 'old', {'error': 8})
print(cache.read_record(None, 'verdicts', 'old'))
'''
    with tempfile.TemporaryDirectory() as folder:       # tmp_path is its owner's alone
        os.chmod(folder, 0o755)
        os.makedirs(os.path.join(folder, 'verdicts'))
        record = os.path.join(folder, 'verdicts', 'old.json')
        with open(record, 'w') as f:
            json.dump({'error': 7}, f)
        lines = python(code, '/', SLIMTUNE_CACHE=folder).splitlines()
        assert [lines[0]] + lines[2:] == ["{'error': 7}", "{'error': 8}"] and 'cannot be written' in lines[1]
        with open(record) as f:
            assert json.load(f) == {'error': 7}
