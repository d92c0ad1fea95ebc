"""MobileNets of other widths, sizes and strides than the published ones, and slim's names of them."""
import pytest

from slimtune.nets import mobilenet, nets_factory
from slimtune.runtime import slim, tf


def build(name, size=96, num_classes=7, is_training=False, **kwargs):
    """Builds a net on images of this size and an unknown batch into the current graph."""
    images = tf.placeholder(tf.float32, [None, size, size, 3])
    return nets_factory.get_network_fn(name, num_classes, is_training=is_training)(images, **kwargs)


def variables(name, **kwargs):
    with tf.Graph().as_default():
        build(name, **kwargs)
        return [(variable.op.name, variable.shape.as_list()) for variable in tf.global_variables()]


@pytest.mark.parametrize('name, narrow, kwargs', [
    ('mobilenet_v1', 'mobilenet_v1_050', {'depth_multiplier': 0.5}),
    ('mobilenet_v2', 'mobilenet_v2_035', {'depth_multiplier': 0.35, 'finegrain_classification_mode': True}),
])
def test_a_width_given_by_keyword_is_the_net_named_for_it(name, narrow, kwargs):
    assert variables(name, **kwargs) == variables(narrow)
    assert variables(name) != variables(narrow)


@pytest.mark.parametrize('name, end_point, kwargs', [
    ('mobilenet_v1', 'Conv2d_13_pointwise', {'global_pool': True}), ('mobilenet_v2', 'layer_19', {}),
    ('mobilenet_v3_small', 'layer_13', {}), ('mobilenet_edgetpu', 'layer_24', {})])
def test_an_output_stride_of_8_keeps_a_map_an_eighth_of_the_image(name, end_point, kwargs):
    with tf.Graph().as_default():
        _, end_points = build(name, output_stride=8, **kwargs)
        assert end_points[end_point].shape.as_list()[:3] == [None, 12, 12]
    assert variables(name, output_stride=8, **kwargs) == variables(name)


def test_an_output_stride_that_the_net_never_has_is_refused():
    with pytest.raises(ValueError, match='no output_stride 12: the strides reach 32'):
        build('mobilenet_v2', output_stride=12)


def test_nothing_is_built_behind_the_final_endpoint():
    with tf.Graph().as_default():
        net, _ = build('mobilenet_v2', base_only=True, final_endpoint='layer_4')
        assert net.shape.as_list() == [None, 24, 24, 24]
        assert not [variable for variable in tf.global_variables() if 'expanded_conv_3' in variable.op.name]
    with tf.Graph().as_default():
        net, end_points = mobilenet.mobilenet_v1_base(tf.zeros([1, 96, 96, 3]), 'Conv2d_2_depthwise')
        assert (net.shape.as_list(), list(end_points)[-1]) == ([1, 24, 24, 64], 'Conv2d_2_depthwise')
    with pytest.raises(ValueError, match="no end point 'layer_20'"):
        build('mobilenet_v2', final_endpoint='layer_20')


@pytest.mark.parametrize('name, size', [
    ('mobilenet_v1', 32), ('mobilenet_v1', 256), ('mobilenet_v2', 33), ('mobilenet_v3_small', 300)])
def test_other_image_sizes_give_logits_too(name, size):
    with tf.Graph().as_default():
        logits, _ = build(name, size, is_training=True)
        assert logits.shape.as_list() == [None, 7]


def test_a_map_of_logits_of_an_image_larger_than_a_single_one():
    with tf.Graph().as_default():
        logits, _ = nets_factory.networks_map['mobilenet_v1'](
            tf.zeros([1, 320, 320, 3]), 7, is_training=False, spatial_squeeze=False)
        assert logits.shape.as_list() == [1, 2, 2, 7]


def test_a_notebook_trains_and_evaluates_by_slims_scopes_alone():
    with tf.Graph().as_default(), slim.arg_scope(mobilenet.training_scope(is_training=False)):
        mobilenet.mobilenet(tf.zeros([1, 96, 96, 3]), 7)
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.Graph().as_default(), slim.arg_scope(mobilenet.training_scope(dropout_keep_prob=0.6)):
        mobilenet.mobilenet_v2_140(tf.zeros([1, 96, 96, 3]), 7)
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 104
        keep_prob = tf.get_default_graph().get_tensor_by_name(
            'MobilenetV2/Logits/Dropout/dropout/keep_prob:0')
        assert tf.get_static_value(keep_prob) == pytest.approx(0.6)
