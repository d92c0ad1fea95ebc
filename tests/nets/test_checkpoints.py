"""Checkpoints of each family, both ways, by slim's names: variables, step, optimizer slots, averages."""
import functools
import os
import shutil

import pytest

from slimtune.nets import nets_factory
from slimtune.runtime import session_config, slim, tf
from slimtune.training import train

#: net, size of the images, optimizer, a slot of it, and whether averages are kept. NASNet's are left out:
#: 1,400 variables more beside 2,400 that take two to three minutes on TF 1.14 as it is, and the same line
#: makes them for all nets.
FAMILIES = [
    ('lenet', 28, 'rmsprop', '/RMSProp_1', True),
    pytest.param('mobilenet_v2', 32, 'adam', '/Adam_1', True, marks=pytest.mark.slow),
    pytest.param('inception_v1', 64, 'rmsprop', '/RMSProp', True, marks=pytest.mark.slow),
    pytest.param('resnet_v1_50', 33, 'momentum', '/Momentum', True, marks=pytest.mark.slow),
    pytest.param('nasnet_cifar', 9, 'momentum', '/Momentum', False, marks=pytest.mark.slow),
]


def graph(net, size, optimizer, channels, averages):
    """A training graph written with slim's factory and TensorFlow alone: (global step, train op)."""
    step = tf.train.create_global_step()
    images = tf.zeros([2, size, size, channels])
    logits, end_points = nets_factory.get_network_fn(net, 3, weight_decay=0.00004, is_training=True)(images)
    loss = tf.reduce_sum(logits)
    if 'AuxLogits' in end_points:
        loss += tf.reduce_sum(end_points['AuxLogits'])
    optimizers = {'rmsprop': tf.train.RMSPropOptimizer(0.01, momentum=0.9, epsilon=1.0),
                  'momentum': tf.train.MomentumOptimizer(0.01, 0.9, name='Momentum'),
                  'adam': tf.train.AdamOptimizer(0.01)}
    train_op = optimizers[optimizer].minimize(loss, step)
    if averages:
        average = tf.train.ExponentialMovingAverage(0.9, step)
        train_op = tf.group(train_op, average.apply(slim.get_model_variables()))
    return step, train_op


#: Graphs run as they are: making them faster takes longer than the one step they are for.
unoptimized = functools.partial(session_config, once=True)


@pytest.mark.parametrize('net, size, optimizer, slot, averages', FAMILIES)
def test_a_plain_saver_reads_our_checkpoint_and_we_resume_from_its_own(
        trained, here, tmp_path, values, monkeypatch, net, size, optimizer, slot, averages):
    monkeypatch.setattr(train, 'session_config', unoptimized)
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    words = ['train', '--train_dir=ours', '--dataset_dir=pic', '--dataset_name=pic', '--model_name', net,
             '--optimizer', optimizer, '--batch_size=2', '--train_image_size', size, '--learning_rate=0.0001']
    words += ['--moving_average_decay=0.9'] * averages
    here(*(words + ['--max_number_of_steps=1', '--quiet']))
    ours = values(tmp_path / 'ours')
    assert any(name.endswith(slot) for name in ours)
    assert (sum(name.endswith('/ExponentialMovingAverage') for name in ours) > 4) == averages

    with tf.Graph().as_default(), tf.Session(config=unoptimized()) as session:
        step, train_op = graph(net, size, optimizer, 1 if net == 'lenet' else 3, averages)
        saver = tf.train.Saver()
        saver.restore(session, os.path.join('ours', 'model.ckpt-1'))      # it has all of slim's variables
        assert session.run(step) == 1
        assert {v.op.name for v in tf.global_variables()} == set(ours)      # and no other
        session.run(train_op)
        os.mkdir('theirs')
        saver.save(session, os.path.join('theirs', 'model.ckpt'), global_step=step)

    printed = here(*(['train', '--train_dir=theirs'] + words[2:] + ['--max_number_of_steps=3']))
    assert 'step 2' in printed and 'initialized' not in printed
    assert values(tmp_path / 'theirs')['global_step'] == 3
