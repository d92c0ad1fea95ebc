"""NASNets of small images, and their drop path."""
import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.nets import nasnet, nets_factory
from slimtune.runtime import tf


def build(name, size, frozen=None, **kwargs):
    """Builds a net for training into the current graph."""
    images = tf.placeholder(tf.float32, [2, size, size, 3])
    return nets_factory.get_network_fn(name, 7, is_training=True, frozen=frozen)(images, **kwargs)


def test_the_smallest_image_is_trained_on_and_a_smaller_one_refused():
    with tf.Graph().as_default():
        logits, end_points = build('pnasnet_mobile', 67)
        assert logits.shape.as_list() == end_points['AuxLogits'].shape.as_list() == [2, 7]
    with pytest.raises(UserError, match='at least 67'):
        build('pnasnet_mobile', 66)
    with tf.Graph().as_default(), pytest.raises(ValueError, match='Negative dimension|negative'):
        nets_factory.networks_map['pnasnet_mobile'](tf.zeros([2, 66, 66, 3]), 7, final_endpoint='Cell_6')


def test_slims_name_of_a_net_builds_it_up_to_an_end_point():
    with tf.Graph().as_default():
        net, end_points = nasnet.build_nasnet_cifar(tf.zeros([1, 32, 32, 3]), 10, final_endpoint='Cell_0')
        assert net.shape.as_list() == [1, 32, 32, 192]
        assert sorted(end_points) == ['Cell_0', 'Stem']


def test_drop_path_grows_with_the_step_and_with_the_depth():
    with tf.Graph().as_default() as graph:
        step = tf.train.create_global_step()
        build('nasnet_cifar', 32, final_endpoint='Cell_2')
        keep_probs = [op.inputs[1] for op in graph.get_operations()
                      if op.name.endswith('drop_path/dropout/truediv')]
        with tf.Session() as session:
            first, last = [session.run(keep_probs, {step: value}) for value in (0, 10 ** 7)]
    assert set(first) == {1.0}
    assert np.all(np.diff(last) <= 0)
    assert [last[0], last[-1]] == pytest.approx([1 - 0.4 * 1 / 20, 1 - 0.4 * 3 / 20])


def test_a_frozen_cell_drops_nothing_and_updates_nothing():
    with tf.Graph().as_default() as graph:
        build('nasnet_cifar', 32, frozen=lambda scope: scope.startswith('cell_0/'), final_endpoint='Cell_1')
        random = {op.name.split('/')[0] for op in graph.get_operations() if op.type.startswith('Stateless')}
        updated = {op.name.split('/')[0] for op in tf.get_collection(tf.GraphKeys.UPDATE_OPS)}
    assert random == {'cell_1'}
    assert updated == {'l1_stem_bn', 'cell_1'}
