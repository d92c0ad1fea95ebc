"""Which engine computes the features: the fastest whose features of real images are near enough float32's."""
import hashlib

import numpy as np

from slimtune.features.cut import IMAGES
from slimtune.images import input_pipeline
from slimtune.inference import engines
from slimtune.inference.agreement import cpu
from slimtune.storage.cache import read_record, write_record

COMPARED_ON = 16            # images
LARGEST_ERROR = 0.03        # of the features' norm, that an engine may be from TensorFlow's float32
_RECORDS = 'feature_engines'
_KINDS = [['tensorflow', 'float32'], ['openvino', 'float32'], ['openvino', 'bfloat16']]


def choose_engine(part, cache_dir=None):
    """The engine and precision that compute the features: (kind, one line about it).

    part: a cache.Part of the wanted kind. The result is kept in the cache for the next run. What differs too
    much is tried in float32, then on TensorFlow.
    """
    if part.kind == engines.EXACT:
        return part.kind, ''
    # Another version of the engine or another CPU computes otherwise
    machine = f'{engines.version(part.kind[0])} {cpu()}'
    key = hashlib.sha256(f'{part.key} {machine}'.encode()).hexdigest()[:32]
    record = read_record(cache_dir, _RECORDS, key) or {}
    if record.get('kind') in _KINDS and isinstance(record.get('line'), str):
        return tuple(record['kind']), record['line']
    kind, line = _compare(part, input_pipeline.sample_images(part.dataset, part.inputs, COMPARED_ON))
    write_record(cache_dir, _RECORDS, key, {'kind': kind, 'line': line})
    return kind, line


def _compare(part, images):
    """The first engine whose features are near enough TensorFlow's float32: (kind, one line)."""
    expected = _features(part, engines.EXACT, images)
    kinds = [part.kind, (part.kind[0], 'float32')] if part.kind[1] != 'float32' else [part.kind]
    refused = []
    for kind in kinds:
        name = ' '.join(kind)
        try:
            pairs = zip(_features(part, kind, images), expected)
            # np.max: where one is nan, so is this, and the engine is refused
            error = float(np.max([np.linalg.norm(ours - exact) / (np.linalg.norm(exact) or 1)
                                  for ours, exact in pairs]))
        except RuntimeError as e:
            reason = str(e).strip().split('\n')[0]
            refused.append(f'{name} cannot run this net: {reason}')
            continue
        if error <= LARGEST_ERROR:
            line = f'computed on {name}, {100 * error:.2g}% from float32 on {len(images)} images'
            return kind, ', '.join(refused + [line])
        refused.append(f'{name} is {100 * error:.1f}% from float32')
    return engines.EXACT, ', '.join(refused + [f'computed on {" ".join(engines.EXACT)}'])


def _features(part, kind, images):
    """The features of images by an engine: a tuple of arrays, one per tensor of the cut."""
    outputs = [f'cut_{n}:0' for n in range(len(part.cut))]
    running = engines.load(part.graph_def, *kind, outputs=outputs, input=f'{IMAGES}:0', once=True)
    try:
        return running.run(images)
    finally:
        running.close()
