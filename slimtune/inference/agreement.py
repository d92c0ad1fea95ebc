"""How far an engine is from float32, measured on real images, and predictions that follow float32.

An engine is compared with a reference on a sample of the images that it will be used on. What it may do to
the other images is estimated from that sample: images whose classes lie closer than the estimated error are
computed again in float32. Measurements are records of the cache; they count for the same graph, engine,
version, CPU, preparation and kind of images only.
"""
import contextlib
import dataclasses
import hashlib
import json
import math
import platform
from typing import Callable, Optional

import numpy as np

from slimtune.errors import UserError
from slimtune.images.model_input import Input
from slimtune.inference import engines
from slimtune.inference.graph_file import DamagedFile
from slimtune.storage import cache, json_file
from slimtune.terminal import say, warn

#: Images that an engine is measured on. LEAST_IMAGES: where some of them cannot be read. With fewer, bfloat16
#: is not used.
MEASURED_ON, LEAST_IMAGES = 64, 32
#: The margin is SAFETY times the largest error on the sample, times log(images) / log(images of the sample),
#: because the largest of many errors is larger than the largest of a few. Simulated draws of 64 out of 800
#: and of 100,000 errors: the margin is exceeded somewhere in 0.5% of the draws (normal errors), in 1% and 9%
#: (exponential errors).
SAFETY = 1.5
#: Of the largest logit: an engine that is farther off would have most images computed again, and is not used.
LARGEST_ERROR = 0.03
#: Images that the reference computes at once: TensorFlow takes up to half as long again for 64, because of
#: the memory it touches.
_REFERENCE_BATCH = 4
#: How the names of those CPU flags begin that choose a code path.
_CPU_FLAGS = ('avx', 'amx', 'fma', 'sse4', 'asimd', 'bf16', 'sve')


@dataclasses.dataclass(frozen=True)
class FrozenNet:
    """A net that engines can open.

    graph: engine -> a GraphDef or a path for engines.load; raises DamagedFile. digest: () -> its operations
    and weights as a checksum. reference: engine and precision that count as float32: TensorFlow's, but
    OpenVINO's for exports, which are used without TensorFlow.
    """
    graph: Callable
    inputs: Input
    digest: Callable
    reference: tuple = engines.EXACT


@dataclasses.dataclass(frozen=True)
class Images:
    """The images that an engine is opened for.

    kind: where they come from, such as 'validation of flowers'. number: how many. batch_size: how many come
    at once. sample: count -> that many (fewer where there are fewer), spread over all: float32 [n, height,
    width, channels].
    """
    kind: str
    number: int
    batch_size: int
    sample: Callable


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far an engine's logits are from a reference's.

    num_images: the sample's size. drawn_from: of so many images. error: the largest of a logit.
    largest_logit: of the reference. difference_error: the largest error of the difference between two logits
    of one image, at most twice `error`; what moves all logits of an image alike changes no prediction.
    num_changed: predictions that differ.
    """
    engine: str
    reference: str
    num_images: int
    drawn_from: int
    error: float
    largest_logit: float
    difference_error: float
    num_changed: int

    @property
    def close_enough(self):
        """Whether the engine can be used. False where an error is no number."""
        return self.error <= LARGEST_ERROR * self.largest_logit

    def margin(self, num_images):
        """The estimated largest error of the difference of two logits on `num_images` images."""
        growth = math.log(max(num_images, self.num_images, 2)) / math.log(max(self.num_images, 2))
        return SAFETY * growth * self.difference_error

    def __str__(self):
        return (f'{self.engine} compared with {self.reference} on {self.num_images} images: '
                f'largest error of a logit {self.error:.2g} (largest logit {self.largest_logit:.3g}), '
                f'{self.num_changed} predictions changed')


def measure_agreement(engine, reference, images, drawn_from=None):
    """Compares the logits (the first output) of two engines on real images and returns an Agreement.

    images: float32 [n, height, width, channels]. drawn_from: how many images these are a sample of, by
    default n.
    """
    parts = np.array_split(images, -(-len(images) // _REFERENCE_BATCH))
    expected = np.concatenate([reference.run(part)[0] for part in parts])
    logits = engine.run(images)[0]
    errors = logits - expected
    return Agreement(
        engine=engine.name, reference=reference.name,
        num_images=len(images), drawn_from=drawn_from or len(images),
        error=float(np.abs(errors).max()), largest_logit=float(np.abs(expected).max()),
        difference_error=float(np.ptp(errors, axis=1).max()),
        num_changed=int((logits.argmax(1) != expected.argmax(1)).sum()))


def frozen_net(restored):
    """The FrozenNet of a restored_model.Model."""
    from slimtune.checkpoints import restored_model  # imports TensorFlow, which an export does not need
    graph = restored_model.freeze(restored)
    return FrozenNet(lambda engine: graph, restored.inputs,
                     lambda: hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest())


def open_engine(net, choice, images, top_k=1, cache_dir=None):
    """Opens the fastest engine whose predictions are estimated to be float32's: a CheckedEngine.

    net: a FrozenNet. choice: (engine, precision) of the options. images: the Images it will run. top_k:
    predictions among the best k are followed too. Prints what was measured, and why an engine is not used.
    Raises UserError where none can.
    """
    engine, precision = choice
    few_images = images.number < MEASURED_ON
    if few_images and precision == 'bfloat16':
        say(f'bfloat16 is measured on {MEASURED_ON} images, and there are {images.number}: using float32')
        precision = 'float32'
    problems = []
    for kind in _kinds(engine, engines.choose(engine, precision, few_images)):
        try:
            opened = _open(net, kind, images, top_k, cache_dir)
        except (DamagedFile, _NotUsed) as e:
            problems.append(str(e))
        except RuntimeError as e:       # OpenVINO's errors
            problems.append(f'OpenVINO cannot run this net ({engines.first_line(e)})')
        else:
            for problem in problems:
                warn(f'{problem}. Using {" ".join(kind)} instead')
            if opened.agreement:
                say(str(opened.agreement))
            return opened
    raise UserError(problems[-1])


class _NotUsed(Exception):
    """Why an engine that runs is not used."""


def _kinds(engine, chosen):
    """The engines to try, best first, as (engine, precision)."""
    kinds = [chosen]
    if chosen == ('openvino', 'bfloat16'):
        kinds.append(('openvino', 'float32'))
    if chosen != engines.EXACT:
        kinds.append(engines.EXACT)
    elif engine == 'auto' and engines.choose('auto', 'float32', few_images=True) != engines.EXACT:
        kinds.append(('openvino', 'float32'))       # where the file for TensorFlow is damaged
    return kinds


def _open(net, kind, images, top_k, cache_dir):
    """Opens one engine, measured where that is needed: a CheckedEngine. Raises DamagedFile, RuntimeError and
    _NotUsed."""
    fast = engines.load(net.graph(kind[0]), *kind)
    if kind == engines.EXACT:
        return CheckedEngine(fast)
    agreement = None
    if kind != net.reference and images.number >= MEASURED_ON:
        agreement = (_known_agreement(net, kind, images, cache_dir)
                     or _measure(net, kind, fast, images, cache_dir))
    if agreement is None:       # nothing is measured, and nothing claimed
        if kind[1] == 'bfloat16':
            raise _NotUsed(f'fewer than {LEAST_IMAGES} images could be read to measure {fast.name} on')
        size, channels = net.inputs.size, net.inputs.channels
        fast.compile(min(images.number, images.batch_size), (size, size, channels))
        return CheckedEngine(fast)
    if not agreement.close_enough:
        fast.close()
        raise _NotUsed(f'{agreement}: too far from float32')

    def open_decider():
        if kind[1] == 'float32':
            return engines.load(net.graph('tensorflow'))
        # One image per request: the few that are close would leave a larger request half empty.
        return engines.load(net.graph('openvino'), 'openvino', 'float32', request_images=1)
    return CheckedEngine(fast, open_decider, agreement.margin(images.number), top_k, agreement)


def _measure(net, kind, fast, images, cache_dir):
    """Measures an engine on a sample and keeps the record. Returns an Agreement, or None where too few can be
    read."""
    sample = images.sample(MEASURED_ON)
    if len(sample) < LEAST_IMAGES:
        return None
    graph = net.graph(net.reference[0])
    with contextlib.closing(engines.load(graph, *net.reference, once=True)) as reference:
        agreement = measure_agreement(fast, reference, sample, images.number)
    cache.write_record(cache_dir, 'agreement', _key(net, kind, images), dataclasses.asdict(agreement))
    return agreement


def _known_agreement(net, kind, images, cache_dir) -> Optional[Agreement]:
    """The record of an earlier measurement on at least as many images of this kind, or None."""
    record = cache.read_record(cache_dir, 'agreement', _key(net, kind, images))
    with contextlib.suppress(json_file.WrongValue):
        agreement = json_file.checked(Agreement, record or {})
        return agreement if agreement.drawn_from >= images.number else None
    return None


def _key(net, kind, images):
    """The name of a measurement's record: everything that it depends on."""
    inputs = dataclasses.asdict(net.inputs)
    inputs.pop('labels_offset')
    parts = [net.digest(), kind, engines.version(kind[0]), net.reference, engines.version(net.reference[0]),
             cpu(), inputs, images.kind, MEASURED_ON]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def cpu():
    """What of this CPU can change an engine's numbers, as text: architecture and instruction sets."""
    flags = set()
    with contextlib.suppress(OSError), open('/proc/cpuinfo', encoding='utf-8', errors='replace') as f:
        for line in f:
            name, _, value = line.partition(':')
            if name.strip() in ('flags', 'Features'):
                flags.update(value.split())
                break
    return ' '.join([platform.machine(), *sorted(flag for flag in flags if flag.startswith(_CPU_FLAGS))])


class CheckedEngine:
    """An engine that computes close images again: those whose best class, or whose k best, another logit
    nearly joins.

    fast: the engine. open_decider: opens the float32 engine that decides, called when it is first needed;
    None where no image is computed again. margin: logits closer than this are close. agreement: what the
    margin was estimated from. num_rechecked: images computed again so far.
    """

    def __init__(self, fast, open_decider=None, margin=0.0, top_k=1, agreement=None):
        self._fast, self._open_decider, self._decider = fast, open_decider, None
        self._margin, self._top_k = margin, top_k
        self.agreement, self.num_rechecked = agreement, 0

    def run(self, images, labels=None):
        """Returns logits and probabilities, both [n, classes].

        images: float32 [n, height, width, channels]. labels: int [n], where of the k best it only matters
        whether the label is among them; None where all of the k best do.
        """
        logits, probabilities = self._fast.run(images)
        close = self._close(logits, labels)
        if self._open_decider and close.any():
            self._decider = self._decider or self._open_decider()
            logits[close], probabilities[close] = self._decider.run(images[close])
            self.num_rechecked += int(close.sum())
        return logits, probabilities

    def _close(self, logits, labels):
        """Which images lie within the margin: bool [n]."""
        best = -np.sort(-logits, axis=1)
        clear = np.ones(len(logits), bool)
        for k in {1, self._top_k}.intersection(range(1, best.shape[1])):
            last, next_one = best[:, k - 1], best[:, k]
            if k > 1 and labels is not None:
                of_label = logits[np.arange(len(logits)), labels]
                clear &= (of_label - next_one >= self._margin) | (last - of_label >= self._margin)
            else:
                clear &= last - next_one >= self._margin
        return ~clear

    def close(self):
        """Frees the memory."""
        self._fast.close()
        if self._decider:
            self._decider.close()
