"""Writes TFRecord files, counts their records and reads their labels: no TensorFlow, no image decoded.

A record is its length (8 bytes), a checksum (4), the bytes of a tf.train.Example and a checksum (4). Of the Example
only the lengths of its features are read, and the integers asked for; the image between them is skipped.
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

#: labels: {label: records}. channels: 1 where every record says that its image is grey, else 3.
Shard = collections.namedtuple('Shard', 'labels channels')

_LABEL, _CHANNELS = b'image/class/label', b'image/channels'
_HEADER, _FOOTER = 12, 4


def scan(path):
    """Reads a file of records: a Shard. Raises UserError for a file that is empty, cut short or something else."""
    if not os.path.isfile(path):
        raise UserError('%s is gone: convert the images again' % path)
    facts = os.stat(path)
    return _scan(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=None)
def _scan(path, size, _mtime):
    if not size:
        raise UserError('%s is empty: convert the images again, or remove it' % path)
    labels, channels, at = collections.Counter(), set(), 0
    with open(path, 'rb') as f, contextlib.closing(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        while at < size:
            length = struct.unpack_from('<Q', data, at)[0] if at + _HEADER <= size else size
            if at + _HEADER + length + _FOOTER > size:
                raise UserError(
                    '%s is cut short after %d records: convert the images again' % (path, sum(labels.values()))
                    if at else '%s is no file of records, or cut short in the first one' % path)
            try:
                found = _integers(data, at + _HEADER, at + _HEADER + length)
            except (ValueError, IndexError) as e:
                raise UserError('%s: record %d is damaged: convert the images again'
                                % (path, sum(labels.values()))) from e
            if _LABEL not in found:
                raise UserError('%s: record %d has no image/class/label' % (path, sum(labels.values())))
            labels[found[_LABEL]] += 1
            channels.add(found.get(_CHANNELS, 3))
            at += _HEADER + length + _FOOTER
    return Shard(labels, 1 if channels == {1} else 3)


def places(path, most):
    """Finds up to `most` records, evenly spaced over a file: [(label, where its Example begins, where it ends), ...].

    Of each only the label is read. Raises UserError for a file that is cut short or damaged.
    """
    if not os.path.getsize(path):
        return []
    found, at = [], 0
    with open(path, 'rb') as f, contextlib.closing(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        try:
            while at < len(data):
                start = at + _HEADER
                stop = start + struct.unpack_from('<Q', data, at)[0]
                at = stop + _FOOTER
                found.append((start, stop))
            if at > len(data):
                raise ValueError('cut short')
            return [(_integers(data, start, stop)[_LABEL], start, stop) for start, stop in spread(found, most)]
        except (struct.error, ValueError, IndexError, KeyError) as e:
            raise UserError('%s is damaged: convert the images again' % path) from e


def spread(items, count):
    """Returns at most `count` of a list's items, evenly spaced, in their order."""
    return [items[(2 * n + 1) * len(items) // (2 * count)] for n in range(count)] if len(items) > count else list(items)


def _integers(data, start, stop):
    """The features asked for of the Example in data[start:stop]: {name: first integer}."""
    found = {}
    for _, begin, end in _fields(data, start, stop):                # Example.features
        for _, entry, entry_end in _fields(data, begin, end):       # Features.feature, a map
            parts = {number: (first, last) for number, first, last in _fields(data, entry, entry_end)}
            name = data[slice(*parts.get(1, (0, 0)))]
            if name in (_LABEL, _CHANNELS) and 2 in parts:
                for kind, first, last in _fields(data, *parts[2]):
                    if kind == 3:                                   # Feature.int64_list
                        for _, value, _ in _fields(data, first, last):
                            found.setdefault(name, _signed(_varint(data, value)[0]))
    return found


def _fields(data, at, stop):
    """Walks a protocol buffer message: yields (number, start, stop of the value's bytes)."""
    while at < stop:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            end = _varint(data, at)[1]
        elif kind == 1:
            end = at + 8
        elif kind == 2:
            length, at = _varint(data, at)
            end = at + length
        elif kind == 5:
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


# Writing: importing TensorFlow for it would take longer than checking a thousand images

@contextlib.contextmanager
def writer(path):
    """Gives a function that appends a record (bytes) to a new file and returns its length and checksum (bytes).

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
    """TFRecord's checksum of bytes: CRC-32C, turned and moved, so that a checksum of checksums is no trap."""
    crc = google_crc32c.value(data)
    return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


def example(features):
    """A serialized tf.train.Example of {key: value or list of values}; bytes, text (as UTF-8), integers or floats."""
    entries = ((_known_entry if isinstance(value, (str, int)) else _entry)(key, value) for key, value in sorted(features.items()))
    return b''.join(_part(1, _all(entries)))


# Messages are lists of pieces, joined once: an image would be copied at every level else.

def _entry(key, value):
    return _part(1, _part(1, [key.encode()]) + _part(2, _feature(value)))


_known_entry = functools.lru_cache(maxsize=1024, typed=True)(_entry)      # most images share most of what is said of them


def _feature(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(values[0], (bytes, str)):
        return _part(1, _all(_part(1, [one if isinstance(one, bytes) else one.encode()]) for one in values))
    if isinstance(values[0], float):
        return _part(2, _part(1, [struct.pack('<%df' % len(values), *values)]))
    return _part(3, _part(1, [_as_varint(one & 0xffffffffffffffff) for one in values]))


def _part(number, pieces):
    """A field of a protocol buffer message that holds bytes, text or a message, in pieces."""
    return [_as_varint(number << 3 | 2) + _as_varint(sum(map(len, pieces)))] + pieces


def _all(messages):
    return list(itertools.chain.from_iterable(messages))


def _as_varint(value):
    found = bytearray()
    while value > 0x7f:
        found.append(value & 0x7f | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
