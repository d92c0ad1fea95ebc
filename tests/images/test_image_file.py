"""Image files of all kinds: what is read, what is stored of them, and what a user is told of the others."""
import io
import os
import struct
import subprocess
import sys
import threading
import time

import peak_memory
import pytest
from PIL import Image, PngImagePlugin

from slimtune.images import image_file, tiff
from slimtune.images.orientation import read_orientation


def saved(image, form, **options):
    """The bytes of an image in a format."""
    encoded = io.BytesIO()
    image.save(encoded, form, **options)
    return encoded.getvalue()


def reason(data):
    """Why image_file does not take these bytes."""
    with pytest.raises(image_file.BadImage) as caught:
        image_file.inspect(data)
    return str(caught.value)


def upright(data):
    """The image that a person sees."""
    with image_file.open_upright(data) as image:
        return image


def exif(orientation, kind=3, order='<'):
    """An EXIF block that holds one tag, the orientation."""
    value = struct.pack(order + ('H' if kind == 3 else 'I'), orientation).ljust(4, b'\0')
    start = b'Exif\0\0' + (b'II*\0' if order == '<' else b'MM\0*')
    return start + struct.pack(order + 'IHHHI', 8, 1, 274, kind, 1) + value


# Files

def test_a_fifo_a_device_and_a_folder_are_named_and_do_not_hang(tmp_path):
    os.mkfifo(str(tmp_path / 'fifo.jpg'))
    (tmp_path / 'zero.jpg').symlink_to('/dev/zero')
    for path in ('fifo.jpg', 'zero.jpg', '.'):
        with pytest.raises(image_file.BadImage, match='not a regular file|Is a directory'):
            image_file.read(str(tmp_path / path))


def test_a_file_of_gigabytes_is_named_with_the_limit(tmp_path):
    with open(str(tmp_path / 'sparse.jpg'), 'wb') as f:
        f.truncate(3 << 30)
    with pytest.raises(image_file.BadImage, match='3,221,225,472 bytes, and at most 1,073,741,824 are read'):
        image_file.read(str(tmp_path / 'sparse.jpg'))


def test_ghostscript_never_starts(tmp_path):
    """Pillow's EPS reader calls `gs` from the PATH."""
    script = tmp_path / 'gs'
    script.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\n')
    script.chmod(0o755)
    (tmp_path / 'e.jpg').write_bytes(
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n')
    program = ('from slimtune.images import image_file\n'
               'try:\n    image_file.inspect(image_file.read("e.jpg"))\n'
               'except image_file.BadImage as e:\n    print(e)\n')
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    ended = subprocess.run([sys.executable, '-c', program], cwd=str(tmp_path),
                           env=dict(os.environ, PATH=path), check=True, stdout=subprocess.PIPE)
    assert ended.stdout == b'EPS or PostScript: save it as PNG\n'
    assert not (tmp_path / 'started').exists()


@pytest.mark.parametrize('data, told', [
    (b'', 'empty file'),
    (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(200), 'HEIC: save it as JPEG'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:00', 'git lfs pull'),
    (b'\n<!DOCTYPE html><html>403 Forbidden</html>', 'a web page'),
    (b'<?xml version="1.0"?>\n<svg width="8">', 'SVG: save it as PNG'),
    (b'%PDF-1.7', 'PDF'), (b'8BPS\0\1', 'Photoshop'), (b'not an image at all', 'not an image'),
], ids=lambda value: str(value)[:12])
def test_what_is_no_image_is_named_with_what_to_do(data, told):
    assert told in reason(data)


# Metadata

def metadata_png():
    """A good PNG with 2 MB of text and of colour profile, which Pillow refuses, and a damaged text chunk."""
    text = PngImagePlugin.PngInfo()
    text.add_text('prompt', 'x' * 2_000_000, zip=True)
    data = saved(Image.new('RGB', (8, 6), 'red'), 'PNG', pnginfo=text, icc_profile=bytes(2_000_000))
    with pytest.raises(ValueError):
        Image.open(io.BytesIO(data)).load()
    return data


def test_text_and_colour_profile_do_not_decide_whether_an_image_is_good():
    data = metadata_png()
    assert image_file.inspect(data) == ('png', 8, 6, 3, True, ())
    assert upright(data).getpixel((0, 0)) == (255, 0, 0)


def test_a_damaged_text_is_dropped():
    text = PngImagePlugin.PngInfo()
    text.add_text('a', 'some words')
    data = saved(Image.new('RGB', (8, 6), 'red'), 'PNG', pnginfo=text).replace(b'some words', b'some wards')
    metadata = image_file.inspect(data)
    assert metadata[:5] == ('png', 8, 6, 3, False)
    assert b'wards' not in image_file.encode(data, metadata)


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('order', '<>', ids=['little endian', 'big endian'])
def test_an_image_is_upright_whatever_its_format(form, order):
    image = Image.new('RGB', (24, 16), 'blue')
    image.paste('red', (0, 0, 24, 8))
    for orientation in range(1, 9):
        data = saved(image, form, exif=exif(orientation, order=order))
        seen = upright(data)
        assert seen.size == ((24, 16) if orientation < 5 else (16, 24))
        assert (image_file.inspect(data).width, image_file.inspect(data).height) == seen.size
        # The red half is at the top, bottom, left or right.
        width, height = seen.size
        x, y = {1: (12, 3), 2: (12, 3), 5: (3, 12), 8: (3, 12)}.get(orientation, (12, 12))
        assert seen.getpixel((x, y))[0] > 200 and seen.getpixel((width - 1 - x, height - 1 - y))[0] < 60


@pytest.mark.parametrize('block', [
    exif(9), exif(0), exif(6)[:-5], b'Exif\0\0II*\0\xff\xff\xff\xff', b'Exif\0\0',
    exif(6).replace(b'\x12\x01', b'\x12\x02')])
def test_damaged_exif_turns_nothing(block):
    data = saved(Image.new('RGB', (24, 16)), 'JPEG', exif=block)
    assert read_orientation(data) == 1
    assert image_file.inspect(data).kept


# Depth and pages

def test_negative_values_and_32_bits_are_refused_by_name():
    signed = tiff16([-1000, 0, 3095, 7], 2)
    assert reason(signed).startswith('negative values')
    assert '32 bits per pixel' in reason(saved(Image.new('I', (4, 4), 70_000), 'TIFF'))


def tiff16(values, sample_format):
    """A 2 x 2 TIFF of 16 bits per pixel."""
    data = struct.pack('<4h', *values)
    tags = [(256, 3, 2), (257, 3, 2), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 3, 2), (279, 4, len(data)), (339, 3, sample_format)]
    entries = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack('<H', len(tags)) + entries + bytes(4)
    return b'II*\0' + struct.pack('<I', 8 + len(data)) + data + directory


def test_16_bits_give_their_high_byte_and_a_user_learns_of_dark_ones():
    bright = image_file.inspect(tiff16([0, 256, 0x7f00, 0x7fff], 1))
    assert bright.channels == 1 and not bright.notes
    assert list(upright(tiff16([0, 256, 0x7f00, 0x7fff], 1)).getdata()) == [0, 1, 0x7f, 0x7f]
    assert 'nearly black' in image_file.inspect(tiff16([0, 1, 2, 4095], 1)).notes[0]


def test_a_user_learns_that_only_the_first_page_is_used():
    second = Image.new('L', (8, 8), 255)
    pages = saved(Image.new('L', (8, 8), 0), 'TIFF', save_all=True, append_images=[second])
    assert image_file.inspect(pages).notes == ('more than one page: the first is used',)
    assert upright(pages).getpixel((0, 0)) == 0


@pytest.mark.parametrize('change', [
    lambda data: data[:-30],
    lambda data: data.replace(struct.pack('<HHII', 262, 3, 1, 2), struct.pack('<HHII', 263, 3, 1, 2)),
    lambda data: data[:4] + b'\xff\xff\xff\x7f' + data[8:],
], ids=['cut', 'without a tag', 'without a directory'])
def test_a_tiff_must_be_complete(change):
    data = saved(Image.new('RGB', (9, 7), 'red'), 'TIFF')
    assert tiff.fault(data) is None
    assert 'TIFF' in reason(change(data))


# Size

def test_what_jpeg_cannot_hold_is_stored_as_png():
    data = saved(Image.new('RGB', (65501, 4), 'red'), 'BMP')
    metadata = image_file.inspect(data)
    assert metadata[:5] == ('png', 65501, 4, 3, False)
    assert Image.open(io.BytesIO(image_file.encode(data, metadata))).size == (65501, 4)
    wide = saved(Image.new('RGB', (16000, 4), 'red'), 'WEBP')
    assert image_file.inspect(wide).format == 'jpeg'


def test_an_inspection_cameras_bmp_stays_lossless():
    data = saved(Image.effect_noise((2560, 1920), 60), 'BMP')
    metadata = image_file.inspect(data)
    assert (metadata.format, metadata.channels) == ('png', 1)
    stored = Image.open(io.BytesIO(image_file.encode(data, metadata)))
    assert stored.tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_a_giant_image_is_named_with_its_size_the_limit_and_how_to_raise_it():
    data = saved(Image.new('1', (16000, 12000)), 'PNG')
    told = reason(data)
    assert '16000 x 12000 = 192,000,000 pixels, and at most 178,956,970' in told and 'attack' not in told
    program = ('import sys\nfrom slimtune.images import image_file\n'
               'print(image_file.inspect(sys.stdin.buffer.read())[:5])')
    ended = subprocess.run([sys.executable, '-c', program], input=data, check=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=dict(os.environ, SLIMTUNE_MAX_PIXELS='192000000'))
    assert ended.stdout == b"('png', 16000, 12000, 1, True)\n" and not ended.stderr


def test_the_limit_must_be_a_number(slimtune, tmp_path):
    (tmp_path / 'pic' / 'a').mkdir(parents=True)
    (tmp_path / 'pic' / 'a' / '0.png').write_bytes(saved(Image.new('L', (8, 8)), 'PNG'))
    told = slimtune('convert', '-t', 'pic', code=1, SLIMTUNE_MAX_PIXELS='many').stderr
    assert told == 'slimtune: SLIMTUNE_MAX_PIXELS=many: it must be a number of pixels, at least 1\n'


def test_giant_images_are_decoded_one_at_a_time_small_ones_together(monkeypatch):
    monkeypatch.setattr(image_file, '_PIXELS_AT_ONCE', 1000)
    in_work, most, lock, decode = [], [], threading.Lock(), image_file._decode

    def counted(image):
        with lock:
            in_work.append(image.size[0] * image.size[1])
            most.append((len(in_work), sum(in_work)))
        time.sleep(0.02)
        with lock:
            in_work.remove(image.size[0] * image.size[1])
        return decode(image)
    monkeypatch.setattr(image_file, '_decode', counted)

    def most_at_once(size):
        del most[:]
        data = saved(Image.new('RGB', size), 'BMP')
        threads = [threading.Thread(target=image_file.inspect, args=(data,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(most) == 6 and not image_file._decoded
        return tuple(map(max, zip(*most)))
    assert most_at_once((40, 40)) == (1, 1600)
    count, pixels = most_at_once((20, 20))
    assert count > 1 and pixels <= 1000


@pytest.mark.slow
def test_a_batch_of_giant_images_takes_the_memory_of_one(tmp_path):
    for number in range(4):
        Image.new('RGB', (13000, 6500), (number, 0, 0)).save(str(tmp_path / f'{number}.bmp'), 'BMP')
    program = (f'import sys\nsys.path.insert(0, {os.path.dirname(peak_memory.__file__)!r})\n'
               'from peak_memory import peak_memory\n'
               'from slimtune.images import image_file\n'
               'from slimtune.storage.parallel import in_order\n'
               'look = lambda path: image_file.inspect(image_file.read(path))\n'
               'assert len(list(in_order(look, sys.argv[1:], 4))) == 4\n'
               'print(peak_memory() >> 20)')
    paths = [str(path) for path in tmp_path.iterdir()]
    ended = subprocess.run([sys.executable, '-c', program] + paths, check=True, stdout=subprocess.PIPE)
    # The bytes of four files, 242 MiB each, and one image of four bytes per pixel, 322 MiB; not four.
    assert int(ended.stdout) < 4 * 242 + 322 + 350
