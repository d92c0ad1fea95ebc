"""Reads archives that strangers made: tar, zip and gzip, without unpacking more, or elsewhere, than was meant.

Nothing here writes a file: members are read one by one, by names that were proved harmless, within a limit of size.
"""
import collections
import contextlib
import gzip
import io
import os
import pickle
import posixpath
import tarfile
import zipfile
import zlib

from slimtune.errors import UserError

#: A published file. size: bytes. sha256: hexadecimal. Both None where nobody publishes them. checkpoint: of weights, the
#: checkpoint's prefix in the archive, as a pattern.
Archive = collections.namedtuple('Archive', 'address size sha256 checkpoint')
Archive.__new__.__defaults__ = (None, None, '')
Archive.name = property(lambda archive: archive.address.rsplit('/', 1)[-1])
#: A file in an archive. name: with slashes, './' taken off. size: bytes. stream: readable until the next member is asked for.
Member = collections.namedtuple('Member', 'name size stream')
#: An archive may unpack to this many times its own size and so many bytes on top; honest ones reach 5 times.
RATIO, ALLOWANCE = 20, 64 << 20
_BROKEN = (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError)
_CHUNK = 1 << 20


def kind(path):
    """'tar', 'zip' or 'gz', by the file's bytes; None for anything else (a proxy's page, say)."""
    if zipfile.is_zipfile(path):
        return 'zip'
    try:
        if tarfile.is_tarfile(path):
            return 'tar'
    except _BROKEN:         # a damaged one is found out when it is read
        pass
    return 'gz' if _is_gzip(path) else None


def members(path):
    """The files in a tar (plain or packed) or zip, in their order: yields Members.

    Raises UserError for a damaged archive, for one that is neither, for a name outside of the archive's own folder, for
    links and devices, and for one that would unpack to more than RATIO and ALLOWANCE permit.
    """
    opened = {'tar': _tar_members, 'zip': _zip_members}.get(kind(path))
    if opened is None:
        with open(path, 'rb') as f:
            raise UserError('%s is neither a tar nor a zip, it begins with %r: fetch it again' % (path, f.read(40)))
    left = limit(path)
    with explained(path):
        for name, size, stream in opened(path):
            left -= size
            if left < 0:
                raise UserError('%s would unpack to more than %d MB: not unpacked' % (path, limit(path) >> 20))
            yield Member(_harmless(path, name), size, stream)


def index(path):
    """The files of a folder, a zip or an unpacked tar, to be read in any order: {name: function that returns the bytes}.

    The tars in a tar are looked into: their files are called TAR'S NAME WITHOUT .tar/NAME. Raises UserError like `members`.
    """
    if os.path.isdir(path):
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        return {os.path.relpath(file, path).replace(os.sep, '/'): lambda file=file: read(file) for file in sorted(found)}
    if kind(path) == 'zip':
        archive = zipfile.ZipFile(path)         # closed with the last of these functions
        return {member.name: lambda name=member.stream.name: archive.read(name) for member in members(path)}
    found = {}
    with explained(path), tarfile.open(path, 'r:') as tar:
        _index_tar(path, tar, '', 0, found)
    return found


def gunzip(path):
    """The bytes of a gzip file, or of a file that is none. Raises UserError where it is damaged or unpacks to too much."""
    if not _is_gzip(path):
        return read(path)
    with explained(path), gzip.open(path, 'rb') as f:
        data = f.read(limit(path) + 1)
    if len(data) > limit(path):
        raise UserError('%s would unpack to more than %d MB: not unpacked' % (path, limit(path) >> 20))
    return data


def prove(path):
    """Reads an archive, or a gzip file, to its end. Raises UserError as `members` and `gunzip` do."""
    if kind(path) == 'gz':
        gunzip(path)
        return
    for member in members(path):
        with explained(path):
            while member.stream.read(_CHUNK):
                pass


def limit(path):
    """How many bytes the archive may unpack to."""
    return RATIO * os.path.getsize(path) + ALLOWANCE


def read(path):
    """A file's bytes."""
    with open(path, 'rb') as f:
        return f.read()


class Unpickler(pickle.Unpickler):
    """Reads pickles of dictionaries, lists, numbers, strings (Python 2's as bytes) and numpy arrays, and nothing else."""

    def __init__(self, stream):
        super().__init__(stream, encoding='bytes')

    def find_class(self, module, name):
        import numpy as np
        # numpy has moved _reconstruct; an array tells where it is now. _codecs.encode: how Python 3 writes bytes for 2.
        rebuild = np.empty(0).__reduce__()[0]
        known = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype, ('_codecs', 'encode'): _latin1,
                 ('numpy.core.multiarray', '_reconstruct'): rebuild, ('numpy._core.multiarray', '_reconstruct'): rebuild}
        if (module, name) not in known:
            raise UserError('a pickle asks for %s.%s: only arrays, strings and dictionaries are read' % (module, name))
        return known[module, name]


def unpickle(data, what):
    """The object in a pickle of arrays, strings and dictionaries. Raises UserError naming `what` for any other."""
    try:
        return Unpickler(io.BytesIO(data)).load()
    except UserError as e:
        raise UserError('%s: %s' % (what, e)) from e
    except Exception as e:      # noqa: B902 - a damaged pickle raises anything
        raise UserError('%s is damaged: %s' % (what, e)) from e


def _latin1(text, encoding):
    return text.encode('latin1')


def _is_gzip(path):
    with open(path, 'rb') as f:
        return f.read(2) == b'\x1f\x8b'


@contextlib.contextmanager
def explained(path):
    """A damaged archive's errors, as one line."""
    try:
        yield
    except _BROKEN as e:
        raise UserError('%s is damaged (%s): fetch it again' % (path, e or type(e).__name__)) from e


def _tar_members(path):
    with tarfile.open(path, 'r:*') as tar:
        for member in tar:
            if _is_file(path, member):
                yield member.name, member.size, tar.extractfile(member)
            tar.members = []        # or the headers of a million files stay in memory


def _zip_members(path):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise UserError('%s holds a link, %s: not unpacked' % (path, info.filename))
            if not info.filename.endswith('/'):
                with archive.open(info) as stream:
                    yield info.filename, info.file_size, stream


def _is_file(path, member):
    if not member.isfile() and not member.isdir():
        raise UserError('%s holds a link or a device, %s: not unpacked' % (path, member.name))
    return member.isfile()


def _harmless(path, name):
    """A member's name without './'. Raises UserError for one that would leave the folder it is unpacked into."""
    clean = posixpath.normpath(name.replace('\\', '/'))
    if clean.startswith(('/', '../')) or clean == '..' or clean[1:2] == ':':
        raise UserError('%s holds a file that would land outside its folder, %s: not unpacked' % (path, name))
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
