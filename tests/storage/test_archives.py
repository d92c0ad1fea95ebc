"""Archives and pickles that strangers made, the malicious ones included."""
import gzip
import io
import os
import pickle
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.storage.archives import ALLOWANCE, gunzip, index, kind, members, read_through, reading, unpickle

pytestmark = pytest.mark.usefixtures('cache')


@pytest.fixture
def saved(tmp_path):
    """Writes bytes to a file: saved(data) -> its path."""
    def save(data, name='archive'):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)
    return save


def links(**facts):
    """A tar with one member that is no plain file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as tar:
        info = tarfile.TarInfo('innocent')
        for name, value in facts.items():
            setattr(info, name, value)
        tar.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize('name', ['../evil', '/etc/evil', 'a/../../evil', '..', 'C:\\evil', '..\\evil'])
def test_a_name_outside_the_archives_folder_is_refused(saved, tarred, name):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, 'w') as archive:
        archive.writestr(name, b'evil')
    for data in (tarred({name: b'evil'}), tarred({name: b'evil'}, 'w'), zipped.getvalue()):
        with pytest.raises(UserError, match='would land outside its folder'):
            list(members(saved(data)))


@pytest.mark.parametrize(
    'facts',
    [
        {'type': tarfile.SYMTYPE, 'linkname': '/etc/passwd'},
        {'type': tarfile.LNKTYPE, 'linkname': '../../evil'},
        {'type': tarfile.CHRTYPE},
        {'type': tarfile.FIFOTYPE},
    ],
    ids=['symbolic link', 'hard link', 'device', 'pipe'],
)
def test_links_and_devices_are_refused(saved, facts):
    with pytest.raises(UserError, match='a link or a device, innocent'):
        list(members(saved(links(**facts))))


def test_a_link_in_a_zip_is_refused(saved):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, 'w') as archive:
        info = zipfile.ZipInfo('innocent')
        info.external_attr = 0o120777 << 16
        archive.writestr(info, '/etc/passwd')
    with pytest.raises(UserError, match='holds a link, innocent'):
        list(members(saved(zipped.getvalue())))


def test_a_bomb_is_not_unpacked(saved, tarred):
    nothing = bytes(ALLOWANCE + (8 << 20))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('bomb', nothing)
    for data in (tarred({'bomb': nothing}), zipped.getvalue()):
        with pytest.raises(UserError, match='would unpack to more than 6[45] MB'):
            list(members(saved(data)))
    with pytest.raises(UserError, match='would unpack to more than 6[45] MB'):
        gunzip(saved(gzip.compress(nothing)))


LONG = tarfile.BLOCKSIZE << 10        # bytes of a header, more than any honest one


def with_header(header_type, size, fmt=tarfile.GNU_FORMAT):
    """A packed tar whose first header (a GNU long name, or pax) has so many bytes."""
    info = tarfile.TarInfo('././@LongLink')
    info.type, info.size = header_type, size
    stream = io.BytesIO()
    with gzip.open(stream, 'wb') as f:
        f.write(info.tobuf(fmt))
        for begin in range(0, size, LONG):
            f.write(b'a' * min(LONG, size - begin))
        f.write(tarfile.TarInfo('innocent').tobuf() + bytes(1024))
    return stream.getvalue()


@pytest.mark.parametrize('header_type', [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
                                         tarfile.XGLTYPE])
def test_a_bomb_in_a_header_is_not_unpacked(saved, header_type):
    path = saved(with_header(header_type, ALLOWANCE + 48 * LONG))
    tracemalloc.start()
    for function in (kind, lambda path: list(members(path)), read_through):
        with pytest.raises(UserError, match='would unpack to more than 6[45] MB'):
            function(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_a_hole_that_is_claimed_is_not_read_through(saved):
    """The claimed size alone is too much: nothing is unpacked to skip over it."""
    info = tarfile.TarInfo('file')
    info.size = 1 << 40
    with pytest.raises(UserError, match='would unpack to more than'):
        list(members(saved(gzip.compress(info.tobuf() + bytes(1024)))))


@pytest.mark.parametrize('header_type', [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.DIRTYPE])
def test_a_negative_size_is_damage(saved, header_type):
    header = bytearray(tarfile.TarInfo('file').tobuf(tarfile.GNU_FORMAT))
    header[156:157] = header_type
    header[124:136] = b'\xff' * 10 + b'\xfe\x00'         # -512
    header[148:156] = b'%06o\0 ' % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    for data in (bytes(header) + bytes(1024), gzip.compress(bytes(header) + bytes(1024))):
        with pytest.raises(UserError, match='is damaged|neither a tar nor a zip'):
            list(members(saved(data)))


def test_a_truncated_archive_is_damaged(saved, tarred):
    whole = tarred({'a': os.urandom(100000), 'b': os.urandom(100000)})
    with pytest.raises(UserError, match='is damaged .*: fetch it again'):
        for member in members(saved(whole[:150000])):
            with reading('archive'):
                member.stream.read()
    with pytest.raises(UserError, match='is damaged'):
        gunzip(saved(gzip.compress(os.urandom(1000))[:500]))
    with pytest.raises(UserError, match='neither a tar nor a zip'):
        list(members(saved(b'<html>')))


def test_honest_archives_are_read_in_order_and_by_name(saved, tarred, tmp_path):
    contents = {'./folder/a': b'first', 'b': b'second', 'folder/empty': b''}
    clean = {'folder/a': b'first', 'b': b'second', 'folder/empty': b''}
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, 'w') as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    packed = [tarred(contents, mode) for mode in ('w', 'w:gz', 'w:bz2', 'w:xz')]
    for data in packed + [zipped.getvalue()]:
        read = {member.name: member.stream.read() for member in members(saved(data))}
        assert read == clean and list(read) == list(clean)
    for data in (tarred(contents, 'w'), zipped.getvalue()):
        assert {name: read() for name, read in index(saved(data)).items()} == clean
    nested = tarred({'n1.tar': tarred({'x.JPEG': b'one', 'y.JPEG': b'two'}, 'w'),
                     'n2.tar': tarred({'x.JPEG': b'three'}, 'w')}, 'w')
    assert {name: read() for name, read in index(saved(nested)).items()} == {
        'n1/x.JPEG': b'one', 'n1/y.JPEG': b'two', 'n2/x.JPEG': b'three'}


class Evil:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.system, ('touch %s' % self._path,)


def test_a_pickle_runs_no_code(tmp_path):
    for pickled in (Evil(tmp_path / 'was_here'), [{'deep': (Evil(tmp_path / 'was_here'),)}]):
        with pytest.raises(
            UserError, match='data_batch_1: a pickle asks for .*system: only arrays, strings and dictionaries'
        ):
            unpickle(pickle.dumps(pickled), 'data_batch_1')
    assert not (tmp_path / 'was_here').exists()
    for wanted in (b'cbuiltins\neval\n.', b'cnumpy\nsave\n.', b'csubprocess\nPopen\n.'):
        with pytest.raises(UserError, match='a pickle asks for'):
            unpickle(wanted, 'it')
    with pytest.raises(UserError, match='it is damaged'):
        unpickle(b'\x80\x02}q', 'it')


def test_arrays_strings_and_dictionaries_are_read():
    honest = {'text': ['a', b'b', 1], 'array': np.arange(6, dtype=np.uint8).reshape(2, 3)}
    for protocol in (0, 2, 4):
        read = unpickle(pickle.dumps(honest, protocol), 'it')
        assert read['text'] == honest['text']
        np.testing.assert_array_equal(read['array'], honest['array'])
