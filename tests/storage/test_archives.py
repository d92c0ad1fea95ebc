"""Archives and pickles that strangers made, the malicious ones included."""
import gzip
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.storage.archives import ALLOWANCE, explained, gunzip, index, members, unpickle

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


@pytest.mark.parametrize('facts', [
    {'type': tarfile.SYMTYPE, 'linkname': '/etc/passwd'}, {'type': tarfile.LNKTYPE, 'linkname': '../../evil'},
    {'type': tarfile.CHRTYPE}, {'type': tarfile.FIFOTYPE}], ids=['symbolic link', 'hard link', 'device', 'pipe'])
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


def test_a_truncated_archive_is_said_to_be_damaged(saved, tarred):
    whole = tarred({'a': os.urandom(100000), 'b': os.urandom(100000)})
    with pytest.raises(UserError, match='is damaged .*: fetch it again'):
        for member in members(saved(whole[:150000])):
            with explained('archive'):
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
    for data in (tarred(contents), tarred(contents, 'w'), zipped.getvalue()):
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
        with pytest.raises(UserError, match='data_batch_1: a pickle asks for .*system: only arrays, strings and dictionaries'):
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
