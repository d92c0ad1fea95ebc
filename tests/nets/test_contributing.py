"""CONTRIBUTING's example of a new net is a net."""
import importlib
import pathlib
import re

from slimtune.runtime import tf

ROOT = pathlib.Path(__file__).parents[2]


def test_the_example_of_a_new_net_is_one_line_that_builds_it(tmp_path, monkeypatch):
    line = re.search(r"^_net\(.*,$", (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8'), re.M).group()
    source = (ROOT / 'nets' / 'nets_factory.py').read_text(encoding='utf-8')
    assert 'mobilenet_v2_075' in line and 'mobilenet_v2_075' not in source
    (tmp_path / 'factory_with_it.py').write_text(
        source.replace('_RECORDS = [\n', '_RECORDS = [\n%s\n' % line), encoding='utf-8')
    monkeypatch.syspath_prepend(str(tmp_path))
    factory = importlib.import_module('factory_with_it')
    net = factory.NETS['mobilenet_v2_075']
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, net.image_size, net.image_size, 3])
        logits, _ = factory.get_network_fn(net.name, net.classes)(images)
        shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
        parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
        multiply_adds = sum(_multiply_adds(op) for op in graph.get_operations())
    assert logits.shape.as_list() == [1, 1001]
    assert shapes['MobilenetV2/Conv/weights'] == [3, 3, 3, 24]                          # 32 * 0.75
    assert shapes['MobilenetV2/expanded_conv_16/project/weights'] == [1, 1, 720, 240]   # 160 * 0.75 * 6 to 320 * 0.75
    assert shapes['MobilenetV2/Conv_1/weights'] == [1, 1, 240, 1280]                    # the last layer keeps its depth
    assert (parameters, multiply_adds) == (net.parameters, net.multiply_adds)


def _multiply_adds(op):
    """One image's: the output's places times its depth times the kernel."""
    if op.type not in ('Conv2D', 'DepthwiseConv2dNative'):
        return 0
    output, kernel = op.outputs[0].shape.as_list(), op.inputs[1].shape.as_list()
    return output[1] * output[2] * kernel[0] * kernel[1] * kernel[2] * kernel[3]
