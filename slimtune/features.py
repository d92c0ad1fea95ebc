"""Cached features: what lies before the first trained variable runs once per picture, not once per step.

`find_cut` finds the tensors between the frozen part and the trained one; `compute` runs the frozen part over a split and
keeps what the cut holds on the disk, under a name made of everything that determines it; `Feed` gives the steps their
batches of it. The steps themselves are train's one loop, on its one graph.
"""
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import struct

import numpy as np

from slimtune import data, engine, files
from slimtune.runtime import portable, session_config, tf
from slimtune.terminal import progress, say

IMAGES = 'images'           # the op that the cut's graph begins with
MARGIN = 1 << 30            # bytes of the disk that a cache leaves free
PROVED_ON = 16              # pictures
LARGEST_ERROR = 0.03        # of the features' norm, that an engine may be from TensorFlow's float32
_READ_AT_ONCE = 64          # pictures
_ANSWERED_AT_ONCE = 512


# The cut

def is_random(op):
    """Whether an op draws anew each time it is run."""
    return 'Random' in op.type or op.type in ('TruncatedNormal', 'Multinomial')


def find_cut(images, target, trained):
    """The tensors to cache: the last ones that hang on the pictures, but on no trained variable and nothing random.

    images: the net's input. target: the tensor that is computed from it in the end (the loss, or logits). trained: the
    variables that are trained. Returns a list of float tensors, empty where nothing lies between pictures and training.
    """
    needed = _before([target.op])
    pictured = _after([images.op]) & needed
    moving = _after([v.op for v in trained] + [op for op in needed if is_random(op)]) & needed
    while True:
        # What a moving op reads that is no picture's value but its shape is computed again from the cut.
        shapes = {tensor.op for op in moving for tensor in op.inputs
                  if tensor.op in pictured - moving and not tensor.dtype.is_floating}
        if not shapes:
            break
        moving |= shapes
    cut = {tensor for op in moving for tensor in op.inputs if tensor.op in pictured - moving}
    return [] if images in cut else sorted(cut, key=lambda tensor: tensor.name)


def _after(ops):
    return _reach(ops, lambda op: [consumer for output in op.outputs for consumer in output.consumers()])


def _before(ops):
    return _reach(ops, lambda op: [tensor.op for tensor in op.inputs] + list(op.control_inputs))


def _reach(ops, neighbours):
    """All ops that can be reached, the first ones included."""
    found, waiting = set(ops), list(ops)
    while waiting:
        for op in neighbours(waiting.pop()):
            if op not in found:
                found.add(op)
                waiting.append(op)
    return found


def hangs_on(tensor, variables):
    """Whether any of the variables enters the tensor."""
    return bool(_before([tensor.op]) & {v.op for v in variables})


def frozen_graph(session, images, cut):
    """The graph from the placeholder IMAGES to `cut_0`, `cut_1`, … with its weights as constants: a GraphDef."""
    outputs = [tensor.op.name for tensor in cut]
    graph = tf.graph_util.convert_variables_to_constants(session, images.graph.as_graph_def(), outputs)
    nodes = [node for node in graph.node if node.name != images.op.name]
    begin = tf.NodeDef(name=images.op.name, op='Placeholder')
    begin.attr['dtype'].type = images.dtype.as_datatype_enum
    begin.attr['shape'].shape.CopyFrom(images.shape.as_proto())
    # A cut may lie before another: as ops of their own they all are ends, which every engine gives.
    ends = [tf.NodeDef(name='cut_%d' % n, op='Identity', input=[tensor.name]) for n, tensor in enumerate(cut)]
    for end, tensor in zip(ends, cut):
        end.attr['T'].type = tensor.dtype.as_datatype_enum
    graph = tf.GraphDef(versions=graph.versions, node=[begin] + nodes + ends)
    return portable(tf.graph_util.extract_sub_graph(graph, [end.name for end in ends]))


# The cache

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


def bytes_needed(cut, pictures):
    """The size of a cache before it is made."""
    return sum(4 * int(np.prod(tensor.shape.as_list()[1:])) for tensor in cut) * pictures


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


def compute(graph_def, cut, dataset, inputs, folder, kind=engine.EXACT, what='features'):
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
        running = engine.load(graph_def, *kind, outputs=['cut_%d:0' % n for n in range(len(cut))], input=IMAGES + ':0')
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
    with data.explained(), progress(what, dataset.num_samples) as bar:
        for images, labels, _ in data.read(dataset, inputs, _READ_AT_ONCE):
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
    """The engine and precision that compute the features, after a proof on pictures of this data set: (kind, one line).

    asked: (engine, precision) of the options. folder: keeps the proof for the next run. What the proof refuses is tried in
    float32, then on TensorFlow.
    """
    wanted = engine.choose(*asked)
    if wanted == engine.EXACT:
        return engine.EXACT, ''
    place = os.path.join(folder, key_of(graph_def, dataset, inputs, wanted) + '.json')
    with contextlib.suppress(OSError, ValueError), open(place, encoding='utf-8') as f:
        kind, proof = json.load(f)
        return tuple(kind), proof
    kind, proof = _prove(graph_def, len(cut), data.first_images(dataset, inputs, PROVED_ON), wanted)
    os.makedirs(folder, exist_ok=True)
    files.write_text(place, json.dumps([kind, proof]))
    return kind, proof


def _prove(graph_def, cuts, images, wanted):
    """The first engine whose features of these pictures are near enough TensorFlow's float32: (kind, one line)."""
    outputs = ['cut_%d:0' % n for n in range(cuts)]
    expected = _answers(graph_def, engine.EXACT, outputs, images)
    refused = []
    for kind in [wanted] + [(wanted[0], 'float32')] * (wanted[1] != 'float32'):
        try:
            error = max(float(np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) or 1))
                        for ours, theirs in zip(_answers(graph_def, kind, outputs, images), expected))
        except RuntimeError as e:
            refused.append('%s cannot run this net: %s' % (' '.join(kind), str(e).strip().split('\n')[0]))
            continue
        if error <= LARGEST_ERROR:
            return kind, ', '.join(refused + ['computed on %s, %.2g%% from float32 on %d pictures' % (
                ' '.join(kind), 100 * error, len(images))])
        refused.append('%s is %.1f%% from float32' % (' '.join(kind), 100 * error))
    return engine.EXACT, ', '.join(refused + ['computed on %s' % ' '.join(engine.EXACT)])


def _answers(graph_def, kind, outputs, images):
    running = engine.load(graph_def, *kind, outputs=outputs, input=IMAGES + ':0', once=True)
    try:
        return running.run(images)
    finally:
        running.close()


# The steps' food

class Feed:
    """The batches of a cache: which pictures a step sees is a function of seed and step alone, as with data's pipeline."""

    def __init__(self, cache, labels, batch_size, seed):
        """labels: the tensor that the cache's labels are fed to. always: what every step is fed besides."""
        self.always = {}
        self._cache, self._labels, self._size, self._seed = cache, labels, batch_size, seed
        self._epoch, self._order = None, None

    def __call__(self, step):
        """The feed of the step that follows `step` others: {tensor or its name: batch}."""
        chosen = np.array([self._picture(place) for place in range(step * self._size, (step + 1) * self._size)])
        feed = dict(self.always)
        feed.update({name: array[chosen] for name, array in self._cache.features.items()})
        feed[self._labels] = self._cache.labels[chosen]
        return feed

    def _picture(self, place):
        epoch, within = divmod(place, len(self._cache.labels))
        if epoch != self._epoch:
            self._epoch = epoch
            random = np.random.RandomState([self._seed & 0xffffffff, epoch & 0xffffffff])
            self._order = random.permutation(len(self._cache.labels))
        return self._order[within]


@dataclasses.dataclass(frozen=True)
class Fed:
    """Training on cached features. feed: a Feed. cache: what it feeds. accuracy: raw session -> share of the held-out
    pictures right, or None."""
    feed: Feed
    cache: Cache
    accuracy: object = None


def prepare(images, labels, loss, evaluate, trained, initialize, dataset, held_out, inputs, batch_size, seed, options, engines):
    """Computes what the steps can be fed instead of pictures, as a Fed; None where that cannot be, which is said.

    images, labels, loss: tensors of the training graph, the default one. evaluate: images -> logits as in evaluation, on
    the same variables. trained: the trained variables. initialize: gives the others their values in a session. dataset,
    held_out: of dataset_factory, held_out None where there is none. inputs: data.Input. options, engines: options.Cache and
    options.Engine.
    """
    cut = find_cut(images, loss, trained)
    if not cut:
        return None
    folder, proofs = (os.path.join(files.cache_folder(options.cache_dir), name) for name in ('features', 'proofs'))
    pictures = dataset.num_samples + (held_out.num_samples if held_out else 0)
    needed, most = bytes_needed(cut, pictures), limit(folder, options.cache_limit)
    if needed > most:
        say('The features of %d pictures before %s would take %.3g GiB, more than the %.3g allowed (--cache-limit): the whole '
            'net runs at every step' % (pictures, trained[0].op.name, needed / 2 ** 30, most / 2 ** 30))
        return None
    os.makedirs(folder, exist_ok=True)
    with tf.Session(config=session_config()) as session:
        initialize(session)
        graph = frozen_graph(session, images, cut)
        logits = evaluate(images) if held_out else None
        held_out_cut = find_cut(images, logits, trained) if held_out else []
        held_out_graph = frozen_graph(session, images, held_out_cut) if held_out_cut else None
    kind, proof = choose_engine(graph, cut, dataset, inputs, (engines.engine, engines.precision), proofs)
    cache, reused = compute(graph, cut, dataset, inputs, folder, kind, 'features')
    say('Features of %d pictures%s: %.1f MB in %s%s' % (dataset.num_samples, ', from an earlier run' if reused else '',
                                                      cache.size / 1e6, cache.folder, ', %s' % proof if proof else ''))
    feed = Feed(cache, labels, batch_size, seed)
    if not held_out_graph:
        return Fed(feed, cache)
    held_out_cache, _ = compute(held_out_graph, held_out_cut, held_out, inputs, folder, kind, 'features for validation')

    def accuracy(session):
        right = 0
        for begin in range(0, held_out.num_samples, _ANSWERED_AT_ONCE):
            part = slice(begin, begin + _ANSWERED_AT_ONCE)
            answers = session.run(logits, {name: array[part] for name, array in held_out_cache.features.items()})
            right += int((answers.argmax(1) == held_out_cache.labels[part]).sum())
        return right / held_out.num_samples
    return Fed(feed, cache, accuracy)
