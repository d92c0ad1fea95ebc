"""The downloader against a server that does everything wrong."""
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import pytest

from slimtune.errors import UserError
from slimtune.nets.nets_factory import NETS
from slimtune.storage import http
from slimtune.storage.archives import Archive
from slimtune.storage.checksums import read_sums, sha256

pytestmark = pytest.mark.usefixtures('cache')

NAME = 'inception_v3_2016_08_28.tar.gz'


def archived(seed):
    """A tar of 300,000 bytes that do not compress."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as tar:
        info = tarfile.TarInfo('inception_v3.ckpt')
        info.size = 300000
        tar.addfile(info, io.BytesIO(random.Random(seed).getrandbits(2400000).to_bytes(300000, 'big')))
    return stream.getvalue()


DATA, OTHER = archived(1), archived(2)
CHUNK = 1 << 15         # what a break may lose
SUM, OTHER_SUM = (hashlib.sha256(data).hexdigest() for data in (DATA, OTHER))


@pytest.fixture
def get(mirror, cache):
    """Fetches the file from the server: get(sha256) -> its bytes."""
    mirror.files[NAME] = DATA

    def run(expected=SUM, size=None, **more):
        path = http.fetch(Archive('%s/models/%s' % (mirror.url, NAME), size, expected), str(cache), **more)
        with open(path, 'rb') as f:
            return f.read()
    return run


def kept(cache):
    """The files in the cache, the lock aside."""
    return sorted(name for name in os.listdir(str(cache)) if not name.endswith('.lock'))


def test_a_file_is_fetched_once_and_used_from_then_on(get, mirror, cache):
    assert get() == DATA
    assert get() == DATA
    assert len(mirror.seen) == 1 and kept(cache) == [NAME]


@pytest.mark.parametrize(
    'plan', [{'cut': 3 * CHUNK}, {'cut': 3 * CHUNK, 'stall': True}], ids=['truncated', 'stalled']
)
def test_what_came_before_a_break_is_not_fetched_again(get, mirror, cache, plan):
    mirror.plan = [plan, dict(plan, cut=2 * CHUNK)]
    assert get() == DATA
    assert mirror.ranges() == [None, 'bytes=%d-' % (3 * CHUNK), 'bytes=%d-' % (5 * CHUNK)]
    assert kept(cache) == [NAME]


def test_a_busy_server_is_asked_again_when_it_says(get, mirror):
    mirror.plan = [{'status': 503}, {'status': 429, 'retry_after': 1}]
    begun = time.time()
    assert get() == DATA
    assert len(mirror.seen) == 3 and time.time() - begun >= 1


def test_any_progress_starts_the_tries_over(get, mirror):
    mirror.plan = [{'cut': CHUNK}] * 5
    assert get() == DATA


def test_a_server_that_stays_busy_is_given_up(get, mirror, cache):
    mirror.plan = [{'status': 503}] * 9
    with pytest.raises(
        UserError, match='503.*carry inception_v3_2016_08_28.tar.gz .* into .*cache, or add --from FOLDER'
    ):
        get()
    assert len(mirror.seen) == 3 and kept(cache) == []


def test_a_file_that_is_not_there_is_not_asked_for_again(get, mirror):
    mirror.files.clear()
    with pytest.raises(UserError, match='404.*carry inception_v3_2016_08_28.tar.gz'):
        get()
    assert len(mirror.seen) == 1


def test_a_server_without_ranges_sends_all_of_it_again(get, mirror):
    mirror.plan = [{'cut': 3 * CHUNK}, {'ranges': False}]
    assert get() == DATA


@pytest.mark.parametrize('validators', [True, False])
def test_a_file_that_changes_between_two_tries_is_never_put_together_from_both(get, mirror, validators):
    mirror.validators = validators
    mirror.plan = [{'cut': 3 * CHUNK, 'then': lambda: mirror.files.update({NAME: OTHER})}]
    assert get(None) == OTHER       # nobody publishes its sum: only the server's word tells the two apart
    assert mirror.ranges()[1] == ('bytes=%d-' % (3 * CHUNK) if validators else None)


def test_two_files_put_together_by_a_lying_server_are_found_out_and_fetched_anew(get, mirror):
    mirror.plan = [
        {
            'cut': 3 * CHUNK,
            'then': lambda: mirror.files.update({NAME: OTHER[: len(DATA)].ljust(len(DATA), b'x')}),
        },
        {'lie': True, 'then': lambda: mirror.files.update({NAME: DATA})},
    ]
    assert get() == DATA
    assert mirror.ranges() == [None, 'bytes=%d-' % (3 * CHUNK), None]


def test_a_wrong_file_is_refused_with_both_sums_and_not_kept(get, mirror, cache):
    mirror.files[NAME] = OTHER
    with pytest.raises(UserError) as error:
        get()
    assert SUM in str(error.value) and OTHER_SUM in str(error.value) and 'not kept' in str(error.value)
    assert kept(cache) == []


def test_a_file_of_the_wrong_length_is_refused_before_it_is_fetched(get, mirror, cache):
    with pytest.raises(UserError, match='%d bytes long instead of 77' % len(DATA)):
        get(size=77)
    assert kept(cache) == []


def test_a_sum_nobody_publishes_is_recorded_and_compared_ever_after(get, mirror, cache):
    assert get(None) == DATA
    assert (cache / 'SHA256SUMS').read_text() == '%s  %s\n' % (SUM, NAME)
    (cache / NAME).unlink()
    mirror.files[NAME] = OTHER
    with pytest.raises(
        UserError,
        match='at the first download it was %s. If the new one is right, remove its line from' % SUM,
    ):
        get(None)
    assert kept(cache) == ['SHA256SUMS']


@pytest.mark.parametrize(
    'wrong', [b'<html>Please log in</html>', DATA[:100000]], ids=['a proxy\'s page', 'half a file']
)
def test_what_is_no_whole_archive_is_not_recorded(get, mirror, cache, wrong):
    mirror.files[NAME] = wrong
    with pytest.raises(UserError, match='(it begins with b.<html>|is damaged).*not kept'):
        get(None)
    assert kept(cache) == []
    mirror.files[NAME] = DATA
    assert get(None) == DATA


def test_without_a_network_the_file_and_the_folder_are_named(download, cache, monkeypatch):
    monkeypatch.setattr(http, 'PAUSES', (0.01,))
    said = download('inception_v3', '--from', 'http://127.0.0.1:1', code=1)
    assert (
        'http://127.0.0.1:1/inception_v3_2016_08_28.tar.gz cannot be fetched, the connection was refused'
        in said
    )
    assert (
        'carry inception_v3_2016_08_28.tar.gz (%s) into %s' % (NETS['inception_v3'].weights.address, cache)
        in said
    )


def test_a_disk_too_small_is_said_before_anything_is_fetched(get, mirror, cache):
    mirror.plan = [{'length': 10 ** 17}]
    with pytest.raises(UserError, match='the disk is full: .* needs 1000000000.* MB more and has \\d+'):
        get()
    assert kept(cache) == []


def test_a_killed_download_goes_on_where_it_was(get, mirror, cache):
    mirror.plan = [{'cut': 200000, 'stall': True}]
    running = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'import sys; from slimtune.storage import archives, http; http.fetch('
            'archives.Archive(sys.argv[1]), sys.argv[2])',
            '%s/%s' % (mirror.url, NAME),
            str(cache),
        ]
    )
    part = cache / (NAME + '.part')
    while not part.exists() or part.stat().st_size < 190000:
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert get() == DATA
    assert mirror.ranges()[1].startswith('bytes=') and kept(cache) == [NAME]


def test_a_damaged_note_means_starting_over(get, mirror, cache):
    cache.mkdir()
    (cache / (NAME + '.part')).write_bytes(DATA[:1000])
    (cache / (NAME + '.part.json')).write_text('{"total"')
    assert get() == DATA
    assert mirror.ranges() == [None] and kept(cache) == [NAME]


def test_two_commands_that_want_the_same_file_fetch_it_once(get, mirror):
    threads = [threading.Thread(target=get) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.seen) == 1


def test_a_server_that_never_ends_is_given_up_at_the_size_published_or_at_the_largest(
    get, mirror, cache, monkeypatch
):
    monkeypatch.setattr(http, 'LARGEST', 1 << 20)
    for size, shown in ((len(DATA), 'which is its size'), (None, 'the most for a file of unknown size')):
        mirror.plan = [{'length': None, 'endless': True}]
        with pytest.raises(UserError, match='sends more than [01] MB, %s: it was not kept' % shown):
            get(size=size)
        assert kept(cache) == []


def test_a_server_that_claims_more_than_the_largest_is_not_listened_to(get, mirror, cache, monkeypatch):
    monkeypatch.setattr(http, 'LARGEST', 100000)
    with pytest.raises(UserError, match='sends more than 0 MB'):
        get()
    assert kept(cache) == []


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(get, mirror, monkeypatch):
    monkeypatch.setattr(http, 'SLOWEST_SECONDS', 0.3)
    mirror.plan = [{'drip': 0.005}] * 9
    begun = time.time()
    with pytest.raises(UserError, match=r'only [\d.]+ kB came in .* s: carry'):
        get()
    assert len(mirror.seen) == 3 and time.time() - begun < 20


def test_a_second_download_of_the_same_file_says_that_it_waits(get, mirror, capsys):
    mirror.plan = [{'cut': CHUNK, 'stall': True}]
    first = threading.Thread(target=get)
    first.start()
    while not mirror.seen:
        time.sleep(0.01)
    assert get() == DATA
    first.join()
    assert 'Another command is downloading %s: waiting for it' % NAME in capsys.readouterr().out


def test_sums_that_are_recorded_at_the_same_time_are_all_kept(cache):
    cache.mkdir()
    names = ['%d.tar.gz' % n for n in range(20)]
    for name in names:
        (cache / name).write_bytes(DATA)
    threads = [
        threading.Thread(target=http.check, args=(str(cache / name), name, None, str(cache)))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_sums(str(cache / 'SHA256SUMS')) == dict.fromkeys(names, SUM)


@pytest.mark.skipif(not hasattr(os, 'getuid') or os.getuid() != 0, reason='only root can become another user')
@pytest.mark.parametrize('published', [SUM, 'None'])
def test_a_file_in_a_cache_that_can_only_be_read_is_used(published):
    code = (
        'import os, sys; from slimtune.storage import archives, http\nos.setuid(54321); '
        'print(http.fetch(archives.Archive("http://nowhere.invalid/" + sys.argv[2], None, %r), sys.argv[1]))'
    )
    with tempfile.TemporaryDirectory() as folder:       # tmp_path is its owner's alone
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, NAME), 'wb') as f:
            f.write(DATA)
        code %= published if published == SUM else None
        ended = subprocess.run(
            [sys.executable, '-c', code, folder, NAME], cwd='/', check=True, stdout=subprocess.PIPE
        )
        assert ended.stdout.decode().splitlines()[-1] == os.path.join(folder, NAME)
        assert os.listdir(folder) == [NAME]


def test_the_environments_proxy_is_used(mirror, cache, monkeypatch):
    mirror.files[NAME] = DATA
    monkeypatch.setenv('http_proxy', mirror.url)
    path = http.fetch(Archive('http://nowhere.invalid/' + NAME, None, SUM), str(cache))
    assert sha256(path) == SUM
    assert mirror.seen[0][0] == 'http://nowhere.invalid/' + NAME


def test_a_mirror_stands_in_for_the_published_address(get, mirror, monkeypatch):
    monkeypatch.setenv('SLIMTUNE_MIRROR', mirror.url + '/mine/')
    assert get() == DATA
    assert mirror.seen[0][0] == '/mine/' + NAME


def test_a_carried_in_file_is_found_in_its_folder_or_in_the_cache_and_stays_where_it_is(
    get, mirror, cache, tmp_path
):
    carried = tmp_path / 'usb' / NAME
    carried.parent.mkdir()
    carried.write_bytes(DATA)
    assert get(source=str(carried.parent)) == DATA
    assert get(source=str(carried)) == DATA
    carried.write_bytes(OTHER)
    with pytest.raises(UserError, match='is not the file it should be'):
        get(source=str(carried))
    assert carried.read_bytes() == OTHER, 'a file of the user\'s is never removed'
    with pytest.raises(UserError, match='no .*usb.*%s: put it there' % NAME):
        carried.unlink()
        get(source=str(carried.parent))
    cache.mkdir(exist_ok=True)
    (cache / NAME).write_bytes(DATA)
    assert get() == DATA
    assert not mirror.seen


def test_sums_of_the_users_own_stand_in_for_the_published_ones(get, mirror, pinned, tmp_path):
    mirror.files[NAME] = OTHER
    pinned({NAME: OTHER})
    assert get(size=77) == OTHER
    nonsense = tmp_path / 'nonsense'
    nonsense.write_text('not a sum')
    with pytest.raises(UserError, match='no list of SHA-256 sums'):
        get(checksums=str(nonsense))
    with pytest.raises(UserError, match='no file of checksums at'):
        get(checksums=str(tmp_path / 'elsewhere' / 'SHA256SUMS'))
