"""Checkpoints of each family, both ways, by slim's names: the net's, the step's, the slots' and the averages'."""
import os
import shutil

import pytest

from slimtune.nets import nets_factory
from slimtune.runtime import slim, tf

#: net, size of the pictures, optimizer, and a slot of it. NASNet, with 1,500 variables and as many averages, takes minutes.
FAMILIES = [('lenet', 28, 'rmsprop', '/RMSProp_1'), ('inception_v1', 64, 'rmsprop', '/RMSProp'),
            ('resnet_v1_50', 33, 'momentum', '/Momentum'), ('mobilenet_v2', 32, 'adam', '/Adam_1')]


def graph(net, size, optimizer, channels):
    """A training graph as one would write it with slim's factory and TensorFlow alone: (global step, train op)."""
    step = tf.train.create_global_step()
    images = tf.zeros([2, size, size, channels])
    logits, end_points = nets_factory.get_network_fn(net, 3, weight_decay=0.00004, is_training=True)(images)
    loss = tf.reduce_sum(logits) + sum(tf.reduce_sum(end_points[name]) for name in end_points if name == 'AuxLogits')
    made = {'rmsprop': tf.train.RMSPropOptimizer(0.01, momentum=0.9, epsilon=1.0),
            'momentum': tf.train.MomentumOptimizer(0.01, 0.9, name='Momentum'), 'adam': tf.train.AdamOptimizer(0.01)}[optimizer]
    train = made.minimize(loss, step)
    averages = tf.train.ExponentialMovingAverage(0.9, step).apply(slim.get_model_variables())
    return step, tf.group(train, averages)


@pytest.mark.parametrize('net, size, optimizer, slot', FAMILIES)
def test_a_plain_saver_reads_ours_and_ours_goes_on_from_its_own(trained, here, tmp_path, values, net, size, optimizer, slot):
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    words = ['train', '--train_dir=ours', '--dataset_dir=pic', '--dataset_name=pic', '--model_name', net, '--optimizer',
             optimizer, '--batch_size=2', '--train_image_size', size, '--moving_average_decay=0.9',
             '--learning_rate=0.0001', '--quiet']
    here(*(words + ['--max_number_of_steps=1']))
    ours = values(tmp_path / 'ours')
    assert any(name.endswith(slot) for name in ours)
    assert sum(name.endswith('/ExponentialMovingAverage') for name in ours) > 4

    with tf.Graph().as_default(), tf.Session() as session:
        step, train = graph(net, size, optimizer, 1 if net == 'lenet' else 3)
        saver = tf.train.Saver()
        saver.restore(session, os.path.join('ours', 'model.ckpt-1'))        # every variable of slim's is there
        assert session.run(step) == 1
        assert {v.op.name for v in tf.global_variables()} == set(ours)      # and no other
        session.run(train)
        os.mkdir('theirs')
        saver.save(session, os.path.join('theirs', 'model.ckpt'), global_step=step)

    said = here(*(['train', '--train_dir=theirs'] + words[2:-1] + ['--max_number_of_steps=3']))
    assert 'step 2' in said and 'begun afresh' not in said
    assert values(tmp_path / 'theirs')['global_step'] == 3
