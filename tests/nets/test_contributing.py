"""CONTRIBUTING's example of a new net is a net."""
import os
import re

from slimtune.nets import nets_factory
from slimtune.runtime import tf

CONTRIBUTING = os.path.join(os.path.dirname(__file__), '..', '..', 'CONTRIBUTING.md')


def test_the_example_of_a_new_net_is_one_line_that_builds_it(monkeypatch):
    with open(CONTRIBUTING, encoding='utf-8') as f:
        line = re.search(r'^_mobilenet\(.*\)$', f.read(), re.M).group()
    net = eval(line, vars(nets_factory))
    assert net.name == 'mobilenet_v2_075' and net.name not in nets_factory.NETS
    monkeypatch.setitem(nets_factory.NETS, net.name, net)
    monkeypatch.setitem(nets_factory.networks_map, net.name, nets_factory._named(nets_factory._build, net))
    monkeypatch.setitem(nets_factory.arg_scopes_map, net.name, nets_factory._named(nets_factory._arg_scope, net))
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, net.image_size, net.image_size, 3])
        logits, _ = nets_factory.get_network_fn(net.name, net.classes)(images)
        shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
        parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
        multiply_adds = sum(_multiply_adds(op) for op in graph.get_operations())
    assert logits.shape.as_list() == [1, 1001]
    assert shapes['MobilenetV2/Conv/weights'] == [3, 3, 3, 24]                          # 32 * 0.75
    assert shapes['MobilenetV2/expanded_conv_16/project/weights'] == [1, 1, 720, 240]   # 160 * 0.75 * 6 to 320 * 0.75
    assert shapes['MobilenetV2/Conv_1/weights'] == [1, 1, 240, 1280]                    # the last layer keeps its depth
    assert (parameters, multiply_adds) == (net.parameters, net.multiply_adds)


def _multiply_adds(op):
    """One picture's: the output's places times its depth times the kernel."""
    if op.type not in ('Conv2D', 'DepthwiseConv2dNative'):
        return 0
    output, kernel = op.outputs[0].shape.as_list(), op.inputs[1].shape.as_list()
    return output[1] * output[2] * kernel[0] * kernel[1] * kernel[2] * kernel[3]
