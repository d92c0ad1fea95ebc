"""From any bytes to an upright image, and what is stored of it: the same pixels for convert and predict.

An image is known by its bytes, never by its name. What is seen: the image upright (EXIF), its first frame,
transparent parts on white, grey or RGB in 8 bits; of 16 bits the high byte, as TensorFlow reads them.
Metadata other than EXIF's orientation decides nothing.
"""
import contextlib
import importlib
import io
import os
import re
import stat
import struct
import threading
import typing
import warnings
import zlib

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from slimtune.errors import UserError
from slimtune.images import tiff
from slimtune.images.orientation import TURNS, png_chunks, read_orientation, without_orientation

for _reader in ('Bmp', 'Gif', 'Tiff', 'WebP', 'Jpeg2K', 'Avif', 'Pcx', 'Sgi', 'Ico', 'Png', 'Ppm', 'Tga'):
    with contextlib.suppress(ImportError):      # Pillow reads AVIF from 11.3 on
        importlib.import_module(f'PIL.{_reader}ImagePlugin')


def _limit(variable, default):
    value = os.environ.get(variable)
    if value and not (value.isdigit() and int(value)):
        raise UserError(f'{variable}={value}: it must be a number of pixels, at least 1')
    return int(value or default)


#: The formats that are read. Pillow's other readers are not tried: that of EPS would start Ghostscript.
FORMATS = [name for name in (
    'JPEG', 'PNG', 'BMP', 'DIB', 'GIF', 'TIFF', 'WEBP', 'JPEG2000', 'AVIF', 'PPM', 'PCX', 'SGI', 'ICO', 'TGA',
) if name in Image.OPEN]
#: Formats that are recognized only to say what can be done: (pattern of the first bytes, reason).
_OTHER_FORMATS = [
    (rb'.{4}ftyp(hei|hev|mif1|msf1)',
     'HEIC: save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)'),
    (rb'.{4}ftypavi', 'AVIF, which this version of Pillow does not read: save it as JPEG or PNG'),
    (rb'%!PS|\xc5\xd0\xd3\xc6', 'EPS or PostScript: save it as PNG'),
    (rb'%PDF', 'PDF: save its pages as PNG'),
    (rb'8BPS', 'Photoshop: save it as PNG'),
    (rb'\s*(<\?xml[^>]*>\s*)?<svg', 'SVG: save it as PNG'),
    (rb'(?i)\s*<(!doctype html|html)', 'a web page, not an image: download it again'),
    (rb'version https://git-lfs', 'a pointer of Git LFS, not an image: run `git lfs pull`'),
]
#: The largest file that is read, in bytes.
MAX_BYTES = 1 << 30
#: The largest image that is read, in pixels; by default Pillow's own limit.
MAX_PIXELS = _limit('SLIMTUNE_MAX_PIXELS', 178_956_970)
_LONGEST_SIDE = 1_000_000       # of a PNG that TensorFlow reads
_LONGEST_JPEG_SIDE = 65_500
#: How many pixels all threads together decode; an image with more is decoded alone.
_PIXELS_AT_ONCE = 150_000_000
#: A lossless image of more pixels is stored as JPEG all the same: its PNG would take 50 MB and more.
_LARGEST_LOSSLESS = 25_000_000
_GREY = ('1', 'L', 'LA', 'La', 'I', 'I;16', 'I;16L', 'I;16B')
_LOSSY = ('JPEG', 'WEBP', 'JPEG2000', 'AVIF')
_JPEG_MARKER = re.compile(b'\xff[^\x00\xd0-\xd7\xff]')      # what may end the coded part of a JPEG
_METADATA_CHUNKS = (b'iCCP', b'tEXt', b'zTXt', b'iTXt', b'eXIf')    # of a PNG

_work = threading.Condition()
_decoded = []       # the pixels of every image in work
# Pillow's memory for pixels comes in blocks of 16 MB, which glibc keeps for each thread once they are freed;
# blocks of 64 MB are given back.
Image.core.set_block_size(64 << 20)
# Pillow checks sizes within files (ICO) by this; its warning calls a large image an attack.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')     # on metadata, no file named


class BadImage(Exception):
    """Why a file cannot be used."""


class ImageMetadata(typing.NamedTuple):
    """What is stored of an image.

    format: 'jpeg' or 'png'. width, height: pixels, upright. channels: 1 or 3. kept: the file's bytes are
    stored, because TensorFlow sees in them what a person sees. notes: what a user should know of it, short
    texts.
    """
    format: str
    width: int
    height: int
    channels: int
    kept: bool
    notes: tuple = ()


def read(path):
    """Returns the bytes of an image file.

    Raises BadImage for what is no regular file, too large, or cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0))
        with open(descriptor, 'rb') as f:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadImage('not a regular file')
            if status.st_size > MAX_BYTES:
                raise BadImage(
                    f'{status.st_size:,} bytes, and at most {MAX_BYTES:,} are read: save it compressed')
            return f.read(MAX_BYTES)
    except OSError as e:
        raise BadImage(e.strerror or str(e)) from e


@contextlib.contextmanager
def open_upright(data):
    """A context in which an image is decoded, as a person sees it: a Pillow image of mode L or RGB.

    Of all threads together, no more than _PIXELS_AT_ONCE are decoded, or one larger image. Raises BadImage.
    """
    image = _open(data)
    with _in_work(image.size[0] * image.size[1]):
        yield _upright(_decode(image), data)


def inspect(data):
    """Decodes an image to check that it is whole.

    Returns what will be stored of it, an ImageMetadata. Raises BadImage.
    """
    image = _open(data)
    (width, height), mode = image.size, image.mode
    # A JPEG is made grey and an eighth of its size, for which every byte is read, in half the time.
    reduced = image.draft('L', (1, 1))
    in_memory = width * height // 64 if reduced and not image.info.get('progressive') else width * height
    with _in_work(in_memory):
        _decode(image)
        if not reduced:
            (width, height), mode = image.size, image.mode
        orientation = read_orientation(data)
        if orientation > 4:
            width, height = height, width
        channels = 1 if mode in _GREY else 3
        notes = tuple(_notes(image))
        if image.format in ('JPEG', 'PNG') and orientation == 1 and not _see_through(image) \
                and _is_sound(data, image.format):
            return ImageMetadata(image.format.lower(), width, height, channels, True, notes)
        if not reduced:
            _upright(image, data)       # what `encode` will do must not fail then
    if reduced:
        with open_upright(data):
            pass
    lossless = image.format not in _LOSSY and width * height <= _LARGEST_LOSSLESS
    as_png = lossless or mode in ('1', 'P') or max(width, height) > _LONGEST_JPEG_SIDE
    return ImageMetadata('png' if as_png else 'jpeg', width, height, channels, False, notes)


def encode(data, metadata):
    """Returns the bytes to store of an image that `inspect` has seen. Raises BadImage."""
    if metadata.kept:
        return data
    encoded = io.BytesIO()
    options = {} if metadata.format == 'png' else {'quality': 100, 'subsampling': 0}
    with open_upright(data) as image:
        try:
            image.save(encoded, metadata.format, **options)
        except (OSError, ValueError) as e:
            raise BadImage(f'cannot be stored: {e}') from e
    return encoded.getvalue()


def features(encoded, metadata, label, name, file):
    """What a record holds of an image, by slim's keys and those of the Inception converter.

    name: its class's.
    """
    return {
        'image/encoded': encoded, 'image/format': metadata.format, 'image/filename': file,
        'image/class/label': label, 'image/class/text': name,
        'image/height': metadata.height, 'image/width': metadata.width, 'image/channels': metadata.channels,
        'image/colorspace': 'Grayscale' if metadata.channels == 1 else 'RGB'}


def _open(data):
    """The image in these bytes, of which only the header has been read."""
    if not data:
        raise BadImage('empty file')
    if tiff.is_tiff(data):
        fault = tiff.fault(data)
        if fault:
            raise BadImage(fault)
        data = without_orientation(data)
    data = _without_metadata(data)
    try:
        # Image.open would read the further images of a JPEG too, its versions with other errors.
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data)) if data[:3] == b'\xff\xd8\xff' else \
            Image.open(io.BytesIO(data), formats=FORMATS)
    except (UnidentifiedImageError, SyntaxError) as e:
        reasons = (reason for pattern, reason in _OTHER_FORMATS if re.match(pattern, data, re.DOTALL))
        raise BadImage(next(reasons, 'not an image')) from e
    except Image.DecompressionBombError as e:
        raise _too_large('', int(re.search(r'\d+', str(e)).group())) from e
    except Exception as e:      # noqa: B902 - a damaged file makes Pillow's readers raise anything
        raise BadImage(str(e) or type(e).__name__) from e
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(f'{width} x {height} = ', width * height)
    if max(width, height) > _LONGEST_SIDE:
        raise BadImage(
            f'{width} x {height} pixels, and TensorFlow reads at most {_LONGEST_SIDE:,} per side: cut it')
    return image


def _too_large(sides, pixels):
    return BadImage(f'{sides}{pixels:,} pixels, and at most {MAX_PIXELS:,} are read: make it smaller, or set '
                    f'SLIMTUNE_MAX_PIXELS={pixels} in the environment')


@contextlib.contextmanager
def _in_work(pixels):
    """Waits until so many pixels may be decoded beside those that other threads decode."""
    with _work:
        _work.wait_for(lambda: not _decoded or sum(_decoded) + pixels <= _PIXELS_AT_ONCE)
        _decoded.append(pixels)
    try:
        yield
    finally:
        with _work:
            _decoded.remove(pixels)
            _work.notify_all()


def _decode(image):
    """Reads the pixels of an image of `_open`, and returns it."""
    try:
        image.load()
    except Image.DecompressionBombError as e:
        raise _too_large('', int(re.search(r'\d+', str(e)).group())) from e
    except Exception as e:      # noqa: B902 - as above
        raise BadImage(str(e) or type(e).__name__) from e
    if image.mode == 'I' and image.getextrema()[0] < 0:
        raise BadImage('negative values: save it with values of 0 to 255 or 0 to 65535')
    if image.mode == 'F' or image.mode == 'I' and image.getextrema()[1] > 0xffff:
        raise BadImage('32 bits per pixel: save it with 8 or 16')
    return image


def _notes(image):
    """What a user should know of a decoded image."""
    with contextlib.suppress(Exception):        # a mode without extrema, a damaged directory
        if image.mode.startswith('I') and image.getextrema()[1] < 0x1000:
            yield '12 bits or less in 16: the highest 8 of 16 bits are used, the image is nearly black'
        if image.format == 'TIFF' and image.n_frames > 1:
            yield 'more than one page: the first is used'


def _without_metadata(data):
    """A PNG without text, colour profile and EXIF, whose size Pillow limits; any other file as it is."""
    if data[:8] != b'\x89PNG\r\n\x1a\n':
        return data
    chunks = list(png_chunks(data))
    dropped = [(start, stop) for kind, start, stop in chunks if kind in _METADATA_CHUNKS]
    if not dropped:
        return data
    starts, stops = [0] + [stop for _, stop in dropped], [start for start, _ in dropped] + [len(data)]
    return b''.join(data[start:stop] for start, stop in zip(starts, stops))


def _is_sound(data, form):
    """Whether TensorFlow reads these bytes too, which checks a PNG's checksums and where a JPEG ends."""
    if form == 'PNG':
        kind, view = None, memoryview(data)
        for kind, start, stop in png_chunks(data):
            if view[stop - 4:stop] != struct.pack('>I', zlib.crc32(view[start + 4:stop - 4])):
                return False
            if kind == b'IEND':
                break
        return kind == b'IEND'
    end = _JPEG_MARKER.search(data, data.rfind(b'\xff\xda') + 2)
    return bool(end) and end.group() == b'\xff\xd9'


def _see_through(image):
    """Whether any pixel is not opaque."""
    if image.mode.startswith('I'):      # Pillow cannot tell for 16 bits
        return False
    if image.mode not in ('RGBA', 'RGBa', 'LA', 'La', 'PA') and 'transparency' not in image.info:
        return False
    return image.convert('RGBA').getchannel('A').getextrema()[0] < 255


def _upright(image, data):
    """A decoded image as L or RGB, turned as EXIF says."""
    try:
        flat = _flat(image)
        turn = TURNS.get(read_orientation(data))
        return flat if turn is None else flat.transpose(turn)
    except (ValueError, OSError) as e:      # a mode that Pillow cannot convert
        raise BadImage(str(e)) from e


def _flat(image):
    mode = 'L' if image.mode in _GREY else 'RGB'
    if _see_through(image):
        white = Image.new('RGBA', image.size, 'white')
        return Image.alpha_composite(white, image.convert('RGBA')).convert(mode)
    if image.mode.startswith('I'):
        import numpy as np  # here: convert starts sooner without it
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)
