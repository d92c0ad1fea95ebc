"""The formats that take encoded images: frozen_encoded.pb and saved_model/."""
import os

from slimtune.images import prepare
from slimtune.runtime import portable, session_config, tf
from slimtune.storage import atomic


def write_encoded(folder, frozen, exported_model):
    """Writes frozen_encoded.pb and saved_model/, which take encoded images [n] (JPEG, PNG, GIF) and give probabilities."""
    inputs = exported_model.inputs
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        encoded = tf.placeholder(tf.string, [None], name='encoded')
        images = tf.map_fn(lambda one: prepare.evaluation_image(one, inputs), encoded, tf.float32, parallel_iterations=4)
        probabilities, = tf.import_graph_def(frozen, {'input:0': images}, ['probabilities:0'], name='net')
        probabilities = tf.identity(probabilities, 'probabilities')
        graph = tf.graph_util.extract_sub_graph(tf.get_default_graph().as_graph_def(), ['probabilities'])
        atomic.write_bytes(os.path.join(folder, 'frozen_encoded.pb'), portable(graph).SerializeToString())
        best = tf.gather(tf.constant(exported_model.class_names), tf.argmax(probabilities, 1), name='classes')
        builder = tf.saved_model.builder.SavedModelBuilder(os.path.join(folder, 'saved_model'))
        signature = tf.saved_model.predict_signature_def({'image_bytes': encoded},
                                                         {'probabilities': probabilities, 'classes': best})
        builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING],
                                             {'serving_default': signature}, strip_default_attrs=True)
        builder.save()
