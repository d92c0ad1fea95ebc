"""Engines that run a frozen net on TensorFlow or OpenVINO: prepared images in, arrays out.

`load` gives an engine: `run(images)` returns an array for each requested output. OpenVINO runs the same
frozen graph several times faster on a CPU, and in bfloat16 where the CPU computes in it.
"""
import collections
import contextlib
import functools
import glob
import importlib.util
import os
import re
import sys
import tempfile

import numpy as np

from slimtune.errors import UserError
from slimtune.inference.graph_file import DamagedFile, read_graph
from slimtune.machine import cores
from slimtune.terminal import warn

INPUT, OUTPUTS = 'input:0', ('logits:0', 'probabilities:0')
EXACT = ('tensorflow', 'float32')
#: OpenVINO's images per request, and the most streams (requests computed at the same time); each takes
#: memory.
REQUEST_IMAGES, MOST_STREAMS = 2, 8


def openvino():
    """OpenVINO's Core, one per process; None where OpenVINO is not installed. Raises UserError for a broken
    installation."""
    if importlib.util.find_spec('openvino') is None:
        return None
    return _core()


@functools.lru_cache(maxsize=None)
def _core():
    try:
        from openvino import Core
        return Core()
    except (ImportError, OSError, RuntimeError) as e:
        raise UserError(f'OpenVINO is installed but cannot be loaded ({first_line(e)}): reinstall it '
                        '(pip install --force-reinstall openvino), or use --engine tensorflow')


def version(engine):
    """The version of an engine ('tensorflow', 'openvino') as text. Imports it."""
    if engine == 'openvino':
        from openvino import get_version
        return get_version()
    from slimtune.runtime import VERSION
    return VERSION


def choose(engine, precision, few_images=False):
    """Returns the engine and precision to use, such as ('openvino', 'bfloat16').

    engine, precision: of the options; 'auto' is TensorFlow where it has a GPU, else OpenVINO where it is
    installed, in bfloat16 where the CPU computes in it. few_images: too few to pay for the start of a GPU or
    of a second engine that computes close images again. Raises UserError for something requested that this
    machine lacks.
    """
    if engine == 'auto' and precision != 'bfloat16' and not few_images and gpu_for_tensorflow():
        return EXACT
    core = _openvino_for(engine)
    if not core:
        if precision == 'bfloat16':
            raise UserError('bfloat16 needs OpenVINO: --precision float32')
        return EXACT
    able = 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    if precision == 'bfloat16' and not able:
        raise UserError('this CPU does not compute in bfloat16: --precision float32')
    fast = able and (precision == 'bfloat16' or precision == 'auto' and not few_images)
    return 'openvino', 'bfloat16' if fast else 'float32'


def _openvino_for(engine):
    """OpenVINO's Core if the option `engine` allows it and it works, else None. Raises UserError where it was
    requested."""
    if engine == 'tensorflow':
        return None
    try:
        core = openvino()
    except UserError as e:
        if engine == 'openvino':
            raise
        warn(f'{e}. Continuing on TensorFlow')
        return None
    if engine == 'openvino' and not core:
        raise UserError('OpenVINO is not installed here: --engine tensorflow')
    return core


_GPU_DEVICES = ('/dev/nvidia[0-9]*', '/dev/dxg')       # Linux; Linux inside Windows
_BUILD_INFO = os.path.join('tensorflow', 'python', 'platform', 'build_info.py')
_BUILT_WITH_CUDA = re.compile(r"is_cuda_build'?\s*[=,:]\s*True")      # of 1.14, and of 2.21


def gpu_for_tensorflow():
    """Whether TensorFlow will find a GPU, tested without importing it: the device, CUDA_VISIBLE_DEVICES, and
    a build of TensorFlow with CUDA whose libraries are installed."""
    first = os.environ.get('CUDA_VISIBLE_DEVICES', '0').split(',')[0].strip()
    if not re.match(r'\d|GPU-|MIG-', first) or not any(map(glob.glob, _GPU_DEVICES)):
        return False
    for folder in sys.path:     # no find_spec: TensorFlow 1.14, once imported, has no __spec__
        with contextlib.suppress(OSError), open(os.path.join(folder, _BUILD_INFO), encoding='utf-8') as f:
            return bool(_BUILT_WITH_CUDA.search(f.read())) and _has_cudnn(folder)
    return False


def _has_cudnn(site_packages):
    """Whether cuDNN is installed, from pip's `tensorflow[and-cuda]` or by the system."""
    import ctypes.util
    by_pip = os.path.join(site_packages, 'nvidia', 'cudnn')
    return os.path.isdir(by_pip) or bool(ctypes.util.find_library('cudnn'))


def load(graph, engine='tensorflow', precision='float32', outputs=OUTPUTS, input=INPUT, once=False,
         request_images=REQUEST_IMAGES):
    """Returns an engine for a frozen graph.

    graph: a GraphDef, or the path of a GraphDef's file or of OpenVINO's model.xml. engine, precision: of
    `choose`. outputs, input: names of the graph's tensors. once: it will run a single time. request_images:
    of one of OpenVINO's requests. Raises UserError for a damaged file, RuntimeError where OpenVINO cannot
    read the graph.
    """
    if engine == 'tensorflow':
        return TensorFlow(read_graph(graph) if isinstance(graph, str) else graph, outputs, input, once)
    if isinstance(graph, str):
        return OpenVINO(graph, precision, outputs, request_images)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'frozen.pb')
        with open(path, 'wb') as f:
            f.write(graph.SerializeToString())
        return OpenVINO(path, precision, outputs, request_images)


class TensorFlow:
    """A frozen graph on TensorFlow, float32."""

    name = 'tensorflow float32'

    def __init__(self, graph_def, outputs=OUTPUTS, input=INPUT, once=False):
        from slimtune.runtime import session_config, tf
        self._out_of_memory = tf.errors.ResourceExhaustedError
        # A copy: import_graph_def fills in default attributes, and the graph's bytes are hashed as a cache
        # key.
        own = tf.GraphDef()
        own.CopyFrom(graph_def)
        with tf.Graph().as_default() as graph:
            try:
                self._images, *self._outputs = tf.import_graph_def(
                    own, name='', return_elements=[input, *outputs])
            except ValueError as e:
                raise DamagedFile(f'the graph cannot be used ({first_line(e)}): export again')
            self._session = tf.Session(graph=graph, config=session_config(once=once))
        self._most = None       # images per run, once memory was short

    def run(self, images):
        """Returns an array [n, ...] for each output. images: float32 [n, height, width, channels].

        Where memory is too short for all of them, they are halved, and this is reported.
        """
        size = self._most or max(len(images), 1)
        try:
            parts = [self._session.run(self._outputs, {self._images: images[begin:begin + size]})
                     for begin in range(0, len(images), size)]
        except self._out_of_memory:
            if size == 1:
                raise UserError('not enough memory for a single image')
            self._most = size // 2
            warn(f'not enough memory for {size} images at once: continuing with {self._most}')
            return self.run(images)
        return tuple(np.concatenate(part) for part in zip(*parts))

    def close(self):
        """Frees the memory."""
        self._session.close()


class OpenVINO:
    """A frozen graph (frozen.pb, or OpenVINO's own model.xml) on OpenVINO.

    Several images are run a few per request, on as many streams as there are cores: threads that share one
    image wait for each other at every layer, half of the time where the machine has other work too.
    """

    def __init__(self, path, precision='float32', outputs=OUTPUTS, request_images=REQUEST_IMAGES):
        self.name = f'openvino {precision}'
        self._core = openvino()
        self._model = self._core.read_model(path)
        self._outputs, self._request_images = outputs, request_images
        self._streams, self._batch, self._requests = min(cores(), MOST_STREAMS), 0, []
        self._precision_hint = 'bf16' if precision == 'bfloat16' else 'f32'

    def compile(self, num_images, shape):
        """Compiles for batches of a fixed size, which both versions of OpenVINO can do, and which runs
        fastest.

        num_images: how many come at once. shape: of an image, (height, width, channels). Raises RuntimeError
        for a net that OpenVINO cannot run.
        """
        self._batch = min(num_images, self._request_images)
        streams = min(self._streams, -(-num_images // self._batch))
        self._model.reshape({self._model.inputs[0].get_any_name(): (self._batch,) + tuple(shape)})
        settings = {'INFERENCE_PRECISION_HINT': self._precision_hint, 'NUM_STREAMS': str(streams)}
        compiled = self._core.compile_model(self._model, 'CPU', settings)
        places = {name: n for n, output in enumerate(compiled.outputs) for name in output.get_names()}
        missing = [name for name in self._outputs if name not in places]
        if missing:
            raise RuntimeError(f'the graph has no output {missing[0]}')
        self._places = [places[name] for name in self._outputs]
        # No AsyncInferQueue: what its callbacks hold may be freed by a stream's own thread, which ends the
        # process.
        # Two per stream: one at work, one ready.
        self._requests = [compiled.create_infer_request() for _ in range(2 * streams)]

    def run(self, images):
        """Returns an array [n, ...] for each output. images: float32 [n, height, width, channels]."""
        capacity, most = self._batch * len(self._requests), self._request_images * self._streams
        if not self._requests:
            self.compile(len(images), images.shape[1:])
        elif capacity < 2 * min(len(images), most):     # more images than it was compiled for
            self.compile(most, images.shape[1:])
        parts, free, running = [], list(self._requests), collections.deque()
        for begin in range(0, len(images), self._batch):
            part = images[begin:begin + self._batch]
            missing = self._batch - len(part)
            if missing:
                part = np.pad(part, [(0, missing)] + [(0, 0)] * (images.ndim - 1), 'constant')
            if not free:
                free.append(running.popleft())
                parts.append(self._wait(free[0]))
            running.append(free.pop())
            running[-1].start_async({0: np.ascontiguousarray(part)})
        parts += map(self._wait, running)
        return tuple(np.concatenate(part)[:len(images)] for part in zip(*parts))

    def _wait(self, request):
        """Waits for a request's batch: an array for each output."""
        request.wait()
        return [np.array(request.get_output_tensor(place).data) for place in self._places]

    def save(self, path):
        """Writes the graph as OpenVINO's own format, model.xml with model.bin beside it, for any number of
        images."""
        from openvino import serialize
        serialize(self._model, path)

    def close(self):
        """Frees the memory."""
        self._requests, self._model = [], None


def first_line(error):
    """The first line of an exception's text; native code writes many."""
    return str(error).strip().split('\n')[0]
