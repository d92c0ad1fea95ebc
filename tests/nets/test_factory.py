"""What a user of nets_factory sees: names, sizes, slim's keywords and slim's modules."""
import subprocess
import sys

import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import slim, tf

#: A small net of each builder and kind of head.
FAMILIES = ['lenet', 'cifarnet', 'alexnet_v2', 'inception_v1', 'resnet_v2_50', 'mobilenet_v1_025',
            'mobilenet_v2_035']
FAMILIES += [pytest.param(name, marks=pytest.mark.slow) for name in ('inception_v3', 'i3d', 'nasnet_cifar')]


def build(name, num_classes=5, size=None, is_training=False, batch=1, frames=16, **kwargs):
    """Builds a net on images of this size, or its own, in a new graph: (graph, logits, end_points)."""
    net = nets_factory.NETS[name]
    size = size or net.image_size
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [batch] + [frames] * net.video + [size, size, net.channels])
        network_fn = nets_factory.get_network_fn(name, num_classes, is_training=is_training)
        logits, end_points = network_fn(images, **kwargs)
    return graph, logits, end_points


def variables(graph):
    """{name: shape}"""
    with graph.as_default():
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}


def test_the_records_are_read_without_tensorflow_or_numpy():
    heavy = "{'tensorflow', 'numpy', 'tf_slim', 'requests'}"
    code = f'import sys, slimtune.nets.nets_factory; print({heavy} & set(sys.modules))'
    assert subprocess.check_output([sys.executable, '-c', code]).split() == [b'set()']


def test_an_unknown_net_is_an_error_with_the_nearest_names():
    with pytest.raises(UserError) as error:
        nets_factory.get_network_fn('inceptoin_v3', 5)
    assert str(error.value) == ("unknown net 'inceptoin_v3': nearest are inception_v3, inception_v4, "
                                'inception_v2; `slimtune nets` lists all 41')


@pytest.mark.parametrize('name, size, beyond, sides', [
    ('lenet', 4, 3, 'at least 4'),
    ('alexnet_v2', 195, 194, '195 to 226'), ('alexnet_v2', 226, 227, '195 to 226'),
    ('inception_v1', 256, 257, '1 to 256'),
    ('inception_v3', 107, 106, '107 to 346'), ('inception_v3', 346, 347, '107 to 346')])
def test_the_smallest_and_largest_image_are_trained_on_and_others_refused(name, size, beyond, sides):
    net = nets_factory.NETS[name]
    assert build(name, size=size, is_training=True)[1].shape.as_list() == [1, 5]
    message = (f'{name} takes no images of {beyond}x{beyond}: image sides of {sides} pixels, '
               f'usually {net.image_size}')
    with pytest.raises(UserError, match=message):
        build(name, size=beyond)
    arg_scope = nets_factory.arg_scopes_map[name]()
    with tf.Graph().as_default(), slim.arg_scope(arg_scope), pytest.raises(ValueError):
        nets_factory.networks_map[name](tf.zeros([1, beyond, beyond, net.channels]), 5, is_training=True)


@pytest.mark.parametrize('name', ['inception_v1', 'inception_v2', 'resnet_v1_50'])
def test_some_nets_take_any_small_image(name):
    assert build(name, size=nets_factory.NETS[name].smallest, is_training=True)[1].shape.as_list() == [1, 5]
    assert nets_factory.NETS[name].smallest == 1


@pytest.mark.parametrize('name', ['vgg_a', 'inception_v2', 'mobilenet_v1_025'])
def test_larger_images_are_pooled_or_give_a_map_of_logits(name):
    larger = nets_factory.NETS[name].largest + 64
    assert build(name, size=larger, global_pool=True)[1].shape.as_list() == [1, 5]
    assert build(name, size=larger, spatial_squeeze=False)[1].shape.as_list()[1:3] != [1, 1]
    assert build(name, size=larger, num_classes=None)[1].shape.as_list()[1:3] != [1, 1]


@pytest.mark.parametrize('name', FAMILIES)
def test_only_the_heads_variables_depend_on_the_classes(name):
    head = nets_factory.NETS[name].head
    five, six = [variables(build(name, classes, is_training=True)[0]) for classes in (5, 6)]
    depends = {variable for variable in five if five[variable] != six[variable]}
    assert depends and all(variable.startswith(tuple(scope + '/' for scope in head)) for variable in depends)
    assert {scope for scope in head if any(v.startswith(scope + '/') for v in depends)} == set(head)


@pytest.mark.parametrize('name', FAMILIES)
def test_any_number_of_images_is_evaluated_and_the_output_op_exists(name):
    graph, logits, _ = build(name, batch=None)
    assert logits.shape.as_list() == [None, 5]
    assert graph.get_tensor_by_name(nets_factory.NETS[name].output + ':0').shape.as_list() == [None, 5]


@pytest.mark.parametrize('name', FAMILIES)
def test_the_figures_of_a_record_are_those_of_its_graph(name):
    net = nets_factory.NETS[name]
    graph, _, _ = build(name, net.classes, frames=64)
    with graph.as_default():
        trained = [v for v in tf.trainable_variables() if 'AuxLogits' not in v.name]
    assert sum(int(np.prod(variable.shape.as_list())) for variable in trained) == net.parameters
    assert sum(map(multiply_adds, graph.get_operations())) == net.multiply_adds


def multiply_adds(op):
    """The multiplications that an op does with weights."""
    if op.type not in ('Conv2D', 'Conv3D', 'DepthwiseConv2dNative', 'MatMul') or 'AuxLogits' in op.name:
        return 0
    weights, outputs = op.inputs[1].shape.as_list(), op.outputs[0].shape.as_list()
    return int(np.prod(outputs) * np.prod(weights[:2] if op.type.startswith('Depth') else weights[:-1]))


def test_features_up_to_an_end_point_and_of_other_depths():
    assert build('inception_v3', None)[1].shape.as_list() == [1, 1, 1, 2048]
    assert build('resnet_v1_50', None, global_pool=False)[1].shape.as_list() == [1, 7, 7, 2048]
    assert build('vgg_a', None)[1].shape.as_list() == [1, 1, 1, 4096]
    assert build('i3d', None)[1].shape.as_list() == [1, 1, 1, 1, 1024]
    half = variables(build('inception_v2', depth_multiplier=0.5)[0])
    assert half['InceptionV2/Mixed_3b/Branch_0/Conv2d_0a_1x1/weights'] == (1, 1, 96, 32)
    with tf.Graph().as_default():
        from slimtune.nets import inception
        net, end_points = inception.inception_v3_base(tf.zeros([1, 299, 299, 3]), final_endpoint='Mixed_5b')
        assert net is end_points['Mixed_5b'] and 'Mixed_5c' not in end_points
        with pytest.raises(ValueError, match="no end point 'Mixed_9': there are Conv2d_1a_3x3, "):
            inception.inception_v3_base(tf.zeros([1, 299, 299, 3]), final_endpoint='Mixed_9', scope='Again')


@pytest.mark.parametrize('output_stride, side', [(4, 56), (8, 28), (16, 14), (32, 7)])
def test_a_resnet_dilates_from_its_output_stride_on(output_stride, side):
    graph, _, end_points = build('resnet_v1_50', output_stride=output_stride)
    assert end_points['resnet_v1_50/block4'].shape.as_list() == [1, side, side, 2048]
    assert variables(graph) == variables(build('resnet_v1_50')[0])


def test_an_output_stride_that_a_resnet_never_has_is_refused():
    with pytest.raises(ValueError, match='output_stride 6 is no multiple of 4'):
        build('resnet_v2_50', output_stride=6)
    with pytest.raises(ValueError, match='no output_stride 16: the strides reach 8'):
        build('resnet_v2_50', output_stride=64)


def test_a_notebook_written_for_slim_runs_on_the_same_names():
    from slimtune.nets import inception, inception_resnet_v2, lenet, resnet_v1, vgg
    assert inception.inception_v1.default_image_size == vgg.vgg_16.default_image_size == 224
    with tf.Graph().as_default():
        images = tf.zeros([2, 224, 224, 3])
        with slim.arg_scope(inception.inception_v1_arg_scope(weight_decay=0.1)):
            logits, end_points = inception.inception_v1(images, num_classes=6, is_training=False)
        assert logits.shape.as_list() == end_points['Predictions'].shape.as_list() == [2, 6]
        assert len(tf.losses.get_regularization_losses()) == 58
        with slim.arg_scope(vgg.vgg_arg_scope()):
            vgg.vgg_16(images, num_classes=6, is_training=False)
        with slim.arg_scope(resnet_v1.resnet_arg_scope()):
            net, _ = resnet_v1.resnet_v1_50(images, is_training=False)
        assert net.shape.as_list() == [2, 1, 1, 2048]
        assert inception_resnet_v2.inception_resnet_v2_arg_scope() and lenet.lenet_arg_scope()
    with pytest.raises(AttributeError, match='slimtune.nets.inception has no attribute'):
        inception.inception_v9(None)
