"""What feeds the training steps cached features instead of images."""
import dataclasses
from typing import Callable, Optional

import numpy as np

from slimtune.features.cache import Cache, Part, compute, find, folder_to_write, make_room
from slimtune.features.cut import find_cut, frozen_graph
from slimtune.features.engine_choice import choose_engine
from slimtune.inference import engines
from slimtune.runtime import session_config, tf
from slimtune.terminal import say

_EVALUATED_AT_ONCE = 512    # images


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """The training graph, which is the default one. images, labels, logits, loss: its tensors.

    trained: the variables that are trained. initialize: session -> gives the others their values. evaluate:
    images -> logits as in evaluation, on the same variables.
    """
    images: object
    labels: object
    logits: object
    loss: object
    trained: list
    initialize: Callable
    evaluate: Callable


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What is trained on. dataset, held_out: of dataset_factory, held_out None where there is none.
    inputs: an Input.
    """
    dataset: object
    held_out: object
    inputs: object
    batch_size: int
    seed: int


@dataclasses.dataclass(frozen=True)
class CachedSteps:
    """Training steps on cached features. feed: their Feed. cache: the features of the training images.

    vectors: [n, depth], all that the logits depend on, where the trained part is a linear layer on one vector
    per image; else None. accuracy: session -> share of the held-out images that are correct; None where none
    are held out.
    """
    feed: 'Feed'
    cache: Cache
    vectors: Optional[np.ndarray] = None
    accuracy: Optional[Callable] = None


class Feed:
    """The batches of a cache; as in the pipeline, a step's images depend on seed and step alone."""

    def __init__(self, cache, labels, batch_size, seed):
        """labels: the tensor that the cache's labels are fed to."""
        self._cache, self._labels, self._size, self._seed = cache, labels, batch_size, seed
        self._epoch, self._order = None, None

    def __call__(self, step):
        """The feed of the step that follows `step` others: {tensor or its name: batch}."""
        chosen = np.array([self._image(place) for place in range(step * self._size, (step + 1) * self._size)])
        feed = {name: array[chosen] for name, array in self._cache.features.items()}
        feed[self._labels] = self._cache.labels[chosen]
        return feed

    def _image(self, place):
        epoch, within = divmod(place, len(self._cache.labels))
        if epoch != self._epoch:
            self._epoch = epoch
            random = np.random.RandomState([self._seed & 0xffffffff, epoch & 0xffffffff])
            self._order = random.permutation(len(self._cache.labels))
        return self._order[within]


def prepare(graph, data, cache_options, engine_options):
    """Computes what the steps can be fed instead of images, as CachedSteps.

    graph: a TrainingGraph. data: a TrainingData. cache_options, engine_options: options.Cache and
    options.Engine. Returns None where that is not possible; the reason is printed.
    """
    cut = find_cut(graph.images, graph.loss, graph.trained)
    if not cut:
        return None
    held_out_logits = graph.evaluate(graph.images) if data.held_out else None
    held_out_cut = find_cut(graph.images, held_out_logits, graph.trained) if data.held_out else []
    with tf.Session(config=session_config()) as session:
        graph.initialize(session)
        frozen = frozen_graph(session, graph.images, cut)
        held_out_frozen = frozen_graph(session, graph.images, held_out_cut) if held_out_cut else None
    kind = engines.choose(engine_options.engine, engine_options.precision)
    part = Part(frozen, cut, data.dataset, data.inputs, kind)
    kind, comparison = choose_engine(part, cache_options.cache_dir)
    part = part if kind == part.kind else dataclasses.replace(part, kind=kind)
    parts = [part]
    if held_out_cut:
        parts.append(Part(held_out_frozen, held_out_cut, data.held_out, data.inputs, kind))
    if not _fits(parts, graph, cache_options):
        return None
    cache, reused = compute(part, cache_options.cache_dir)
    origin = ', from an earlier run' if reused else ''
    say(f'Features of {data.dataset.num_samples} images{origin}: {cache.size / 1e6:.1f} MB in {cache.folder}'
        + (f', {comparison}' if comparison else ''))
    feed = Feed(cache, graph.labels, data.batch_size, data.seed)
    logits_cut = find_cut(graph.images, graph.logits, graph.trained)
    vectors = cache.vectors(logits_cut[0].name) if len(logits_cut) == 1 else None
    if not held_out_cut:
        return CachedSteps(feed, cache, vectors)
    held_out_cache, _ = compute(parts[1], cache_options.cache_dir, 'features of held-out images')
    return CachedSteps(feed, cache, vectors,
                       lambda session: _accuracy(session, held_out_logits, held_out_cache))


def _fits(parts, graph, cache_options):
    """Whether the features are there or have room; makes room, and prints where there is none.

    Raises UserError where no folder can be written.
    """
    # What is there stays while room is made
    held = [find(part, cache_options.cache_dir) for part in parts]
    missing = [part for part, cache in zip(parts, held) if not cache]
    if not missing:
        return True
    needed = sum(part.bytes_needed for part in missing)
    allowed = make_room(folder_to_write(cache_options.cache_dir), needed, cache_options.cache_limit)
    if needed <= allowed:
        return True
    num_images = sum(part.dataset.num_samples for part in missing)
    say(f'The features of {num_images} images before {graph.trained[0].op.name} would take '
        f'{needed / 2 ** 30:.3g} GiB, more than the {allowed / 2 ** 30:.3g} allowed (--cache-limit; '
        '`slimtune cache` shows what is there): the whole net runs at every step')
    return False


def _accuracy(session, logits, cache):
    """The share of images that are correct. logits: hang on the cache's features."""
    correct = 0
    for begin in range(0, len(cache.labels), _EVALUATED_AT_ONCE):
        part = slice(begin, begin + _EVALUATED_AT_ONCE)
        values = session.run(logits, {name: array[part] for name, array in cache.features.items()})
        correct += int((values.argmax(1) == cache.labels[part]).sum())
    return correct / len(cache.labels)
