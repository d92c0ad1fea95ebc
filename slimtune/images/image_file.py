"""Any bytes to an upright image, and what is stored of it: what convert and predict share, so that both see the same pixels.

An image is known by its bytes, never by its name. Seen means: upright (EXIF), the first frame, transparent parts on
white, grey or RGB in 8 bits; 16 bits give their high byte, as TensorFlow reads them.
"""
import collections
import contextlib
import io
import re
import struct
import zlib

from PIL import Image, UnidentifiedImageError

#: format: 'jpeg' or 'png', as it is stored. width, height: pixels, upright. channels: 1 or 3.
#: kept: TensorFlow sees in these bytes what a person sees, so they are stored as they are.
ImageFacts = collections.namedtuple('Image', 'format width height channels kept')
_GREY = ('1', 'L', 'LA', 'La', 'I', 'I;16', 'I;16L', 'I;16B')
_LOSSY = ('JPEG', 'MPO', 'WEBP', 'JPEG2000', 'AVIF')
#: Up to this many pixels a lossless image stays lossless; beyond, a photograph as PNG is only big and slow.
_SMALL = 256 * 256
#: What may end the coded part of a JPEG.
_JPEG_MARKER = re.compile(b'\xff[^\x00\xd0-\xd7\xff]')
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImage(Exception):
    """Why a file cannot be used."""


def read(path):
    """The bytes of an image file. Raises BadImage where it cannot be read."""
    try:
        with open(path, 'rb') as f:
            return f.read()
    except OSError as e:
        raise BadImage(e.strerror or str(e)) from e


def turn_of(data):
    """A context in which at most one giant image is decoded at a time."""
    return contextlib.nullcontext()


def open_upright(data):
    """The image in these bytes as a person sees it: a Pillow image of mode L or RGB. Raises BadImage."""
    try:
        image = _load(data)
        return _turned(_flat(image), _orientation(image))
    except (ValueError, OSError) as e:      # a mode that Pillow cannot convert
        raise BadImage(str(e)) from e


def inspect(data):
    """Proves by decoding that an image is whole, and says what will be stored of it: a Image. Raises BadImage."""
    image = _load(data, to_check=True)
    width, height = image.full_size
    orientation = _orientation(image)
    if orientation > 4:
        width, height = height, width
    channels = 1 if image.full_mode in _GREY else 3
    kept = image.format in ('JPEG', 'MPO', 'PNG') and orientation == 1 and not _see_through(image) \
        and _sound(data, image.format)
    if kept:
        return ImageFacts('png' if image.format == 'PNG' else 'jpeg', width, height, channels, True)
    open_upright(data)      # what `encode` will do must not fail then
    lossless = image.mode in ('1', 'P') or image.format not in _LOSSY and width * height <= _SMALL
    return ImageFacts('png' if lossless else 'jpeg', width, height, channels, False)


def encode(data, facts):
    """The bytes to store for an image that `inspect` has seen."""
    if facts.kept:
        return data
    encoded = io.BytesIO()
    if facts.format == 'png':
        open_upright(data).save(encoded, 'PNG')
    else:
        open_upright(data).save(encoded, 'JPEG', quality=100, subsampling=0)
    return encoded.getvalue()


def features(encoded, facts, label, name, file):
    """What is stored of an image, by slim's keys and those of the Inception converter. facts: a Image. name: its class's."""
    return {
        'image/encoded': encoded, 'image/format': facts.format, 'image/class/label': label, 'image/class/text': name,
        'image/height': facts.height, 'image/width': facts.width, 'image/filename': file, 'image/channels': facts.channels,
        'image/colorspace': 'Grayscale' if facts.channels == 1 else 'RGB'}


def _load(data, to_check=False):
    """Decodes. to_check: a JPEG is made grey and an eighth of its size, for which every byte is read, in half the time.

    The image's `full_size` and `full_mode` are what they would be without.
    """
    if not data:
        raise BadImage('empty file')
    try:
        image = Image.open(io.BytesIO(data))
        size, mode = image.size, image.mode
        drafted = to_check and image.draft('L', (1, 1))
        image.load()
    except UnidentifiedImageError as e:
        raise BadImage('not an image') from e
    except Exception as e:      # noqa: B902 - a damaged file makes Pillow's readers raise anything
        raise BadImage(str(e) or type(e).__name__) from e
    if image.mode == 'F' or image.mode == 'I' and image.getextrema()[1] > 0xffff:
        raise BadImage('32 bits a pixel: save it with 8 or 16')
    image.full_size = size if image.format != 'TIFF' else image.size      # Pillow turns TIFFs itself
    image.full_mode = mode if drafted else image.mode
    return image


def _sound(data, form):
    """Whether TensorFlow, which is stricter than Pillow, reads these bytes too: PNG checksums, JPEG's end in its place."""
    if form == 'PNG':
        at, kind = 8, None
        while kind != b'IEND' and at + 12 <= len(data):
            length, kind = struct.unpack_from('>I4s', data, at)
            at += 12 + length
            if data[at - 4:at] != struct.pack('>I', zlib.crc32(data[at - 8 - length:at - 4])):
                return False
        return kind == b'IEND'
    end = _JPEG_MARKER.search(data, data.rfind(b'\xff\xda') + 2)
    return bool(end) and end.group() == b'\xff\xd9'


def _orientation(image):
    """EXIF's orientation, 1 (upright) to 8; damaged EXIF data counts as none."""
    if image.format == 'TIFF':
        return 1
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:       # noqa: B902 - as above
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _turned(image, orientation):
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _see_through(image):
    """Whether any pixel is not opaque."""
    if image.mode.startswith('I'):      # Pillow cannot say it of 16 bits
        return False
    if image.mode not in ('RGBA', 'RGBa', 'LA', 'La', 'PA') and 'transparency' not in image.info:
        return False
    return image.convert('RGBA').getchannel('A').getextrema()[0] < 255


def _flat(image):
    """The image as L or RGB."""
    mode = 'L' if image.mode in _GREY else 'RGB'
    if _see_through(image):
        white = Image.new('RGBA', image.size, 'white')
        return Image.alpha_composite(white, image.convert('RGBA')).convert(mode)
    if image.mode.startswith('I'):
        sixteen = image.tobytes('raw', 'I;16B' if image.mode == 'I;16B' else image.mode)
        step = len(sixteen) // (image.size[0] * image.size[1])
        return Image.frombytes('L', image.size, sixteen[0 if image.mode == 'I;16B' else 1::step])
    return image.convert(mode)
