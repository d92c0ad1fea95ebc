"""The orientation that EXIF gives an image, read from the file's bytes: the same under every version of
Pillow.

Source: EXIF 2.32, section 4.6.2.
"""
import struct

from PIL import Image

from slimtune.images import tiff

#: What makes an image of this orientation upright; 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_orientation(data):
    """Returns the orientation in the bytes of an image file, 1 (upright) to 8; 1 where EXIF is damaged."""
    exif = _exif(data)
    for entry in tiff.directory(exif):
        values = tiff.numbers(exif, entry) if entry.tag == tiff.ORIENTATION else ()
        if values:
            return values[0] if values[0] in TURNS else 1
    return 1


def without_orientation(data):
    """Returns the bytes of a TIFF with its orientation set to upright: Pillow would turn the image itself."""
    changed = bytearray(data)
    for entry in tiff.directory(data):
        if entry.tag == tiff.ORIENTATION and tiff.numbers(data, entry):
            struct.pack_into(entry.format, changed, entry.place, 1)
    return bytes(changed)


def png_chunks(data):
    """Yields (type, start, stop) of every whole chunk of a PNG: length, type, content and checksum."""
    start = 8
    while start + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, start)
        stop = start + 12 + length
        if stop > len(data):
            return
        yield kind, start, stop
        start = stop


def _exif(data):
    """The TIFF that holds a file's EXIF, b'' without."""
    if tiff.is_tiff(data):
        return data
    exif = b''
    if data[:2] == b'\xff\xd8':
        segments = _jpeg_segments(data)
        exif = next((part for marker, part in segments if marker == 0xe1 and part[:6] == b'Exif\0\0'), b'')
    elif data[:8] == b'\x89PNG\r\n\x1a\n':
        chunks = png_chunks(data)
        exif = next((data[start + 8:stop - 4] for kind, start, stop in chunks if kind == b'eXIf'), b'')
    elif data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        exif = next((data[start:stop] for kind, start, stop in _riff_chunks(data) if kind == b'EXIF'), b'')
    return exif[6:] if exif[:6] == b'Exif\0\0' else exif


def _jpeg_segments(data):
    """Yields (marker, content) of what stands before a JPEG's pixels."""
    start = 2
    while start + 4 <= len(data) and data[start] == 0xff:
        marker, length = data[start + 1], struct.unpack_from('>H', data, start + 2)[0]
        if marker == 0xff:      # fill byte
            start += 1
            continue
        if marker == 0xda:
            return
        yield marker, data[start + 4:start + 2 + length]
        start += 2 + length


def _riff_chunks(data):
    """Yields (type, start, stop) of the content of a WebP's chunks."""
    start = 12
    while start + 8 <= len(data):
        kind, length = struct.unpack_from('<4sI', data, start)
        yield kind, start + 8, start + 8 + length
        start += 8 + length + length % 2
