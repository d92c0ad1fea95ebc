"""Running a frozen net: images -> logits, probabilities. Decoding and resizing stay outside."""
import numpy as np

from slimtune.runtime import session_config, tf
from slimtune.terminal import warn


class Engine:
    """A frozen graph, ready to answer. It takes `input` and gives `logits` and `probabilities` (see model.freeze)."""

    def __init__(self, graph_def):
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._images, self._logits, self._probabilities = tf.import_graph_def(
                graph_def, name='', return_elements=['input:0', 'logits:0', 'probabilities:0'])
        self._session = tf.Session(graph=self._graph, config=session_config())
        self._most = None       # pictures at once, once memory was found to be short

    def run(self, images):
        """images: float32 [n, height, width, channels]. Returns (logits, probabilities), each [n, classes].

        Where the memory does not hold all of them at once, they are halved, and it is said.
        """
        size = self._most or len(images)
        try:
            parts = [self._session.run([self._logits, self._probabilities], {self._images: images[n:n + size]})
                     for n in range(0, len(images), size)]
        except tf.errors.ResourceExhaustedError:
            if size == 1:
                raise
            self._most = size // 2
            warn('not enough memory for %d pictures at once: going on with %d' % (size, self._most))
            return self.run(images)
        return tuple(np.concatenate(part) for part in zip(*parts))

    def close(self):
        """Frees the session."""
        self._session.close()


def read_graph(path):
    """A GraphDef file."""
    graph_def = tf.GraphDef()
    with open(path, 'rb') as f:
        graph_def.ParseFromString(f.read())
    return graph_def
