"""What convert leaves out: bad images, each named, and none of the others with it."""
import os
import re
import subprocess
import sys

import pytest
from data_folders import examples, stored, tree
from PIL import Image

from slimtune.datasets import manifest
from slimtune.images import image_file

CONSOLE_SCRIPT = os.path.join(os.path.dirname(sys.executable), 'slimtune')
SMALL = {'train/daisy': 4, 'train/rose': 3, 'validation/daisy': 2, 'validation/rose': 1}


def test_bad_images_are_left_out_and_named(pic, convert):
    root = pic(SMALL)
    whole = (root / 'train/daisy/0.jpg').read_bytes()
    (root / 'train/daisy/cut.jpg').write_bytes(whole[:-40])
    (root / 'train/rose/empty.png').write_bytes(b'')
    (root / 'validation/rose/notes.txt').write_text('not an image')
    (root / 'train/rose/gone.jpg').symlink_to('nowhere.jpg')
    (root / 'train/loose.jpg').write_bytes(whole)
    (root / 'extra').mkdir()
    said = convert('-t', root)
    left = {one.file: one.why for one in manifest.load(str(root)).left_out}
    assert set(left) == {'train/daisy/cut.jpg', 'train/rose/empty.png', 'validation/rose/notes.txt',
                         'train/rose/gone.jpg', 'train/loose.jpg', 'extra'}
    for name in left:
        assert name in said
    assert 'truncated' in left['train/daisy/cut.jpg'] and left['train/rose/empty.png'] == 'empty file'
    assert '10 images of 2 classes' in said
    assert len(examples(root, 'train')) == 7 and len(examples(root, 'validation')) == 3


def test_an_image_that_jpeg_cannot_hold_costs_no_other(pic, convert):
    root = pic({'a': 3, 'b': 3})
    Image.new('RGB', (65501, 4), 'red').save(str(root / 'a' / 'wide.bmp'))
    convert('-t', root, '--validation-fraction', 0)
    wide, = [record for record in examples(root, 'train') if record['image/filename'] == b'a/wide.bmp']
    assert (wide['image/format'], wide['image/width'], wide['image/height']) == (b'png', 65501, 4)


@pytest.mark.parametrize('words', [[], ['--strict']])
def test_an_image_that_fails_while_it_is_stored_is_left_out_and_named(
        pic, convert, monkeypatch, noise, words):
    root = pic(SMALL)
    noise('victim').save(str(root / 'train/daisy/victim.bmp'))
    encode = image_file.encode

    def failing(data, metadata):
        if data[:2] == b'BM':
            raise OSError('broken data stream when writing image file')
        return encode(data, metadata)
    monkeypatch.setattr(image_file, 'encode', failing)
    before = tree(root)
    output = convert('-t', root, *words, code=1 if words else 0)
    assert re.search(r'train/daisy/victim.bmp.*broken data stream when writing image file', output)
    if words:
        assert tree(root) == before
    else:
        assert len(examples(root, 'train')) == 7
        assert [one.file for one in manifest.load(str(root)).left_out] == ['train/daisy/victim.bmp']


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='kilobytes of memory')
def test_giant_images_are_in_memory_one_at_a_time(pic):
    """17 images of 169 MB each when decoded, on three threads."""
    root = pic({'a': 1, 'b': 1})
    giant = stored(Image.new('1', (13000, 13000)), 'PNG')
    for n in range(17):
        (root / 'ab'[n % 2] / f'{n}.png').write_bytes(giant)
    program = ('import resource, subprocess, sys; '
               'subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); '
               'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    command = [CONSOLE_SCRIPT, 'convert', '-t', str(root), '--num-threads', '3']
    ended = subprocess.run([sys.executable, '-c', program] + command, stdout=subprocess.PIPE, check=True)
    # With Python's own 50 MB; two images at a time would be 390 MB
    assert int(ended.stdout) * 1024 < 300 << 20, ended.stdout


def test_what_decoding_found_is_reported_once_for_all_images(pic, convert):
    root = pic(SMALL)
    for n in range(5):
        Image.frombytes('I;16', (8, 8), bytes([n, 1]) * 64).save(str(root / 'train/daisy' / f'dark{n}.png'))
    output = convert('-t', root)
    assert output.count('nearly black') == 1
    assert re.search(r'5 images: 12 bits or less in 16.*\(train/daisy/dark0.png, .* and 2 more\)', output)


def test_strict_fails_on_a_bad_image_and_writes_nothing(pic, convert):
    root = pic(SMALL)
    (root / 'train/daisy/cut.jpg').write_bytes((root / 'train/daisy/0.jpg').read_bytes()[:-40])
    before = tree(root)
    assert 'cut.jpg' in convert('-t', root, '--strict', code=1)
    assert tree(root) == before


def test_the_systems_own_files_are_passed_over_and_odd_names_work(pic, convert):
    root = pic({'a [1]': 3, 'b': 3, 'b/more/and more': 2, 'b/c.png': 1})
    for junk in ('.DS_Store', 'b/Thumbs.db', 'b/.hidden.jpg', 'desktop.ini'):
        (root / junk).write_bytes(b'junk')
    said = convert('-t', root, '--validation-fraction', '0')
    assert 'Left out' not in said
    written = manifest.load(str(root))
    assert (written.classes, written.splits['train'].per_class) == (['a [1]', 'b'], [3, 6])


def test_where_every_image_is_bad_the_reason_is_said(pic, convert):
    root = pic({'a': 0, 'b': 0})
    (root / 'a/x.jpg').write_bytes(b'junk')
    assert 'a/x.jpg (not an image)' in convert('-t', root, code=1)
