"""The first directory of a TIFF, read from its bytes: EXIF's orientation is in one, in files of other formats
too.

Pillow's versions differ on damaged directories, and two installations must make the same data set from one
folder. Sources: TIFF 6.0, section 2; BigTIFF.
"""
import struct
import typing

#: A TIFF's first bytes: (struct's byte order, where the directory's offset is, the formats of that offset and
#: of the number of entries, the bytes of an entry, where an entry's value is, the format of a number of
#: values).
_LAYOUTS = {
    b'II*\0': ('<', 4, 'I', 'H', 12, 8), b'MM\0*': ('>', 4, 'I', 'H', 12, 8),
    b'II+\0': ('<', 8, 'Q', 'Q', 20, 12), b'MM\0+': ('>', 8, 'Q', 'Q', 20, 12),
}
#: The numbers among the types of values: struct's format.
_NUMBERS = {3: 'H', 4: 'I', 16: 'Q'}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
FAX_GROUP_3, FAX_GROUP_4 = (2, 3), 4        # compressions
#: Where the pixels are: the tags of their offsets and of their lengths, for strips and for tiles.
_PIXELS = ((273, 279), (324, 325))


class Entry(typing.NamedTuple):
    """A directory's entry.

    place: where its first value is in the file. format: of one value, for struct, or None.
    """
    tag: int
    count: int
    place: int
    format: str


def is_tiff(data):
    """Whether bytes begin as a TIFF does."""
    return bytes(data[:4]) in _LAYOUTS


def directory(data):
    """Returns the entries of a TIFF's first directory; [] where there is none.

    Values may lie outside the file.
    """
    if not is_tiff(data):
        return []
    order, place, offset, number, size, at = _LAYOUTS[bytes(data[:4])]
    entries = []
    try:
        start, = struct.unpack_from(order + offset, data, place)
        count, = struct.unpack_from(order + number, data, start)
        first = start + struct.calcsize(number)
        for entry in range(first, min(first + size * count, len(data) - size + 1), size):
            tag, kind, values = struct.unpack_from(order + 'HH' + offset, data, entry)
            form = order + _NUMBERS[kind] if kind in _NUMBERS else None
            inline = form is None or values * struct.calcsize(form) <= size - at
            place = entry + at if inline else struct.unpack_from(order + offset, data, entry + at)[0]
            entries.append(Entry(tag, values, place, form))
    except (struct.error, OverflowError):
        pass        # the directory lies outside the file
    return entries


def numbers(data, entry):
    """Returns the values of an entry, a tuple of integers; () for other types and outside the file."""
    if entry.format is None or entry.count > len(data):
        return ()
    try:
        return struct.unpack_from(f'{entry.format[0]}{entry.count}{entry.format[1]}', data, entry.place)
    except (struct.error, OverflowError):
        return ()


def fault(data):
    """Returns why a TIFF cannot be used, or None: its directory must be complete, its pixels in the file."""
    entries = directory(data)
    found = {entry.tag: numbers(data, entry) for entry in entries}
    if len(found) < len(entries):
        return 'a damaged TIFF: its directory has a tag twice'
    if any(len(found.get(tag, ())) != 1 for tag in (WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC)):
        return 'a damaged TIFF: its directory is not complete'
    compression = found[COMPRESSION][0]
    if compression in FAX_GROUP_3:      # libtiff's versions differ in what they accept
        return 'a TIFF with fax compression (group 3), in which damage goes unnoticed: save it as PNG'
    if not found.get(BITS) and compression != FAX_GROUP_4:
        return 'a damaged TIFF: its directory is not complete'
    for offsets, lengths in _PIXELS:
        if found.get(offsets) and len(found[offsets]) == len(found.get(lengths, ())):
            if all(start + length <= len(data) for start, length in zip(found[offsets], found[lengths])):
                return None
            return 'a TIFF that is cut short'
    return 'a damaged TIFF: its directory is not complete'
