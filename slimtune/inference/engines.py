"""Engines that run a frozen net, images in, numbers out, on TensorFlow or OpenVINO. Decoding and resizing stay outside.

`load` gives an engine: `run(images)` returns an array for each requested output. OpenVINO runs the same frozen graph
several times faster, and in bfloat16 where the CPU computes in it.
"""
import collections
import contextlib
import os
import tempfile

import numpy as np

from slimtune.errors import UserError
from slimtune.terminal import warn

INPUT, OUTPUTS = 'input:0', ('logits:0', 'probabilities:0')
AT_ONCE, STREAMS = 2, min(os.cpu_count() or 1, 8)   # OpenVINO's: images of a request, and streams, each of which takes memory


def openvino():
    """(Core, is it one of 2024 or later), or None where OpenVINO is not installed."""
    with contextlib.suppress(ImportError):
        try:
            from openvino import Core
        except ImportError:
            from openvino.runtime import Core
            return Core(), False
        return Core(), True
    return None


def choose(engine, precision):
    """The engine and precision to use, as ('openvino', 'bfloat16'): what was asked for, else the fastest that is there.

    UserError for something asked for that is not there.
    """
    found = openvino() if engine != 'tensorflow' else None
    if engine == 'openvino' and not found:
        raise UserError('OpenVINO is not installed here: --engine tensorflow')
    if not found:
        if precision == 'bfloat16':
            raise UserError('bfloat16 needs OpenVINO: --precision float32')
        return 'tensorflow', 'float32'
    able = 'BF16' in found[0].get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    if precision == 'bfloat16' and not able:
        raise UserError('this CPU does not compute in bfloat16: --precision float32')
    return 'openvino', 'bfloat16' if able and precision != 'float32' else 'float32'


def load(graph, engine='tensorflow', precision='float32', outputs=OUTPUTS, input=INPUT, once=False, at_once=AT_ONCE):
    """An engine for a frozen graph: a GraphDef, or the path of one, or of OpenVINO's model.xml.

    engine, precision: of `choose`. outputs, input: names of the graph's tensors. once: it will run a single time, for a proof.
    at_once: images of one of OpenVINO's requests.
    """
    if engine == 'tensorflow':
        return TensorFlow(read_graph(graph) if isinstance(graph, str) else graph, outputs, input, once)
    if isinstance(graph, str):
        return OpenVINO(graph, precision, outputs, at_once)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'frozen.pb')
        with open(path, 'wb') as f:
            f.write(graph.SerializeToString())
        return OpenVINO(path, precision, outputs, at_once)


class TensorFlow:
    """A frozen graph on TensorFlow, float32."""

    name = 'tensorflow float32'

    def __init__(self, graph_def, outputs=OUTPUTS, input=INPUT, once=False):
        from slimtune.runtime import session_config, tf
        self._out_of_memory = tf.errors.ResourceExhaustedError
        # A copy, for importing writes defaults into it, and its bytes are a name elsewhere.
        own = tf.GraphDef()
        own.CopyFrom(graph_def)
        with tf.Graph().as_default() as graph:
            self._images, *self._outputs = tf.import_graph_def(own, name='', return_elements=[input] + list(outputs))
            self._session = tf.Session(graph=graph, config=session_config(once=once))
        self._most = None       # images at once, once memory was found to be short

    def run(self, images):
        """images: float32 [n, height, width, channels]. Returns an array [n, ...] for each output.

        Where the memory does not hold all of them at once, they are halved, and it is said.
        """
        size = self._most or max(len(images), 1)
        try:
            parts = [self._session.run(self._outputs, {self._images: images[n:n + size]}) for n in range(0, len(images), size)]
        except self._out_of_memory:
            if size == 1:
                raise UserError('not enough memory for a single image')
            self._most = size // 2
            warn('not enough memory for %d images at once: going on with %d' % (size, self._most))
            return self.run(images)
        return tuple(np.concatenate(part) for part in zip(*parts))

    def close(self):
        """Frees the memory."""
        self._session.close()


class OpenVINO:
    """A frozen graph (frozen.pb, or OpenVINO's own model.xml) on OpenVINO.

    Several images are run a few at a time, on as many streams as there are cores: threads that share one image wait for
    each other at every layer, half of the time where the machine has other work too.
    """

    def __init__(self, path, precision='float32', outputs=OUTPUTS, at_once=AT_ONCE):
        self.name = 'openvino ' + precision
        self._core, new = openvino()
        self._model = self._core.read_model(path)
        self._outputs, self._at_once, self._batch, self._requests = outputs, at_once, 0, []
        bfloat16 = precision == 'bfloat16'
        self._settings = {'INFERENCE_PRECISION_HINT': 'bf16' if bfloat16 else 'f32'} if new else {
            'ENFORCE_BF16': 'YES' if bfloat16 else 'NO'}

    def _compile(self, count, shape):
        """For a fixed number of images of a fixed size: what either version of OpenVINO compiles, and runs fastest."""
        self._batch = min(count, self._at_once)
        streams = min(STREAMS, -(-count // self._batch))
        self._model.reshape({self._model.inputs[0].get_any_name(): (self._batch,) + tuple(shape)})
        compiled = self._core.compile_model(self._model, 'CPU', dict(self._settings, NUM_STREAMS=str(streams)))
        places = {name: n for n, output in enumerate(compiled.outputs) for name in output.get_names()}
        self._places = [places[name] for name in self._outputs]
        # No AsyncInferQueue: what its callbacks hold may be freed by a stream's own thread, which ends the process.
        self._requests = [compiled.create_infer_request() for _ in range(2 * streams)]      # one at work, one ready

    def run(self, images):
        """images: float32 [n, height, width, channels]. Returns an array [n, ...] for each output."""
        if not self._requests:
            self._compile(len(images), images.shape[1:])
        elif self._batch * len(self._requests) < 2 * min(len(images), self._at_once * STREAMS):     # more than the first time
            self._compile(self._at_once * STREAMS, images.shape[1:])
        parts, free, running = [], list(self._requests), collections.deque()
        for begin in range(0, len(images), self._batch):
            part = images[begin:begin + self._batch]
            missing = self._batch - len(part)
            part = np.pad(part, [(0, missing)] + [(0, 0)] * (images.ndim - 1), 'constant') if missing else part
            if not free:
                free.append(running.popleft())
                parts.append(self._answer(free[0]))
            running.append(free.pop())
            running[-1].start_async({0: np.ascontiguousarray(part)})
        parts += map(self._answer, running)
        return tuple(np.concatenate(part)[:len(images)] for part in zip(*parts))

    def _answer(self, request):
        """Waits for a request's batch: an array for each output."""
        request.wait()
        return [np.array(request.get_output_tensor(place).data) for place in self._places]

    def save(self, path):
        """Writes the graph as OpenVINO's own format, model.xml with model.bin beside it, for any number of images."""
        try:
            from openvino import serialize
        except ImportError:
            from openvino.runtime import serialize
        serialize(self._model, path)

    def close(self):
        """Frees the memory."""
        self._requests, self._model = [], None


EXACT = ('tensorflow', 'float32')


def read_graph(path):
    """A GraphDef file. Raises UserError for one that is damaged."""
    from google.protobuf.message import DecodeError

    from slimtune.runtime import tf
    graph_def = tf.GraphDef()
    with open(path, 'rb') as f:
        try:
            graph_def.ParseFromString(f.read())
        except DecodeError:
            raise UserError('%s is damaged: export again' % path)
    return graph_def
