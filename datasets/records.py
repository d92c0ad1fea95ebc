"""Writes TFRecord files, counts their records and reads their labels: without TensorFlow, no image decoded.

A record is its length (8 bytes), a checksum (4), the bytes of a tf.train.Example and a checksum (4). Of the
Example only the lengths of its features and two integers are read; the image between them is skipped.
"""
import collections
import contextlib
import functools
import itertools
import mmap
import os
import struct

import google_crc32c

from slimtune.errors import UserError

#: labels: {label: number of records}. channels: 1 where every record states that its image is grey, else 3.
Shard = collections.namedtuple('Shard', 'labels channels')

_LABEL, _CHANNELS = b'image/class/label', b'image/channels'
_HEADER, _FOOTER = 12, 4


def scan(path):
    """Reads a file of records: a Shard.

    Raises UserError for a file that is empty, cut short or something else.
    """
    if not os.path.isfile(path):
        raise UserError(f'{path} is gone: convert the images again')
    status = os.stat(path)
    return _scan(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=None)
def _scan(path, size, _mtime):
    if not size:
        raise UserError(f'{path} is empty: convert the images again, or remove it')
    labels, channels, at, number = collections.Counter(), set(), 0, 0
    with open(path, 'rb') as f, contextlib.closing(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        while at < size:
            length = struct.unpack_from('<Q', data, at)[0] if at + _HEADER <= size else size
            if at + _HEADER + length + _FOOTER > size:
                problem = (f'cut short after {number} records: convert the images again' if at
                           else 'not a file of records, or cut short in the first one')
                raise UserError(f'{path} is {problem}')
            try:
                integers = _integers(data, at + _HEADER, at + _HEADER + length)
            except (ValueError, IndexError) as e:
                raise UserError(f'{path}: record {number} is damaged: convert the images again') from e
            if _LABEL not in integers:
                raise UserError(f'{path}: record {number} has no image/class/label')
            labels[integers[_LABEL]] += 1
            channels.add(integers.get(_CHANNELS, 3))
            at += _HEADER + length + _FOOTER
            number += 1
    return Shard(labels, 1 if channels == {1} else 3)


def places(path, most):
    """Finds up to `most` records, evenly spaced over a file: [(label, start of its Example, its end), ...].

    Of each only the label is read. Raises UserError for a file that is cut short or damaged.
    """
    if not os.path.getsize(path):
        return []
    bounds, at = [], 0
    with open(path, 'rb') as f, contextlib.closing(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        try:
            while at < len(data):
                start = at + _HEADER
                stop = start + struct.unpack_from('<Q', data, at)[0]
                at = stop + _FOOTER
                bounds.append((start, stop))
            if at > len(data):
                raise ValueError('cut short')
            return [(_integers(data, start, stop)[_LABEL], start, stop)
                    for start, stop in spread(bounds, most)]
        except (struct.error, ValueError, IndexError, KeyError) as e:
            raise UserError(f'{path} is damaged: convert the images again') from e


def read(path, start, stop):
    """The Example's bytes in a record. start, stop: of `places`. Raises UserError where they were changed."""
    with open(path, 'rb') as f:
        f.seek(start)
        data = f.read(stop - start + _FOOTER)
    record, checksum = data[:stop - start], data[stop - start:]
    if _masked(record) != checksum:
        raise UserError(f'{path} is damaged: convert the images again')
    return record


def spread(items, count):
    """Returns at most `count` of a list's items, evenly spaced, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * n + 1) * len(items) // (2 * count)] for n in range(count)]


def _integers(data, start, stop):
    """Label and channels of the Example in data[start:stop]: {name of the feature: its first integer}."""
    integers = {}
    for _, begin, end in _fields(data, start, stop):                # Example.features
        for _, entry, entry_end in _fields(data, begin, end):       # Features.feature, a map
            parts = {number: (first, last) for number, first, last in _fields(data, entry, entry_end)}
            name = data[slice(*parts.get(1, (0, 0)))]
            if name in (_LABEL, _CHANNELS) and 2 in parts:
                for field, first, last in _fields(data, *parts[2]):
                    if field == 3:                                  # Feature.int64_list
                        for _, value, _ in _fields(data, first, last):
                            integers.setdefault(name, _signed(_varint(data, value)[0]))
    return integers


def _fields(data, at, stop):
    """Walks a protocol buffer message: yields (number, start, stop of the value's bytes)."""
    while at < stop:
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == 0:
            end = _varint(data, at)[1]
        elif wire_type == 1:
            end = at + 8
        elif wire_type == 2:
            length, at = _varint(data, at)
            end = at + length
        elif wire_type == 5:
            end = at + 4
        else:
            raise ValueError('no protocol buffer')
        if end > stop:
            raise ValueError('a field is longer than its message')
        yield key >> 3, at, end
        at = end


def _varint(data, at):
    """A number in groups of seven bits, lowest first: (number, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


# Writing. Importing TensorFlow for it would take longer than checking a thousand images.

@contextlib.contextmanager
def writer(path):
    """Gives a function that appends a record to a new file; it returns the record's length and checksum.

    Raises UserError where the file cannot be written: a full disk.
    """
    def failed(error):
        return UserError(f'{os.path.basename(path)} cannot be written: {error.strerror}')
    try:
        f = open(path, 'wb')        # noqa: SIM115 - closed below, where a full disk may be noticed first
    except OSError as e:
        raise failed(e) from e

    def write(record):
        length, checksum = struct.pack('<Q', len(record)), _masked(record)
        try:
            f.writelines([length, _masked(length), record, checksum])
        except OSError as e:
            raise failed(e) from e
        return length + checksum

    try:
        yield write
    finally:
        try:
            f.close()
        except OSError as e:
            raise failed(e) from e


def _masked(data):
    """TFRecord's checksum, 4 bytes: CRC-32C, rotated and shifted, so that data may hold checksums."""
    crc = google_crc32c.value(data)
    return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


def example(features):
    """A serialized tf.train.Example.

    features: {key: value or list of values}, which are bytes, text (stored as UTF-8), integers or floats.
    """
    entries = []
    for key, value in sorted(features.items()):
        entries += _repeated_entry(key, value) if isinstance(value, (str, int)) else _entry(key, value)
    return b''.join(_part(1, entries))


# Messages are lists of pieces, joined once: otherwise an image would be copied at every level.

def _entry(key, value):
    return _part(1, _part(1, [key.encode()]) + _part(2, _feature(value)))


# Images have most of their features in common
_repeated_entry = functools.lru_cache(maxsize=1024, typed=True)(_entry)


def _feature(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(values[0], (bytes, str)):
        return _part(1, _all(_part(1, [one if isinstance(one, bytes) else one.encode()]) for one in values))
    if isinstance(values[0], float):
        return _part(2, _part(1, [struct.pack(f'<{len(values)}f', *values)]))
    return _part(3, _part(1, [_as_varint(one & 0xffffffffffffffff) for one in values]))


def _part(number, pieces):
    """A field of a protocol buffer message that holds bytes, text or a message, in pieces."""
    return [_as_varint(number << 3 | 2) + _as_varint(sum(map(len, pieces)))] + pieces


def _all(messages):
    return list(itertools.chain.from_iterable(messages))


def _as_varint(value):
    encoded = bytearray()
    while value > 0x7f:
        encoded.append(value & 0x7f | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
