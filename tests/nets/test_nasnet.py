"""NASNets of small pictures, and their drop path."""
import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.nets import nasnet, nets_factory
from slimtune.runtime import tf


def build(name, size, is_training=True, **kwargs):
    images = tf.placeholder(tf.float32, [2, size, size, 3])
    return nets_factory.get_network_fn(name, 7, is_training=is_training, **kwargs)(images)


@pytest.mark.parametrize('name', ['nasnet_cifar', 'nasnet_mobile', 'pnasnet_mobile'])
def test_the_smallest_picture_is_trained_on_and_a_smaller_one_refused(name):
    smallest = nets_factory.NETS[name].smallest
    with tf.Graph().as_default():
        logits, end_points = build(name, smallest)
        assert logits.shape.as_list() == end_points['AuxLogits'].shape.as_list() == [2, 7]
    with pytest.raises(UserError, match='at least %d' % smallest):
        build(name, smallest - 1)
    with tf.Graph().as_default(), pytest.raises(ValueError):
        nets_factory.networks_map[name](tf.zeros([2, smallest - 1, smallest - 1, 3]), 7, is_training=True)


def test_slims_name_of_a_net_builds_it_up_to_an_end_point():
    with tf.Graph().as_default():
        net, end_points = nasnet.build_nasnet_cifar(tf.zeros([1, 32, 32, 3]), 10, final_endpoint='Cell_0')
        assert net.shape.as_list() == [1, 32, 32, 192]
        assert sorted(end_points) == ['Cell_0', 'Stem']


def drop_path_keep_probs(step, **kwargs):
    """The keep probabilities of all of nasnet_cifar's branches at this step, by branch in the order of the graph."""
    with tf.Graph().as_default() as graph:
        global_step = tf.train.create_global_step()
        build('nasnet_cifar', 32, **kwargs)
        divisions = [op for op in graph.get_operations() if op.name.endswith('drop_path/dropout/truediv')]
        with tf.Session() as session:
            session.run(global_step.initializer)
            return session.run([op.inputs[1] for op in divisions], {global_step: step})


def test_drop_path_grows_with_the_step_and_with_the_depth():
    assert drop_path_keep_probs(0) == [1.0] * len(drop_path_keep_probs(0)) != []
    late = drop_path_keep_probs(10 ** 7)
    assert late[0] == pytest.approx(1 - 0.4 / 20)
    assert late[-1] == pytest.approx(0.6)
    assert np.all(np.diff(late) <= 0)


def test_frozen_cells_drop_nothing_and_update_nothing():
    assert drop_path_keep_probs(0, frozen=lambda scope: scope.startswith(('cell_', 'reduction_cell_', 'l1_stem'))) == []
    with tf.Graph().as_default():
        build('nasnet_cifar', 32, frozen=lambda scope: not scope.startswith('aux_11'))
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 4
