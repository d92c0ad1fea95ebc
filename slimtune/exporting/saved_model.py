"""saved_model/, for TensorFlow Serving and others: encoded images [n] in, `probabilities` and the best
`classes` out."""
import os

from slimtune.exporting import frozen_encoded
from slimtune.exporting.replay import in_parts
from slimtune.inference.graph_file import check_saved_model, read_graph
from slimtune.runtime import session_config, tf

TAKES = 'encoded'
FILES = ('saved_model',)


def write(folder, model):
    """See slimtune.exporting. Reads frozen_encoded.pb."""
    path = os.path.join(folder, 'saved_model')
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        encoded, probabilities = tf.import_graph_def(
            read_graph(os.path.join(folder, frozen_encoded.NAME)), name='',
            return_elements=['encoded:0', 'probabilities:0'])
        best = tf.gather(tf.constant(model.class_names), tf.argmax(probabilities, 1), name='classes')
        signature = tf.saved_model.predict_signature_def(
            {'image_bytes': encoded}, {'probabilities': probabilities, 'classes': best})
        builder = tf.saved_model.builder.SavedModelBuilder(path)
        builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING],
                                             {'serving_default': signature}, strip_default_attrs=True)
        builder.save()

    def run(encoded_images):
        check_saved_model(path)
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            loaded = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], path)
            signature = loaded.signature_def['serving_default']
            images, probabilities = signature.inputs['image_bytes'], signature.outputs['probabilities']
            return in_parts(lambda part: session.run(probabilities.name, {images.name: part}), encoded_images)
    return run
