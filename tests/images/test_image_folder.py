"""Folders of images: nested, linked, with what systems and networks put into them."""
import os

import pytest

from slimtune.images import image_folder
from slimtune.inference import predict


def names(folder, root=None):
    """The files that walk finds, relative to the folder, and the folders that it passes over."""
    paths, passed = image_folder.walk(str(folder), root and str(root))
    relative = [[os.path.relpath(path, str(folder)) for path in found]
                for found in (paths, [path for path, _ in passed])]
    return tuple(relative)


@pytest.fixture
def deep(tmp_path):
    """A folder `deep` with an image 1,000 folders down."""
    start = os.getcwd()
    (tmp_path / 'deep').mkdir()
    os.chdir(str(tmp_path / 'deep'))
    for _ in range(1000):
        os.mkdir('d')
        os.chdir('d')
    with open('x.jpg', 'w'):
        pass
    os.chdir(start)
    yield tmp_path / 'deep'
    os.chdir(str(tmp_path / 'deep'))
    depth = 0
    while os.path.isdir('d'):       # shutil.rmtree recurses
        os.chdir('d')
        depth += 1
    os.remove('x.jpg')
    for _ in range(depth):
        os.chdir('..')
        os.rmdir('d')
    os.chdir(start)


def test_folders_may_be_a_thousand_deep(deep):
    assert names(deep) == ([os.path.join(*['d'] * 1000, 'x.jpg')], [])
    assert len(predict.image_paths([str(deep)])) == 1


def test_a_link_to_a_folder_above_is_not_followed_and_named(tmp_path, caplog, capsys):
    (tmp_path / 'pic' / 'a').mkdir(parents=True)
    (tmp_path / 'pic' / 'a' / 'x.jpg').write_bytes(b'')
    (tmp_path / 'pic' / 'a' / 'all').symlink_to('/')
    (tmp_path / 'pic' / 'b').symlink_to('/')
    candidates, _, passed = image_folder.find(str(tmp_path / 'pic'), str(tmp_path / 'pic'))
    assert [one.name for one in candidates] == ['a/x.jpg']
    why = 'a link to a folder that holds this one, not followed'
    assert passed == [('a/all', why), ('b', why)]
    assert predict.image_paths([str(tmp_path / 'pic' / 'a')]) == [str(tmp_path / 'pic' / 'a' / 'x.jpg')]
    assert 'a/all: a link to a folder that holds this one' in caplog.text + capsys.readouterr().out


def test_a_linked_folder_is_walked_once_and_under_the_same_name_on_every_disk(tmp_path, monkeypatch):
    for folder in ('pic/a/real', 'pic/a/z', 'elsewhere'):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / 'pic/a/real/x.jpg').write_bytes(b'')
    (tmp_path / 'elsewhere/y.jpg').write_bytes(b'')
    (tmp_path / 'pic/a/before').symlink_to('real')
    for link in ('m', 'z/n', 'k'):
        (tmp_path / 'pic/a' / link).symlink_to(str(tmp_path / 'elsewhere'))
    expected = ['k/y.jpg', 'real/x.jpg']
    assert names(tmp_path / 'pic/a', tmp_path / 'pic') == (expected, [])
    scandir = os.scandir

    class Reversed:
        """os.scandir of another disk."""
        def __init__(self, path):
            self._entries = scandir(path)

        def __enter__(self):
            return reversed(list(self._entries))

        def __exit__(self, *_):
            self._entries.close()
    monkeypatch.setattr(os, 'scandir', Reversed)
    assert names(tmp_path / 'pic/a', tmp_path / 'pic') == (expected, [])


def test_folders_of_systems_and_network_drives_are_no_classes(tmp_path):
    junk = ('@eaDir', '#recycle', '$RECYCLE.BIN', 'lost+found', 'System Volume Information',
            '.ipynb_checkpoints', '__MACOSX')
    for folder in junk + ('red', 'red/@eaDir/0.jpg'):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / 'x.jpg').write_bytes(b'')
    assert [os.path.basename(path) for path in image_folder.class_folders(str(tmp_path))] == ['red']
    assert names(tmp_path / 'red') == (['x.jpg'], [])


def test_a_folder_that_is_itself_a_link_is_walked(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real' / 'a.jpg').write_bytes(b'')
    (tmp_path / 'real' / 'again').symlink_to(tmp_path / 'real')
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    assert image_folder.walk(str(tmp_path / 'link'))[0] == [str(tmp_path / 'link' / 'a.jpg')]
