"""The features of a split on the disk, under a name made of everything that determines them."""
import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import struct
import uuid

import numpy as np

from slimtune import machine
from slimtune.errors import UserError
from slimtune.features.cut import IMAGES
from slimtune.images import input_pipeline
from slimtune.inference import engines
from slimtune.storage import atomic, cache_contents, locks
from slimtune.storage.cache import folders_to_read, touch, writable_folder
from slimtune.terminal import progress, say

MARGIN = 1 << 30            # bytes of the disk that the features leave free
_READ_AT_ONCE = 64          # images
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclasses.dataclass(frozen=True)
class Cache:
    """A split's features. folder: where they lie. features: {tensor's name: array [n, ...] on the disk}.

    labels: int64 [n]. lock: keeps the features from being removed as long as this object lives.
    """
    folder: str
    features: dict
    labels: np.ndarray
    lock: object = None

    def vectors(self, name):
        """The features of one tensor as [n, depth], or None where it is a map with places in it."""
        array = self.features.get(name)
        if array is None or array[0].size != array.shape[-1]:
            return None
        return array.reshape(len(array), -1)

    @property
    def size(self):
        """Bytes on the disk."""
        return sum(array.nbytes for array in self.features.values()) + self.labels.nbytes


@dataclasses.dataclass(frozen=True)
class Part:
    """What features are computed from.

    graph_def: of frozen_graph. cut: its tensors. dataset, inputs: the images and their Input. kind: (engine,
    precision). key: a name made of all that determines the features: weights and net, records, pixels,
    engine.
    """
    graph_def: object
    cut: list
    dataset: object
    inputs: object
    kind: tuple = engines.EXACT
    key: str = dataclasses.field(init=False)

    def __post_init__(self):
        digest = hashlib.sha256(self.graph_def.SerializeToString(deterministic=True))
        digest.update(json.dumps([dataclasses.asdict(self.inputs), self.kind], sort_keys=True).encode())
        for path in self.dataset.data_sources:
            digest.update(record_checksums(path))
        object.__setattr__(self, 'key', digest.hexdigest()[:32])

    @property
    def bytes_needed(self):
        """The size of the features before they are computed."""
        per_image = sum(4 * int(np.prod(tensor.shape.as_list()[1:])) for tensor in self.cut)
        return per_image * self.dataset.num_samples


def record_checksums(path):
    """The lengths and checksums in a file of records, which name its content without reading all of it.

    Source: TFRecord's framing: length (8 bytes), its checksum (4), the record, its checksum (4).
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        while True:
            head = f.read(12)
            if len(head) < 12:
                return digest.digest()
            f.seek(struct.unpack('<Q', head[:8])[0], os.SEEK_CUR)
            digest.update(head + f.read(4))


def make_room(folder, needed, cache_limit=None):
    """Removes features until `needed` bytes fit; returns the bytes that are allowed.

    The least recently used ones go first; those that a process uses stay. folder: a cache that can be
    written. cache_limit: GiB that the features of all runs may take together; without it, a quarter of the
    memory. The last MARGIN bytes of the disk stay free. Where all of that is not enough, nothing is removed,
    and the number that is returned is smaller than `needed`.
    """
    memory = machine.memory()
    limit = cache_limit * (1 << 30) if cache_limit is not None else memory // 4 if memory else float('inf')
    with cache_contents.alone(folder):
        found = cache_contents.features(folder)
        idle = [entry for entry in found if not cache_contents.is_used(entry)]
        allowed = min(limit - sum(entry.size for entry in found), shutil.disk_usage(folder).free - MARGIN)
        possible = allowed + sum(entry.size for entry in idle)
        for entry in idle if possible >= needed else ():
            if allowed >= needed:
                break
            if cache_contents.remove(entry):
                allowed += entry.size
        return max(0, int(possible))


def folder_to_write(cache_dir=None):
    """The cache's folder, or a temporary one. Raises UserError where no folder can be written."""
    folder = writable_folder(cache_dir)
    if folder is None:
        raise UserError('features cannot be kept anywhere: add --cache-dir FOLDER or --feature-cache off')
    return folder


def find(part, cache_dir=None):
    """The features of a Part as a Cache, where they were computed before and are whole; else None."""
    for folder in folders_to_read(cache_dir):
        place = os.path.join(folder, cache_contents.FEATURES, part.key)
        with contextlib.suppress(OSError, ValueError):
            lock = locks.acquire(place, shared=True) if os.path.isdir(place) else None
            if lock:
                touch(place)
                return _open(place, part, lock)
    return None


def compute(part, cache_dir=None, title='features'):
    """The features of a Part, from the cache where they are there: (Cache, whether they were).

    They appear whole or not at all: they are written beside their place and renamed. Where another process
    computes the same ones, waits for it. Raises UserError for a full disk, and where no folder can be
    written.
    """
    found = find(part, cache_dir)
    if found:
        return found, True
    folder = folder_to_write(cache_dir)
    features = os.path.join(folder, cache_contents.FEATURES)
    while True:
        with cache_contents.alone(folder):
            found = find(part, cache_dir)
            if found:
                return found, True
            busy = _sweep(folder, part.key)
            if not busy:
                beside = os.path.join(features, f'{part.key}-{uuid.uuid4().hex[:8]}.part')
                os.mkdir(beside)
                lock = locks.acquire(beside, wait=True)     # `slimtune cache` may be looking at it
                break
        say('Another command is computing the same features: waiting for it')
        with contextlib.suppress(OSError):
            # Shared, because the other command goes on to share the features until it ends
            locks.acquire(busy, shared=True, wait=True).release()
    try:
        _write(part, beside, title)
        with cache_contents.alone(folder):
            place = os.path.join(features, part.key)
            shutil.rmtree(place, ignore_errors=True)        # damaged, or `find` had found it
            os.rename(beside, place)
            lock.share()
        return _open(place, part, lock), False
    except OSError as e:
        if e.errno in _FULL:
            raise UserError(
                f'the disk is full: the features of {part.dataset.num_samples} images take '
                f'{part.bytes_needed / 1e6:.1f} MB in {features}: make room, or add --cache-dir FOLDER or '
                '--feature-cache off') from e
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sweep(folder, key):
    """Removes what killed commands left; returns the folder where another one computes `key`, or None."""
    busy = None
    for entry in cache_contents.features(folder):
        if entry.unfinished and not cache_contents.remove(entry) and entry.name.startswith(key) \
                and cache_contents.is_used(entry):
            busy = entry.paths[0]
    return busy


def _write(part, folder, title):
    """Computes the features and writes them into `folder`. Raises OSError where the disk is full."""
    count = part.dataset.num_samples
    with contextlib.ExitStack() as stack:
        arrays = [(n, np.float32, tensor.shape.as_list()[1:]) for n, tensor in enumerate(part.cut)]
        files = [stack.enter_context(_new_array(_file(folder, name), dtype, (count, *shape)))
                 for name, dtype, shape in arrays + [('labels', np.int64, [])]]
        outputs = [f'cut_{n}:0' for n in range(len(part.cut))]
        running = engines.load(part.graph_def, *part.kind, outputs=outputs, input=f'{IMAGES}:0')
        stack.callback(running.close)
        bar = stack.enter_context(progress(title, count))
        done = 0
        for images, labels, _ in input_pipeline.read(part.dataset, part.inputs, _READ_AT_ONCE):
            for file, values in zip(files, list(running.run(images)) + [np.asarray(labels, np.int64)]):
                file.write(np.ascontiguousarray(values).data)
            done += len(labels)
            bar.advance(len(labels))
        if done != count:
            raise UserError(f'{part.dataset.name} holds {done} images where {count} were expected: '
                            'convert the images again')
        for file in files:
            atomic.sync(file)


def _new_array(path, dtype, shape):
    """An open .npy file behind its header, with room reserved for its numbers where the system can."""
    file = open(path, 'wb')     # noqa: SIM115 - the caller closes it
    header = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {'descr': header, 'fortran_order': False, 'shape': shape})
    file.flush()
    try:
        os.posix_fallocate(file.fileno(), file.tell(), max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
    except AttributeError:      # macOS: a full disk shows itself while writing
        pass
    except OSError as e:
        if e.errno in _FULL:
            raise
    return file


def _open(place, part, lock):
    """Raises OSError or ValueError for features that are not whole."""
    arrays = {tensor.name: np.load(_file(place, n), mmap_mode='r') for n, tensor in enumerate(part.cut)}
    labels = np.array(np.load(_file(place, 'labels')))
    if {len(array) for array in arrays.values()} != {len(labels)}:
        raise ValueError(f'{place} is damaged')
    return Cache(place, arrays, labels, lock)


def _file(folder, name):
    return os.path.join(folder, f'{name}.npy')
