"""`slimtune cache`: what the cache holds is listed and removed; what slimtune did not write stays."""
import os
import re
import subprocess
import sys
import time

import pytest

from slimtune.storage.cache import write_record

KEY = '0123456789abcdef' * 2
RECORDS = ('agreement', 'feature_engines', 'trusted_modules')
ARCHIVE = 'inception_v3_2016_08_28.tar.gz'


def write(path, size=1000, used=1000000000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(str(path), (used, used))
    os.utime(str(path.parent), (used, used))


@pytest.fixture
def full(tmp_path):
    """A cache with one entry of each type, and files of the user's own beside them."""
    cache = tmp_path / 'cache'
    write(cache / 'features' / KEY / '0.npy', 4000000, used=1500000000)
    write(cache / 'features' / (KEY + '-killed.part') / '0.npy', 3000000, used=1400000000)
    write(cache / 'weights' / 'lenet' / 'lenet.ckpt.index', 2000000, used=1600000000)
    write(cache / 'agreement' / (KEY + '.json'), used=1700000000)
    write(cache / ARCHIVE, 1000000, used=1300000000)
    write(cache / (ARCHIVE + '.part.json'))
    for name in OWN:
        write(cache / name)
    return cache


OWN = {'thesis.tar.gz', 'thesis/chapter.json', 'features/my-notes/0.npy', f'features/{KEY[::-1]}',
       'weights/mine/model.ckpt.index', 'weights/mine2/mine2.ckpt-100.index', 'weights/my_model.h5',
       f'other_program/{KEY * 2}.json'}


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


def run(said_by, cache, *words, **more):
    return said_by('cache', '--cache-dir', cache, *words, **more)


def test_the_cache_is_listed_the_last_used_first(said_by, full):
    lines = [line for line in run(said_by, full).splitlines() if line.strip()]
    rows = [re.split(r'\s{2,}', line.strip()) for line in lines]
    assert [row[0] for row in rows[2:7]] == ['agreement', 'weights', 'features', 'features', 'archives']
    assert rows[3][1:3] == ['lenet', '2.0'] and rows[3][3].startswith('2020-09-1')
    assert rows[5][1] == KEY + '-killed.part (unfinished)' and rows[6][1:3] == [ARCHIVE, '1.0']
    assert f'10.0 MB in {full}' in lines[7]
    assert len(lines) == 9, 'two of the head, five entries, their sum, a note'


def test_clear_removes_all_that_slimtune_wrote_and_nothing_else(said_by, full):
    assert 'Removed 5 of 5 entries, 10.0 MB; 0.0 MB in' in run(said_by, full, '--clear')
    assert files(full) == OWN
    assert 'The cache is empty' in run(said_by, full)


def test_max_size_removes_what_was_not_used_for_longest(said_by, full):
    assert 'Removed 2 of 5 entries, 4.0 MB; 6.0 MB in' in run(said_by, full, '--max-size', 6.1e6 / 2 ** 30)
    features, record = f'features/{KEY}/0.npy', f'agreement/{KEY}.json'
    assert files(full) - OWN == {features, record, 'weights/lenet/lenet.ckpt.index'}


def test_what_another_command_uses_is_kept(said_by, full):
    code = 'import sys; from slimtune.storage import locks; ' \
           'lock = locks.acquire(sys.argv[1], shared=True); print("used", flush=True); sys.stdin.read()'
    user = subprocess.Popen([sys.executable, '-c', code, str(full / 'features' / KEY)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
    assert user.stdout.readline() == b'used\n'
    assert re.search(r'features +%s .* now' % KEY, run(said_by, full))
    said = run(said_by, full, '--clear')
    assert 'Removed 4 of 5 entries' in said and 'kept: features %s' % KEY in said
    assert files(full) - OWN == {'features/%s/0.npy' % KEY}
    user.communicate()
    assert 'Removed 1 of 1' in run(said_by, full, '--clear')


@pytest.mark.parametrize('kind', RECORDS)
def test_each_kind_of_record_is_listed_and_removed(said_by, tmp_path, kind):
    write_record(str(tmp_path), kind, KEY, {'line': 'x'})
    assert re.search(f'{kind} +1 records', run(said_by, tmp_path))
    assert 'Removed 1 of 1 entries' in run(said_by, tmp_path, '--clear')
    assert files(tmp_path) == set()


def test_clear_leaves_a_running_download_alone(said_by, mirror, cache):
    mirror.files[ARCHIVE] = bytes(100000)
    mirror.plan = [{'cut': 60000, 'stall': True}]
    code = 'import sys; from slimtune.storage import archives, http; http.TIMEOUT = (60, 60); ' \
           'http.fetch(archives.Archive(sys.argv[1]), sys.argv[2])'
    downloading = subprocess.Popen([sys.executable, '-c', code, f'{mirror.url}/{ARCHIVE}', str(cache)])
    part = cache / (ARCHIVE + '.part')
    try:
        while not part.exists() or part.stat().st_size < 30000:
            assert downloading.poll() is None
            time.sleep(0.02)
        assert re.search(rf'archives +{re.escape(ARCHIVE)} .* now', run(said_by, cache))
        assert f'kept: archives {ARCHIVE}' in run(said_by, cache, '--clear')
        assert part.exists()
    finally:
        downloading.kill()
        downloading.wait()
    assert 'Removed 1 of 1 entries' in run(said_by, cache, '--clear')
    assert not part.exists()


def test_an_empty_cache_is_not_made(said_by, tmp_path):
    for words in ([], ['--clear'], ['--max-size', 1]):
        assert 'The cache is empty: ' in run(said_by, tmp_path / 'none', *words)
    assert not (tmp_path / 'none').exists()
    assert 'give one of them' in run(said_by, tmp_path, '--clear', '--max-size', 1, code=2)
