"""Fetches published files: resumes, retries with pauses, checks, and renames only what is whole.

A file in the cache is used as it is; else it comes from `--from`, SLIMTUNE_MIRROR or the published address, through the
environment's proxies. What its SHA-256 must be, the first that says so: --checksums or SLIMTUNE_CHECKSUMS, the published
table, what was recorded in the cache at the first download.
"""
import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time

import requests

from slimtune import __version__
from slimtune.errors import UserError
from slimtune.storage import atomic
from slimtune.storage.archives import prove
from slimtune.terminal import progress, say

#: Seconds to connect, and to wait for the next bytes.
TIMEOUT = (15, 60)
#: Seconds between two tries that brought nothing; any progress begins them anew.
PAUSES = (1, 2, 4, 8)
LONGEST_PAUSE = 120     # that a server may ask for
SUMS = 'SHA256SUMS'
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 15        # what of a broken answer is lost at most
#: Errors that another try may mend.
_PASSING = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
#: What a passing error's text holds, and what it means.
_REASONS = (('CERTIFICATE', 'the certificate cannot be verified (REQUESTS_CA_BUNDLE=FILE names your own authority)'),
            ('ProxyError', 'the proxy does not answer'), ('to proxy', 'the proxy does not answer'),
            ('NameResolution', 'the name cannot be found'), ('Name or service', 'the name cannot be found'),
            ('name resolution', 'the name cannot be found'), ('refused', 'the connection was refused'),
            ('unreachable', 'the network cannot be reached'))


def fetch(archive, cache, source=None, checksums=None):
    """The path of a published file, whole and checked; downloads it into the folder `cache` where need be.

    archive: an archives.Archive. source: a mirror's address, a folder or a file, or None. checksums: path of a file of sums.
    What `source` names on the disk is read where it lies. Raises UserError, one line with the next step.
    """
    source = source or os.environ.get('SLIMTUNE_MIRROR')
    checksums = checksums or os.environ.get('SLIMTUNE_CHECKSUMS')
    pinned = _sums(checksums).get(archive.name) if checksums else None
    expected = pinned or archive.sha256
    address = archive.address
    if source and _is_address(source):
        address = source if source.rstrip('/').endswith(archive.name) else source.rstrip('/') + '/' + archive.name
    elif source:
        path = os.path.join(source, archive.name) if os.path.isdir(source) else source
        if not os.path.isfile(path):
            raise UserError('no %s: put it there (%s)' % (path, archive.address))
        check(path, archive.name, expected, cache)
        return path
    os.makedirs(cache, exist_ok=True)
    path = os.path.join(cache, archive.name)
    with _alone(path):
        if not os.path.exists(path):
            _download(address, archive, path, expected, None if pinned else archive.size, where_to_put(archive, cache))
        check(path, archive.name, expected, cache, ours=True)
    return path


def where_to_put(archive, cache):
    """The last part of a message about a file that cannot be fetched."""
    return 'carry %s (%s) into %s, or add --from FOLDER' % (archive.name, archive.address, cache)


def check(path, name, expected, cache, ours=False):
    """Compares a file's SHA-256 with what it must be; records it in the cache where nobody says. Raises UserError.

    ours: the file is the cache's own, and not kept where it is wrong.
    """
    found, recorded = sha256(path), os.path.join(cache, SUMS)
    sums = _sums(recorded) if os.path.exists(recorded) else {}
    wanted = expected or sums.get(name)
    if wanted == found:
        return
    try:
        if expected:
            raise UserError('%s is not the file it should be: its SHA-256 is %s, the right one is %s' % (path, found, expected))
        if wanted:
            raise UserError('%s has changed: its SHA-256 is %s, at the first download it was %s. If the new one is right, remove '
                            'its line from %s' % (path, found, wanted, recorded))
        prove(path)        # a proxy's page, or half a file, must not become what the right one is compared with
    except UserError as e:
        if not ours:
            raise
        os.remove(path)
        raise UserError('%s. It was not kept' % e) from e
    os.makedirs(cache, exist_ok=True)
    sums[name] = found
    atomic.write_text(recorded, ''.join('%s  %s\n' % (sums[key], key) for key in sorted(sums)))
    say('Nobody publishes a checksum of %s. Recorded, to be compared from now on: SHA-256 %s' % (name, found))


def sha256(path):
    """A file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for chunk in iter(lambda: f.read(1 << 20), b''):
            digest.update(chunk)
    return digest.hexdigest()


def _sums(path):
    """A file of sums as {name: SHA-256}. Raises UserError for anything else."""
    if not os.path.isfile(path):
        raise UserError('no file of checksums at %s' % path)
    with open(path, encoding='utf-8', errors='replace') as f:
        lines = [line.strip() for line in f if line.strip()]
    matches = [re.fullmatch(r'([0-9a-fA-F]{64})\s+\*?(?:.*/)?([^/]+)', line) for line in lines]
    if not all(matches):
        raise UserError('%s is no list of SHA-256 sums: a line is SUM, two spaces, NAME' % path)
    return {match.group(2): match.group(1).lower() for match in matches}


def _is_address(text):
    return re.match(r'https?://', text) is not None


@contextlib.contextmanager
def _alone(path):
    """One download of a file at a time: whoever comes second waits, and then finds the file."""
    folder, name = os.path.split(path)
    with open(os.path.join(folder, '.%s.lock' % name), 'w') as f:
        if atomic.fcntl:
            atomic.fcntl.flock(f, atomic.fcntl.LOCK_EX)
        yield


def _download(address, archive, path, expected, size, next_step):
    """Downloads to `path`, whole. What came before a break is kept in a .part file, beside it what it is a part of."""
    part = _Part(path)
    pieces = part.have() > 0
    _complete(address, archive.name, part, size, next_step)
    if (pieces or part.joined) and expected and sha256(part.path) != expected:
        # The pieces may be of two files: some servers cannot tell them apart.
        say('What was put together is not %s; downloading it anew.' % archive.name)
        part.drop()
        _complete(address, archive.name, part, size, next_step)
    os.replace(part.path, path)
    part.drop()


class _Part:
    """What there is of a file so far. joined: it was fetched in more than one piece."""

    def __init__(self, path):
        self.path, self._notes = path + '.part', path + '.part.json'
        self.joined = False

    def have(self):
        """Bytes that can be added to: none without a note of which file they are from."""
        return os.path.getsize(self.path) if os.path.exists(self.path) and 'validator' in self.notes() else 0

    def notes(self):
        """What was noted with the first bytes: the file's length and the server's validator."""
        try:
            with open(self._notes, encoding='utf-8') as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def begin(self, notes):
        """Forgets what there is. notes: None where the server gives nothing to tell files apart by."""
        self.drop()
        if notes:
            atomic.write_text(self._notes, json.dumps(notes))

    def drop(self):
        for path in (self.path, self._notes):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def _complete(address, name, part, size, next_step):
    """Tries until the .part file is whole. Raises UserError when there is no sense in going on."""
    pauses = list(PAUSES)
    while True:
        before, asked = part.have(), None
        try:
            if _try(address, name, part, size, next_step):
                return
            why = 'the connection broke off'
        except _Busy as e:
            why, asked = str(e), e.seconds
        except _PASSING as e:
            why = _reason(e)
        except requests.RequestException as e:
            raise UserError('%s cannot be fetched, %s: %s' % (address, e, next_step)) from e
        if part.have() > before:
            pauses, part.joined = list(PAUSES), True
        if not pauses:
            raise UserError('%s cannot be fetched, %s: %s' % (address, why, next_step))
        seconds = max(pauses.pop(0), min(asked or 0, LONGEST_PAUSE))
        say('%s: %s. Trying again in %g s.' % (name, why, seconds))
        time.sleep(seconds)


class _Busy(Exception):
    """The server asks to come again. seconds: when, or None."""

    def __init__(self, response):
        super().__init__('the server says %d %s' % (response.status_code, response.reason))
        after = response.headers.get('Retry-After', '')
        self.seconds = int(after) if after.isdigit() else None


def _try(address, name, part, size, next_step):
    """One request; returns whether the file is whole now."""
    have, notes = part.have(), part.notes()
    if have and have == notes.get('total'):     # killed before it was renamed
        return True
    headers = {'User-Agent': 'slimtune/' + __version__, 'Accept-Encoding': 'identity'}
    if have:
        headers.update({'Range': 'bytes=%d-' % have, 'If-Range': notes['validator']})
    with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code in _AGAIN:
            raise _Busy(response)
        if response.status_code == 416:     # shorter than what there is: another file
            part.drop()
            return False
        if response.status_code not in (200, 206):
            raise UserError('%s: the server says %d %s: %s' % (address, response.status_code, response.reason, next_step))
        have = have if response.status_code == 206 and _continues(response, have, notes) else 0
        if response.status_code == 206 and not have:
            part.drop()
            return False
        length = response.headers.get('Content-Length')
        total = have + int(length) if length else None
        if size and total and total != size:
            raise UserError('%s is not %s: %d bytes long instead of %d: %s' % (address, name, total, size, next_step))
        _room(os.path.dirname(part.path), (total or size or 0) - have)
        if not have:
            validator = _validator(response)
            part.begin({'total': total, 'validator': validator} if validator else None)
        return _receive(response, name, part.path, have, total)


def _receive(response, name, path, have, total):
    """Writes a response's bytes behind the first `have` of the file; returns whether all of them came."""
    with progress('Downloading ' + name, round(total / 1e6, 1) if total else None, 'MB') as bar, \
            open(path, 'ab' if have else 'wb') as f:
        bar.advance(have / 1e6)
        try:
            for chunk in response.iter_content(_CHUNK):
                f.write(chunk)
                bar.advance(len(chunk) / 1e6)
        except OSError as e:
            if e.errno == errno.ENOSPC:
                _room(os.path.dirname(path), (total or 0) - os.path.getsize(path), full=True)
            raise
    return total is None or os.path.getsize(path) == total


def _continues(response, have, notes):
    """Whether a partial answer begins where the file ends, and is of the same file."""
    match = re.match(r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', ''))
    return bool(match) and int(match.group(1)) == have and match.group(2) in ('*', str(notes.get('total'))) \
        and _validator(response) in (None, notes['validator'])


def _validator(response):
    """What tells two files of one address apart: a strong ETag, else the date; None where the server gives neither."""
    tag = response.headers.get('ETag', '')
    return tag if tag.startswith('"') else response.headers.get('Last-Modified')


def _room(folder, needed, full=False):
    """Raises UserError where the disk cannot hold `needed` bytes more. full: it was seen to be full."""
    free = shutil.disk_usage(folder).free
    if full or needed > free:
        raise UserError('the disk is full: %s needs %d MB more and has %d: make room, or choose another --cache-dir'
                        % (folder, max(needed, 0) // 10 ** 6 + 1, free // 10 ** 6))


def _reason(error):
    """A passing error in a few words."""
    if isinstance(error, requests.Timeout) or 'timed out' in str(error).lower():
        return 'nothing came for %g s' % TIMEOUT[1]
    return next((words for sign, words in _REASONS if sign in str(error)), 'the connection broke off')
