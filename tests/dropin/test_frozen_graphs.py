"""frozen.pb under the names that slim with freeze_graph gave: what a line's software reads goes on
working."""
import subprocess
import sys

import numpy as np
import pytest

from slimtune.inference.graph_file import read_graph
from slimtune.nets import nets_factory
from slimtune.runtime import tf

# A classify script as people have them beside a frozen.pb of slim's; it knows nothing of slimtune.
CLASSIFY = '''
import sys

import numpy as np
import tensorflow.compat.v1 as tf

graph, size = sys.argv[1], int(sys.argv[2])
with tf.gfile.FastGFile(graph, 'rb') as f:
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(f.read())
with tf.Graph().as_default():
    tf.import_graph_def(graph_def, name='')
    with tf.Session() as sess:
        image = np.linspace(-1, 1, size * size * 3, dtype=np.float32).reshape(1, size, size, 3)
        softmax_tensor = sess.graph.get_tensor_by_name('InceptionV3/Predictions/Reshape_1:0')
        predictions = sess.run(softmax_tensor, {'input:0': image})
        print('prediction', ' '.join('%.6f' % score for score in np.squeeze(predictions)))
'''
# What slim's README and its users' scripts call the output.
OUTPUTS = {
    'inception_v1': 'InceptionV1/Logits/Predictions/Reshape_1',
    'inception_v3': 'InceptionV3/Predictions/Reshape_1',
    'inception_v4': 'InceptionV4/Logits/Predictions',
    'inception_resnet_v2': 'InceptionResnetV2/Logits/Predictions',
    'mobilenet_v1_025': 'MobilenetV1/Predictions/Reshape_1',
    'mobilenet_v2': 'MobilenetV2/Predictions/Reshape_1',
    'resnet_v1_50': 'resnet_v1_50/predictions/Reshape_1',
    'resnet_v2_50': 'resnet_v2_50/predictions/Reshape_1',
    'vgg_16': 'vgg_16/fc8/squeezed', 'nasnet_mobile': 'final_layer/predictions',
    'lenet': 'Predictions/Reshape_1',
}


@pytest.fixture
def frozen(weights_of, save_variables, here, tmp_path):
    """frozen(net, size): exports random weights of 3 classes; returns (the checkpoint's prefix,
    frozen.pb)."""
    def export(net, size):
        prefix = save_variables(weights_of(net, 3), tmp_path / 'model.ckpt-7')
        (tmp_path / 'label.txt').write_text('a\nb\nc\n')
        here('export', '--checkpoint_path=%s' % prefix, '--model_name=%s' % net, '--image_size=%d' % size,
             '--label_path=label.txt', '--output_dir=export')
        return prefix, tmp_path / 'export' / 'frozen.pb'
    return export


def by_slim(net, size, prefix):
    """The frozen graph that slim's export_inference_graph.py and TensorFlow's freeze_graph make of a
    checkpoint."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(name='input', dtype=tf.float32,
                                shape=[None, size, size, nets_factory.NETS[net].channels])
        nets_factory.get_network_fn(net, num_classes=3, is_training=False)(images)
        tf.train.Saver().restore(session, prefix)
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [OUTPUTS[net]])


def test_the_outputs_are_those_that_slims_users_know():
    assert {name: nets_factory.NETS[name].output for name in OUTPUTS} == OUTPUTS


@pytest.mark.slow
def test_a_classify_script_for_slims_inception_v3_reads_ours(frozen, tmp_path):
    size = 299
    prefix, path = frozen('inception_v3', size)
    (tmp_path / 'classify.py').write_text(CLASSIFY)
    printed = subprocess.check_output([sys.executable, str(tmp_path / 'classify.py'), str(path), str(size)],
                                      stderr=subprocess.DEVNULL, encoding='utf-8')
    prediction = [float(word) for word in printed[printed.index('prediction '):].split()[1:]]
    assert len(prediction) == 3 and sum(prediction) == pytest.approx(1, abs=1e-4)

    image = np.linspace(-1, 1, size * size * 3, dtype=np.float32).reshape(1, size, size, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        slims, = tf.import_graph_def(by_slim('inception_v3', size, prefix), name='',
                                     return_elements=[OUTPUTS['inception_v3'] + ':0'])
        np.testing.assert_allclose(session.run(slims, {'input:0': image})[0], prediction, atol=1e-4)


@pytest.mark.parametrize('net, size', [('lenet', 28), ('mobilenet_v1_025', 128)])
def test_every_node_of_slims_frozen_graph_is_in_ours_under_its_name(net, size, frozen):
    prefix, path = frozen(net, size)
    ours = {node.name: node.op for node in read_graph(str(path)).node}
    theirs = {node.name: node.op for node in by_slim(net, size, prefix).node}
    assert {name: ours.get(name) for name in theirs} == theirs
    assert set(ours) - set(theirs) == {'logits', 'probabilities'}
    assert ours['input'] == 'Placeholder'
