"""frozen_encoded.pb: encoded images [n] (JPEG, PNG, GIF) into `encoded`, `probabilities` out."""
import os

from slimtune.exporting.replay import in_parts
from slimtune.images import prepare
from slimtune.inference.graph_file import read_graph
from slimtune.runtime import portable, session_config, tf
from slimtune.storage import atomic

TAKES = 'encoded'
NAME = 'frozen_encoded.pb'
FILES = (NAME,)


def write(folder, model):
    """See slimtune.exporting. Reads frozen.pb."""
    with tf.Graph().as_default() as graph:
        encoded = tf.placeholder(tf.string, [None], name='encoded')
        images = tf.map_fn(lambda one: prepare.evaluation_image(one, model.inputs), encoded, tf.float32,
                           parallel_iterations=4)
        frozen = read_graph(os.path.join(folder, 'frozen.pb'))
        probabilities, = tf.import_graph_def(frozen, {'input:0': images}, ['probabilities:0'], name='net')
        tf.identity(probabilities, 'probabilities')
        needed = portable(tf.graph_util.extract_sub_graph(graph.as_graph_def(), ['probabilities']))
    path = os.path.join(folder, NAME)
    atomic.write_bytes(path, needed.SerializeToString())

    def run(encoded_images):
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            output, = tf.import_graph_def(read_graph(path), name='', return_elements=['probabilities:0'])
            return in_parts(lambda part: session.run(output, {'encoded:0': part}), encoded_images)
    return run
