"""Reads archives that strangers made: tar, zip and gzip, within a limit of size and never outside a folder.

Nothing here writes a file: members are read one by one, under names that were checked.
"""
import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import os
import pickle
import posixpath
import tarfile
import zipfile
import zlib
from typing import Optional

from slimtune.errors import UserError


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published file. size: bytes. sha256: hexadecimal. Both None where nobody publishes them.

    checkpoint: of weights, the pattern of the checkpoint's prefix in the archive.
    """
    address: str
    size: Optional[int] = None
    sha256: Optional[str] = None
    checkpoint: str = ''

    @property
    def name(self):
        """The last part of the address."""
        return self.address.rsplit('/', 1)[-1]


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in an archive.

    name: with slashes, without ./. size: bytes. stream: readable until the next member.
    """
    name: str
    size: int
    stream: object


#: An archive may unpack to this many times its own size and so many bytes on top; honest ones reach 5 times.
RATIO, ALLOWANCE = 20, 64 << 20
_BROKEN = (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError)
_CHUNK = 1 << 20
_PACKED = ((b'\x1f\x8b', gzip.open), (b'BZh', bz2.open), (b'\xfd7zXZ\x00', lzma.open))


def kind(path):
    """'tar', 'zip' or 'gz', by the file's bytes; None for anything else, such as a proxy's page.

    Raises UserError for an archive that would unpack to too much.
    """
    if zipfile.is_zipfile(path):
        return 'zip'
    with contextlib.suppress(*_BROKEN), _open_tar(path):        # a damaged one is found when it is read
        return 'tar'
    return 'gz' if _is_gzip(path) else None


def members(path):
    """The files in a tar (plain or packed) or zip, in their order: yields Members.

    Raises UserError for a damaged archive, for one that is neither, for a name outside of the archive's own
    folder, for links and devices, and for one that would unpack to more than RATIO and ALLOWANCE permit.
    """
    read = {'tar': _tar_members, 'zip': _zip_members}.get(kind(path))
    if read is None:
        with open(path, 'rb') as f:
            begin = f.read(40)
        raise UserError(f'{path} is neither a tar nor a zip, it begins with {begin!r}: fetch it again')
    left = limit(path)
    with reading(path):
        for name, size, stream in read(path):
            left -= size
            if left < 0:
                raise _too_large(path)
            yield Member(_harmless(path, name), size, stream)


def index(path):
    """The files of a folder, a zip or an unpacked tar, in any order: {name: function that returns the bytes}.

    The tars in a tar are looked into: their files are called TAR'S NAME WITHOUT .tar/NAME. Raises UserError
    like `members`.
    """
    if os.path.isdir(path):
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        return {os.path.relpath(file, path).replace(os.sep, '/'): lambda file=file: read(file)
                for file in sorted(found)}
    if kind(path) == 'zip':
        archive = zipfile.ZipFile(path)         # closed with the last of these functions
        return {member.name: lambda name=member.stream.name: archive.read(name) for member in members(path)}
    found = {}
    with reading(path), tarfile.open(path, 'r:') as tar:
        _index_tar(path, tar, '', 0, found)
    return found


def gunzip(path):
    """The bytes of a gzip file, or of a file that is none.

    Raises UserError where it is damaged or unpacks to too much.
    """
    if not _is_gzip(path):
        return read(path)
    with reading(path), gzip.open(path, 'rb') as f:
        data = f.read(limit(path) + 1)
    if len(data) > limit(path):
        raise _too_large(path)
    return data


def read_through(path):
    """Reads an archive, or a gzip file, to its end. Raises UserError as `members` and `gunzip` do."""
    if kind(path) == 'gz':
        gunzip(path)
        return
    for member in members(path):
        with reading(path):
            while member.stream.read(_CHUNK):
                pass


def limit(path):
    """How many bytes the archive may unpack to, its own headers included."""
    return RATIO * os.path.getsize(path) + ALLOWANCE


def _too_large(path):
    return UserError(f'{path} would unpack to more than {limit(path) >> 20} MB: not unpacked')


def read(path):
    """A file's bytes."""
    with open(path, 'rb') as f:
        return f.read()


class Unpickler(pickle.Unpickler):
    """Reads pickles of dictionaries, lists, numbers, strings (Python 2's as bytes) and numpy arrays alone."""

    def __init__(self, stream):
        super().__init__(stream, encoding='bytes')

    def find_class(self, module, name):
        import numpy as np
        # numpy has moved _reconstruct; an array tells where it is now. Python 3 writes bytes for 2 by
        # _codecs.encode.
        rebuild = np.empty(0).__reduce__()[0]
        allowed = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype,
                   ('_codecs', 'encode'): _latin1, ('numpy.core.multiarray', '_reconstruct'): rebuild,
                   ('numpy._core.multiarray', '_reconstruct'): rebuild}
        if (module, name) not in allowed:
            raise UserError(f'a pickle asks for {module}.{name}: '
                            'only arrays, strings and dictionaries are read')
        return allowed[module, name]


def unpickle(data, what):
    """The object in a pickle of arrays, strings and dictionaries.

    Raises UserError for others; it names `what`.
    """
    try:
        return Unpickler(io.BytesIO(data)).load()
    except UserError as e:
        raise UserError(f'{what}: {e}') from e
    except Exception as e:      # noqa: B902 - a damaged pickle raises anything
        raise UserError(f'{what} is damaged: {e}') from e


def _latin1(text, encoding):
    return text.encode('latin1')


def _is_gzip(path):
    with open(path, 'rb') as f:
        return f.read(2) == b'\x1f\x8b'


@contextlib.contextmanager
def reading(path):
    """A damaged archive's errors, as one line."""
    try:
        yield
    except _BROKEN as e:
        raise UserError(f'{path} is damaged ({e or type(e).__name__}): fetch it again') from e


class _Bounded:
    """The unpacked bytes of a tar as a stream, up to the limit: headers count, which tarfile reads whole."""

    def __init__(self, path, stream):
        self._path, self._stream, self._limit = path, stream, limit(path)

    def read(self, size):
        """The next bytes. Raises UserError before more than the limit is read."""
        self._check(self._stream.tell() + size, size)
        return self._stream.read(size)

    def seek(self, place):
        """Goes to a place, reading up to it where the file is packed.

        Raises UserError for one beyond the limit.
        """
        self._check(place, place)
        return self._stream.seek(place)

    def tell(self):
        """The place in the unpacked bytes."""
        return self._stream.tell()

    def _check(self, end, size):
        if size < 0:        # a header can hold a negative size
            raise tarfile.ReadError('a size is negative')
        if end > self._limit:
            raise _too_large(self._path)


@contextlib.contextmanager
def _open_tar(path):
    """A tar, plain or packed, as a TarFile that reads no more than the limit."""
    with open(path, 'rb') as f:
        begin = f.read(6)
    unpack = next((opener for magic, opener in _PACKED if begin.startswith(magic)), open)
    with unpack(path, 'rb') as stream, tarfile.open(fileobj=_Bounded(path, stream), mode='r:') as tar:
        yield tar


def _tar_members(path):
    with _open_tar(path) as tar:
        for member in tar:
            if member.size < 0:
                raise tarfile.ReadError('a size is negative')
            if _is_file(path, member):
                yield member.name, member.size, tar.extractfile(member)
            tar.members = []        # or the headers of a million files stay in memory


def _zip_members(path):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise UserError(f'{path} holds a link, {info.filename}: not unpacked')
            if not info.filename.endswith('/'):
                with archive.open(info) as stream:
                    yield info.filename, info.file_size, stream


def _is_file(path, member):
    if not member.isfile() and not member.isdir():
        raise UserError(f'{path} holds a link or a device, {member.name}: not unpacked')
    return member.isfile()


def _harmless(path, name):
    """A member's name without './'. Raises UserError for one that would leave its folder."""
    clean = posixpath.normpath(name.replace('\\', '/'))
    if clean.startswith(('/', '../')) or clean == '..' or clean[1:2] == ':':
        raise UserError(f'{path} holds a file that would land outside its folder, {name}: not unpacked')
    return clean


def _index_tar(path, tar, prefix, start, found):
    """Adds the files of an open tar that begins `start` bytes into `path`, and of the tars in it."""
    for member in tar:
        if not _is_file(path, member):
            continue
        name, at = prefix + _harmless(path, member.name), start + member.offset_data
        if name.endswith('.tar') and not prefix:
            with tarfile.open(fileobj=tar.extractfile(member), mode='r:') as inner:
                _index_tar(path, inner, name[:-len('.tar')] + '/', at, found)
        else:
            found[name] = lambda at=at, size=member.size: _slice(path, at, size)


def _slice(path, at, size):
    with open(path, 'rb') as f:
        f.seek(at)
        return f.read(size)
