"""The features of a split on the disk, under a name made of everything that determines them, and the engine that
computes them."""
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import struct

import numpy as np

from slimtune.features.cut import IMAGES
from slimtune.images import input_pipeline
from slimtune.inference import engines
from slimtune.storage import atomic
from slimtune.terminal import progress

MARGIN = 1 << 30            # bytes of the disk that a cache leaves free
PROVED_ON = 16              # images
LARGEST_ERROR = 0.03        # of the features' norm, that an engine may be from TensorFlow's float32
_READ_AT_ONCE = 64          # images


@dataclasses.dataclass(frozen=True)
class Cache:
    """A split's features. folder: where they lie. features: {tensor's name: array [n, ...] on the disk}. labels: int64 [n]."""
    folder: str
    features: dict
    labels: np.ndarray

    def vectors(self, name):
        """The features of one tensor as [n, depth], or None where it is a map with places in it."""
        array = self.features.get(name)
        return array.reshape(len(array), -1) if array is not None and array[0].size == array.shape[-1] else None

    @property
    def size(self):
        """Bytes on the disk."""
        return sum(array.nbytes for array in self.features.values()) + self.labels.nbytes


def bytes_needed(cut, num_images):
    """The size of a cache before it is made."""
    return sum(4 * int(np.prod(tensor.shape.as_list()[1:])) for tensor in cut) * num_images


def limit(folder, asked=None):
    """The bytes a cache in `folder` may take: what was asked for (GiB), else a quarter of the memory; never the disk's last."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 4
    free = shutil.disk_usage(_existing(folder)).free - MARGIN
    return min(free, memory if asked is None else int(asked * (1 << 30)))


def _existing(folder):
    while not os.path.isdir(folder):
        folder = os.path.dirname(os.path.abspath(folder))
    return folder


def key_of(graph_def, dataset, inputs, kind):
    """What determines the features, as a name: weights and net, the records, the preparation, engine and precision (kind)."""
    digest = hashlib.sha256(graph_def.SerializeToString(deterministic=True))
    digest.update(json.dumps([dataclasses.asdict(inputs), kind], sort_keys=True).encode())
    for path in dataset.data_sources:
        digest.update(checksums(path))
    return digest.hexdigest()[:32]


def checksums(path):
    """The lengths and checksums that a file of records holds, which name its content without reading all of it: bytes.

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


def compute(graph_def, cut, dataset, inputs, folder, kind=engines.EXACT, what='features'):
    """The features of a split, from `folder` where they were computed before: (Cache, whether they were there).

    graph_def: of frozen_graph. cut: its tensors. dataset, inputs: as for data.evaluation_batches. The cache appears whole
    or not at all: it is written beside its place and renamed.
    """
    place = os.path.join(folder, key_of(graph_def, dataset, inputs, kind))
    names = [tensor.name for tensor in cut]
    if os.path.isdir(place):
        return _open(place, names), True
    beside = '%s.part-%d' % (place, os.getpid())
    os.makedirs(beside)
    try:
        arrays = [np.lib.format.open_memmap(_file(beside, n), 'w+', np.float32, (dataset.num_samples,) + shape)
                  for n, shape in enumerate(tuple(tensor.shape.as_list()[1:]) for tensor in cut)]
        truth = np.lib.format.open_memmap(_file(beside, 'labels'), 'w+', np.int64, (dataset.num_samples,))
        running = engines.load(graph_def, *kind, outputs=['cut_%d:0' % n for n in range(len(cut))], input=IMAGES + ':0')
        _fill(running, dataset, inputs, arrays, truth, what)
        for array in arrays + [truth]:
            array.flush()
        del arrays, truth
        with contextlib.suppress(OSError):      # another run was quicker
            os.rename(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return _open(place, names), False


def _fill(running, dataset, inputs, arrays, truth, what):
    done = 0
    with input_pipeline.explained(), progress(what, dataset.num_samples) as bar:
        for images, labels, _ in input_pipeline.read(dataset, inputs, _READ_AT_ONCE):
            end = done + len(labels)
            for array, values in zip(arrays, running.run(images)):
                array[done:end] = values
            truth[done:end] = labels
            bar.advance(len(labels))
            done = end
    running.close()


def _open(place, names):
    return Cache(place, {name: np.load(_file(place, n), mmap_mode='r') for n, name in enumerate(names)},
                 np.array(np.load(_file(place, 'labels'))))


def _file(folder, name):
    return os.path.join(folder, '%s.npy' % name)


def choose_engine(graph_def, cut, dataset, inputs, asked, folder):
    """The engine and precision that compute the features, after a proof on images of this data set: (kind, one line).

    asked: (engine, precision) of the options. folder: keeps the proof for the next run. What the proof refuses is tried in
    float32, then on TensorFlow.
    """
    wanted = engines.choose(*asked)
    if wanted == engines.EXACT:
        return engines.EXACT, ''
    place = os.path.join(folder, key_of(graph_def, dataset, inputs, wanted) + '.json')
    with contextlib.suppress(OSError, ValueError), open(place, encoding='utf-8') as f:
        kind, proof = json.load(f)
        return tuple(kind), proof
    kind, proof = _prove(graph_def, len(cut), input_pipeline.sample_images(dataset, inputs, PROVED_ON), wanted)
    os.makedirs(folder, exist_ok=True)
    atomic.write_text(place, json.dumps([kind, proof]))
    return kind, proof


def _prove(graph_def, cuts, images, wanted):
    """The first engine whose features of these images are near enough TensorFlow's float32: (kind, one line)."""
    outputs = ['cut_%d:0' % n for n in range(cuts)]
    expected = _answers(graph_def, engines.EXACT, outputs, images)
    refused = []
    for kind in [wanted] + [(wanted[0], 'float32')] * (wanted[1] != 'float32'):
        try:
            error = max(float(np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) or 1))
                        for ours, theirs in zip(_answers(graph_def, kind, outputs, images), expected))
        except RuntimeError as e:
            refused.append('%s cannot run this net: %s' % (' '.join(kind), str(e).strip().split('\n')[0]))
            continue
        if error <= LARGEST_ERROR:
            return kind, ', '.join(refused + ['computed on %s, %.2g%% from float32 on %d images' % (
                ' '.join(kind), 100 * error, len(images))])
        refused.append('%s is %.1f%% from float32' % (' '.join(kind), 100 * error))
    return engines.EXACT, ', '.join(refused + ['computed on %s' % ' '.join(engines.EXACT)])


def _answers(graph_def, kind, outputs, images):
    running = engines.load(graph_def, *kind, outputs=outputs, input=IMAGES + ':0', once=True)
    try:
        return running.run(images)
    finally:
        running.close()
