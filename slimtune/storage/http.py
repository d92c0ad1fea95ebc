"""Fetches published files: resumes, retries with pauses, checks, and renames only what is whole.

A file in the cache is used as it is; else it comes from `--from`, SLIMTUNE_MIRROR or the published address,
through the environment's proxies. Its expected SHA-256 is the first of these that names one: --checksums or
SLIMTUNE_CHECKSUMS, the published table, what was recorded in the cache at the first download.
"""
import contextlib
import errno
import json
import os
import re
import shutil
import time

import requests
import urllib3

from slimtune import __version__
from slimtune.errors import UserError
from slimtune.storage import atomic, locks
from slimtune.storage.archives import read_through
from slimtune.storage.cache import folders_to_read, touch, writable_folder
from slimtune.storage.checksums import read_sums, sha256, text_of
from slimtune.terminal import progress, say

#: Seconds to connect, and to wait for the next bytes.
TIMEOUT = (15, 60)
#: A connection that brings fewer than so many bytes in so many seconds is given up and tried again.
SLOWEST_BYTES, SLOWEST_SECONDS = 1 << 15, 60
#: Seconds between two tries that brought less than SLOWEST_BYTES; more than that starts them over.
PAUSES = (1, 2, 4, 8)
LONGEST_PAUSE = 120     # that a server may ask for
LARGEST = 4 << 30       # bytes of a file whose size nobody publishes; published archives have up to 0.7 GB
SUMS = 'SHA256SUMS'
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
#: Bytes read at once, at least and at most: few where little comes, so that a slow connection is noticed.
_CHUNKS = (1 << 6, 1 << 15)
#: Errors that another try may mend.
_PASSING = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
#: What the text of a passing error holds, and what it means.
_REASONS = (
    ('CERTIFICATE', 'the certificate cannot be verified (REQUESTS_CA_BUNDLE=FILE names your own authority)'),
    ('ProxyError', 'the proxy does not answer'), ('to proxy', 'the proxy does not answer'),
    ('NameResolution', 'the name cannot be found'), ('Name or service', 'the name cannot be found'),
    ('name resolution', 'the name cannot be found'), ('refused', 'the connection was refused'),
    ('unreachable', 'the network cannot be reached'))


def fetch(archive, cache, source=None, checksums=None):
    """The path of a published file, whole and checked; downloads it into the folder `cache` where need be.

    archive: an archives.Archive. source: a mirror's address, a folder or a file, or None. checksums: path of
    a file of sums. What `source` names on the disk is read where it lies. Raises UserError, one line with the
    next step.
    """
    source = source or os.environ.get('SLIMTUNE_MIRROR')
    checksums = checksums or os.environ.get('SLIMTUNE_CHECKSUMS')
    pinned = read_sums(checksums).get(archive.name) if checksums else None
    expected = pinned or archive.sha256
    address = archive.address
    if source and re.match(r'https?://', source):
        mirror = source.rstrip('/')
        address = source if mirror.endswith(archive.name) else f'{mirror}/{archive.name}'
    elif source:
        path = os.path.join(source, archive.name) if os.path.isdir(source) else source
        if not os.path.isfile(path):
            raise UserError(f'no {path}: put it there ({archive.address})')
        check(path, archive.name, expected, cache)
        return path
    path = _in_cache(archive, cache)
    if not path:
        folder = writable_folder(cache)
        if folder is None:
            raise UserError(f'there is no folder to write {archive.name} to: add --cache-dir FOLDER')
        path = os.path.join(folder, archive.name)
        with _alone(path):
            if not os.path.exists(path):
                _download(address, archive, path, expected, None if pinned else archive.size,
                          where_to_put(archive, cache))
    check(path, archive.name, expected, cache, ours=True)
    touch(path)
    return path


def where_to_put(archive, cache):
    """The last part of a message about a file that cannot be fetched."""
    return f'carry {archive.name} ({archive.address}) into {cache}, or add --from FOLDER'


def check(path, name, expected, cache, ours=False):
    """Compares a file's SHA-256 with the expected one; records it in the cache where nobody publishes one.

    ours: the file is the cache's own, and is removed where it is wrong. Raises UserError.
    """
    found, recorded = sha256(path), os.path.join(cache, SUMS)
    wanted = expected or (read_sums(recorded).get(name) if os.path.exists(recorded) else None)
    if wanted == found:
        return
    try:
        if expected:
            raise UserError(f'{path} is not the file it should be: its SHA-256 is {found}, expected '
                            f'{expected}')
        if wanted:
            raise UserError(f'{path} has changed: its SHA-256 is {found}, at the first download it was '
                            f'{wanted}. If the new one is right, remove its line from {recorded}')
        read_through(path)     # the sum of a proxy's page, or of half a file, must not be recorded
    except UserError as e:
        if not ours:
            raise
        os.remove(path)
        raise UserError(f'{e}. It was not kept') from e
    folder = writable_folder(cache)
    if folder:
        _record(os.path.join(folder, SUMS), name, found)
        say(f'Nobody publishes a checksum of {name}. Recorded, and compared from now on: SHA-256 {found}')


def _record(path, name, found):
    """Adds a sum to a file of sums; two commands that do so at once both keep their line."""
    with locks.acquire(locks.lock_file(path), wait=True, make=True):
        sums = read_sums(path) if os.path.exists(path) else {}
        atomic.write_text(path, text_of(dict(sums, **{name: found})))


def _in_cache(archive, cache):
    """The path of a file that the cache holds already, also where the folder is read-only; else None."""
    paths = (os.path.join(folder, archive.name) for folder in folders_to_read(cache))
    return next((path for path in paths if os.path.isfile(path)), None)


@contextlib.contextmanager
def _alone(path):
    """One download of a file at a time: whoever comes second waits, and then finds the file."""
    lock_file = locks.lock_file(path)
    lock = locks.acquire(lock_file, make=True)
    if lock is None:
        say(f'Another command is downloading {os.path.basename(path)}: waiting for it')
        lock = locks.acquire(lock_file, wait=True, make=True)
    with lock:
        yield


def _download(address, archive, path, expected, size, next_step):
    """Downloads to `path`, whole. What came before a break is kept in a .part file, with its origin."""
    part = _Part(path)
    resumed = part.have() > 0
    _complete(address, archive.name, part, size, next_step)
    if (resumed or part.joined) and expected and sha256(part.path) != expected:
        # The pieces may be of two files: some servers cannot tell them apart.
        say(f'The pieces together are not {archive.name}; downloading all of it again.')
        part.drop()
        _complete(address, archive.name, part, size, next_step)
    os.replace(part.path, path)
    part.drop()


class _Part:
    """The first bytes of a file. joined: they were fetched in more than one piece."""

    def __init__(self, path):
        self.path, self._notes = path + '.part', path + '.part.json'
        self.joined = False

    def have(self):
        """How many bytes can be added to: none without a note of which file they are from."""
        return os.path.getsize(self.path) if os.path.exists(self.path) and 'validator' in self.notes() else 0

    def notes(self):
        """What was noted with the first bytes: the file's length and the server's validator."""
        try:
            with open(self._notes, encoding='utf-8') as f:
                notes = json.load(f)
            return notes if isinstance(notes, dict) else {}
        except (OSError, ValueError):
            return {}

    def begin(self, notes):
        """Starts over. notes: None where the server gives nothing to tell files apart by."""
        self.drop()
        if notes:
            atomic.write_text(self._notes, json.dumps(notes))

    def drop(self):
        """Removes the bytes and their note."""
        for path in (self.path, self._notes):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def _complete(address, name, part, size, next_step):
    """Tries until the .part file is whole. Raises UserError where another try would not help."""
    pauses = list(PAUSES)
    while True:
        before, retry_after = part.have(), 0
        try:
            if _try(address, name, part, size, next_step):
                return
            why = 'the connection broke off'
        except _TryAgain as e:
            why, retry_after = str(e), e.seconds
        except _PASSING as e:
            why = _reason(e)
        except requests.RequestException as e:
            raise UserError(f'{address} cannot be fetched, {e}: {next_step}') from e
        part.joined = part.joined or part.have() > before
        if part.have() - before >= SLOWEST_BYTES:
            pauses = list(PAUSES)
        if not pauses:
            raise UserError(f'{address} cannot be fetched, {why}: {next_step}')
        seconds = max(pauses.pop(0), min(retry_after, LONGEST_PAUSE))
        say(f'{name}: {why}. Trying again in {seconds:g} s.')
        time.sleep(seconds)


class _TryAgain(Exception):
    """Another try may help. seconds: the pause that the server asks for, or 0."""

    def __init__(self, why, seconds=0):
        super().__init__(why)
        self.seconds = seconds


def _try(address, name, part, size, next_step):
    """One request; returns whether the file is whole now."""
    have, notes = part.have(), part.notes()
    if have and have == notes.get('total'):     # killed before it was renamed
        return True
    headers = {'User-Agent': f'slimtune/{__version__}', 'Accept-Encoding': 'identity'}
    if have:
        headers.update({'Range': f'bytes={have}-', 'If-Range': notes['validator']})
    with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status = f'the server answers {response.status_code} {response.reason}'
        if response.status_code in _AGAIN:
            after = response.headers.get('Retry-After', '')
            raise _TryAgain(status, int(after) if after.isdigit() else 0)
        if response.status_code == 416:     # shorter than what there is: another file
            part.drop()
            return False
        if response.status_code not in (200, 206):
            raise UserError(f'{address}: {status}: {next_step}')
        have = have if response.status_code == 206 and _continues(response, have, notes) else 0
        if response.status_code == 206 and not have:
            part.drop()
            return False
        length = response.headers.get('Content-Length', '')
        total = have + int(length) if length.isdigit() else None
        if size and total and total != size:
            raise UserError(f'{address} is not {name}: {total} bytes long instead of {size}: {next_step}')
        _make_sure_of_room(os.path.dirname(part.path), (total or size or 0) - have)
        _refuse_larger(total, size, address, part)
        if not have:
            validator = _validator(response)
            part.begin({'total': total, 'validator': validator} if validator else None)
        with progress(f'Downloading {name}', round(total / 1e6, 1) if total else None, 'MB') as bar:
            bar.advance(have / 1e6)
            for received in _receive(response, part.path, have, total):
                _refuse_larger(received, size, address, part)
                bar.advance((received - have) / 1e6)
                have = received
        return total is None or have == total


def _refuse_larger(length, size, address, part):
    """Raises UserError for a file that is longer than it can be. size: the published one, or None."""
    if length and length > (size or LARGEST):
        part.drop()
        reason = 'which is its size' if size else 'the most for a file of unknown size'
        raise UserError(f'{address} sends more than {(size or LARGEST) / 1e6:.0f} MB, {reason}: '
                        'it was not kept')


def _receive(response, path, have, total):
    """Writes a response's bytes behind the first `have` of the file.

    Yields how many bytes the file has, after every chunk.
    """
    chunk, mark, since = _CHUNKS[0], have, time.monotonic()
    with open(path, 'ab' if have else 'wb') as f:
        while True:
            begun = time.monotonic()
            data = response.raw.read(min(chunk, _CHUNKS[1] - have % _CHUNKS[1]))
            if not data:
                return
            try:
                f.write(data)
                f.flush()
            except OSError as e:
                if e.errno == errno.ENOSPC:
                    _make_sure_of_room(os.path.dirname(path), (total or 0) - have, full=True)
                raise
            have += len(data)
            yield have
            now = time.monotonic()
            chunk = max(_CHUNKS[0], chunk // 2) if now - begun > 1 else min(_CHUNKS[1], chunk * 2)
            if have - mark >= SLOWEST_BYTES:
                mark, since = have, now
            elif now - since > SLOWEST_SECONDS and have != total:
                raise _TryAgain(f'only {(have - mark) / 1000:.3g} kB came in {now - since:.0f} s')


def _continues(response, have, notes):
    """Whether a partial response begins where the file ends, and is of the same file."""
    match = re.match(r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', ''))
    return bool(match) and int(match.group(1)) == have and match.group(2) in ('*', str(notes.get('total'))) \
        and _validator(response) in (None, notes['validator'])


def _validator(response):
    """What tells two files of one address apart: a strong ETag, else the date, else None."""
    tag = response.headers.get('ETag', '')
    return tag if tag.startswith('"') else response.headers.get('Last-Modified')


def _make_sure_of_room(folder, needed, full=False):
    """Raises UserError where the disk cannot hold `needed` bytes more. full: a write has failed."""
    free = shutil.disk_usage(folder).free
    if full or needed > free:
        raise UserError(f'the disk is full: {folder} needs {max(needed, 0) // 10 ** 6 + 1} MB more and has '
                        f'{free // 10 ** 6}: make room, or choose another --cache-dir')


def _reason(error):
    """A passing error in a few words."""
    if isinstance(error, requests.Timeout) or 'timed out' in str(error).lower():
        return f'nothing came for {TIMEOUT[1]:g} s'
    return next((words for sign, words in _REASONS if sign in str(error)), 'the connection broke off')
