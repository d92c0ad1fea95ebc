"""How far an engine is from float32, measured on real images, and decisions that follow float32."""
import contextlib
import dataclasses
import hashlib
import json
import math
import os

import numpy as np

from slimtune.inference import engines
from slimtune.storage import atomic
from slimtune.terminal import say


def open_engine(restored, asked, top_k, some_images):
    """An engine for a restored model.Model whose decisions are float32's (see engine.answering), its proof kept beside it.

    asked: (engine, precision) of the options. some_images: gives real images for the proof, called where there is none yet.
    """
    from slimtune.checkpoints import restored_model  # imports TensorFlow, which an export can do without
    graph = restored_model.freeze(restored)
    place = os.path.join(os.path.dirname(restored.checkpoint.prefix), 'proof.json')
    key = hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()[:32]
    known = None
    with contextlib.suppress(OSError, ValueError, AttributeError), open(place, encoding='utf-8') as f:
        known = json.load(f).get(key)       # of these very weights
    kind = ' '.join(engines.choose(*asked))
    images = some_images() if kind != ' '.join(engines.EXACT) and kind not in (known or {}) else None
    running, said, proofs = answering(graph, asked, images, known, top_k)
    if said:
        say(said)
    if proofs != (known or {}):
        with contextlib.suppress(OSError):      # a folder that cannot be written: proved again next time
            atomic.write_text(place, json.dumps({key: proofs}, indent=1) + '\n')
    return running


#: How much larger than in the proof the error of a decision may be. At most 1.47 times was measured: five nets, 600 and 800
#: images, each against 500 draws of 64.
SAFETY = 1.5
PROVED_ON, LEAST_PROVED = 64, 16    # images
PROVED_AT_ONCE = 4      # of them on TensorFlow, which takes up to half as long again for 64: memory is touched, not used
LARGEST_ERROR = 0.03        # of the largest logit: an engine that is farther off would have most images run again


def answering(graph, asked, images=None, proofs=None, top_k=1):
    """An engine whose decisions are those of float32, as (Checked, what to say of it, {kind: Proof's fields}).

    graph: as for `load`. asked: (engine, precision) of the options. proofs: those made before. images: real images to make
    one on; without a proof bfloat16 is not used. What cannot run the net, or changes its answers, gives way to TensorFlow.
    """
    kind, proofs = engines.choose(*asked), dict(proofs or {})
    if kind == engines.EXACT:
        return Checked(engines.load(graph)), '', proofs
    enough = images is not None and len(images) >= LEAST_PROVED
    if ' '.join(kind) not in proofs and not enough and kind[1] == 'bfloat16' and asked[1] == 'auto':
        kind = (kind[0], 'float32')
    try:
        fast = engines.load(graph, *kind)
        if ' '.join(kind) not in proofs:
            if not enough:
                return Checked(fast), '', proofs
            exact = engines.load(graph, once=True)
            proofs[' '.join(kind)] = dataclasses.asdict(prove(fast, exact, images))
            exact.close()
    except RuntimeError as e:
        why = 'OpenVINO cannot run this net: on TensorFlow (%s)' % str(e).strip().split('\n')[0]
        return Checked(engines.load(graph)), why, proofs
    proof = Proof(**proofs[' '.join(kind)])
    if not proof.error <= LARGEST_ERROR * proof.scale:
        fast.close()
        if kind[1] == 'bfloat16':
            slower, said, proofs = answering(graph, (kind[0], 'float32'), images, proofs, top_k)
            return slower, '%s: not used' % proof + ('. ' + said if said else ''), proofs
        return Checked(engines.load(graph)), '%s: on TensorFlow' % proof, proofs
    # One at once: the few that are close would leave a larger request half empty.
    exact = lambda: engines.load(graph, kind[0], 'float32', at_once=1)
    return Checked(fast, exact, proof.margin, top_k), str(proof), proofs


@dataclasses.dataclass(frozen=True)
class Proof:
    """How far an engine is from float32 on TensorFlow. error: the largest of a logit. scale: the largest logit.

    changed: decisions that differ. apart: the largest error of the difference between two logits of an image; at most twice
    `error`, most often less, for what moves all logits of an image alike changes nothing.
    """
    engine: str
    num_images: int
    error: float
    scale: float
    changed: int
    apart: float = math.inf     # proofs of before do not say it

    @property
    def margin(self):
        """The distance between two logits from which on it is certain which of them is larger."""
        return SAFETY * min(self.apart, 2 * self.error)

    def __str__(self):
        return '%s against float32 on %d images: largest error of a logit %.2g of %.3g, %d decisions changed' % (
            self.engine, self.num_images, self.error, self.scale, self.changed)


def prove(engine, reference, images):
    """Compares the logits (the first output) of two engines on real images: a Proof."""
    parts = np.array_split(images, -(-len(images) // PROVED_AT_ONCE))
    ours, expected = engine.run(images)[0], np.concatenate([reference.run(part)[0] for part in parts])
    errors = ours - expected
    return Proof(engine.name, len(images), float(np.abs(errors).max()), float(np.abs(expected).max()),
                 int((ours.argmax(1) != expected.argmax(1)).sum()), float(np.ptp(errors, axis=1).max()))


class Checked:
    """An engine whose decisions are those of float32: which class is best, and which are among the k best.

    An image whose logits lie closer than `margin` where that is decided is run again by the exact engine. make_exact: gives
    it, called when it is first needed; None where `fast` is exact. again: how many images that were.
    """

    def __init__(self, fast, make_exact=None, margin=0.0, top_k=1):
        self._fast, self._make_exact, self._exact = fast, make_exact, None
        self._margin, self._top_k, self.again = margin, top_k, 0

    def run(self, images, labels=None):
        """As the engines' run, of logits and probabilities. labels: int [n], where of the k best only that matters, whether the
        label is among them."""
        logits, probabilities = self._fast.run(images)
        close = self._close(logits, labels)
        if self._make_exact and close.any():
            self._exact = self._exact or self._make_exact()
            logits[close], probabilities[close] = self._exact.run(images[close])
            self.again += int(close.sum())
        return logits, probabilities

    def _close(self, logits, labels):
        best = -np.sort(-logits, axis=1)
        certain = np.ones(len(logits), bool)
        for k in {1, self._top_k}.intersection(range(1, best.shape[1])):
            last, next_one = best[:, k - 1], best[:, k]
            if k > 1 and labels is not None:
                of_label = logits[np.arange(len(logits)), labels]
                certain &= (of_label - next_one >= self._margin) | (last - of_label >= self._margin)
            else:
                certain &= last - next_one >= self._margin
        return ~certain

    def close(self):
        """Frees the memory."""
        self._fast.close()
        if self._exact:
            self._exact.close()
