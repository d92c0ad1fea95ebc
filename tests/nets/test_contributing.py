"""CONTRIBUTING's example of a new net is a net: one record, registered in the real factory."""
import pathlib
import re

import pytest

from slimtune import nets
from slimtune.commands.nets import lines
from slimtune.nets import nets_factory, records
from slimtune.runtime import tf

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def example():
    """The record in CONTRIBUTING.md, as it would stand in records.py, registered for the length of a test."""
    line = re.search(r'^_net\(.*,$', (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8'), re.M).group()
    net = eval(line.rstrip(','), vars(records))
    nets_factory.register(net)
    yield net
    for table in (nets_factory.NETS, nets_factory.networks_map, nets_factory.arg_scopes_map):
        del table[net.name]


def test_the_example_of_a_new_net_is_one_record_that_builds_it(example):
    assert example.name == 'mobilenet_v2_075'
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, example.image_size, example.image_size, 3])
        logits, _ = nets_factory.get_network_fn(example.name, example.classes)(images)
        shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
        parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
        multiply_adds = sum(_multiply_adds(op) for op in graph.get_operations())
    assert logits.shape.as_list() == [1, 1001]
    assert shapes['MobilenetV2/Conv/weights'] == [3, 3, 3, 24]                          # 32 * 0.75
    assert shapes['MobilenetV2/expanded_conv_16/project/weights'] == [1, 1, 720, 240]   # 160 * 0.75 * 6
    assert shapes['MobilenetV2/Conv_1/weights'] == [1, 1, 240, 1280]                    # keeps its depth
    assert (parameters, multiply_adds) == (example.parameters, example.multiply_adds)


def test_a_new_net_is_listed_and_has_its_name_in_slims_module(example):
    assert any(line.split()[:1] == [example.name] for line in lines())
    assert nets.mobilenet_v2.mobilenet_v2_075 is nets_factory.networks_map[example.name]


def test_the_name_of_a_net_is_taken_once(example):
    with pytest.raises(ValueError, match='there is a net mobilenet_v2_075 already'):
        nets_factory.register(example)


def _multiply_adds(op):
    """Per image: the output's places times its depth times the kernel."""
    if op.type not in ('Conv2D', 'DepthwiseConv2dNative'):
        return 0
    output, kernel = op.outputs[0].shape.as_list(), op.inputs[1].shape.as_list()
    return output[1] * output[2] * kernel[0] * kernel[1] * kernel[2] * kernel[3]
