"""What feeds the training steps cached features instead of images."""
import dataclasses
import os

import numpy as np

from slimtune.features.cache import Cache, bytes_needed, choose_engine, compute, limit
from slimtune.features.cut import find_cut, frozen_graph
from slimtune.runtime import session_config, tf
from slimtune.storage.cache import cache_folder
from slimtune.terminal import say

_ANSWERED_AT_ONCE = 512


class Feed:
    """The batches of a cache: which images a step sees is a function of seed and step alone, as with data's pipeline."""

    def __init__(self, cache, labels, batch_size, seed):
        """labels: the tensor that the cache's labels are fed to. always: what every step is fed besides."""
        self.always = {}
        self._cache, self._labels, self._size, self._seed = cache, labels, batch_size, seed
        self._epoch, self._order = None, None

    def __call__(self, step):
        """The feed of the step that follows `step` others: {tensor or its name: batch}."""
        chosen = np.array([self._image(place) for place in range(step * self._size, (step + 1) * self._size)])
        feed = dict(self.always)
        feed.update({name: array[chosen] for name, array in self._cache.features.items()})
        feed[self._labels] = self._cache.labels[chosen]
        return feed

    def _image(self, place):
        epoch, within = divmod(place, len(self._cache.labels))
        if epoch != self._epoch:
            self._epoch = epoch
            random = np.random.RandomState([self._seed & 0xffffffff, epoch & 0xffffffff])
            self._order = random.permutation(len(self._cache.labels))
        return self._order[within]


@dataclasses.dataclass(frozen=True)
class Fed:
    """Training on cached features. feed: a Feed. cache: what it feeds. accuracy: raw session -> share of the held-out
    images right, or None."""
    feed: Feed
    cache: Cache
    accuracy: object = None


def prepare(images, labels, loss, evaluate, trained, initialize, dataset, held_out, inputs, batch_size, seed, options,
            engine_options):
    """Computes what the steps can be fed instead of images, as a Fed; None where that cannot be, which is said.

    images, labels, loss: tensors of the training graph, the default one. evaluate: images -> logits as in evaluation, on
    the same variables. trained: the trained variables. initialize: gives the others their values in a session. dataset,
    held_out: of dataset_factory, held_out None where there is none. inputs: data.Input. options,
    engine_options: options.Cache and options.Engine.
    """
    cut = find_cut(images, loss, trained)
    if not cut:
        return None
    folder, proofs = (os.path.join(cache_folder(options.cache_dir), name) for name in ('features', 'proofs'))
    num_images = dataset.num_samples + (held_out.num_samples if held_out else 0)
    needed, most = bytes_needed(cut, num_images), limit(folder, options.cache_limit)
    if needed > most:
        say('The features of %d images before %s would take %.3g GiB, more than the %.3g allowed (--cache-limit): the whole '
            'net runs at every step' % (num_images, trained[0].op.name, needed / 2 ** 30, most / 2 ** 30))
        return None
    os.makedirs(folder, exist_ok=True)
    with tf.Session(config=session_config()) as session:
        initialize(session)
        graph = frozen_graph(session, images, cut)
        logits = evaluate(images) if held_out else None
        held_out_cut = find_cut(images, logits, trained) if held_out else []
        held_out_graph = frozen_graph(session, images, held_out_cut) if held_out_cut else None
    kind, proof = choose_engine(graph, cut, dataset, inputs, (engine_options.engine, engine_options.precision), proofs)
    cache, reused = compute(graph, cut, dataset, inputs, folder, kind, 'features')
    say('Features of %d images%s: %.1f MB in %s%s' % (dataset.num_samples, ', from an earlier run' if reused else '',
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
