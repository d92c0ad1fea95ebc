"""Learning rates, optimizers and losses are slim's, figure by figure."""
import os
import re
import shutil

import numpy as np
import pytest

from slimtune import options
from slimtune.runtime import tf
from slimtune.training import losses
from slimtune.training import schedule as schedules


def rates(steps, images=80, batch_size=10, **schedule):
    """The learning rate at each of these steps."""
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = schedules.learning_rate(options.Schedule(**schedule), batch_size, images, step)
        return [float(session.run(rate, {step: n})) for n in steps]


def test_the_rate_stays_falls_by_steps_or_in_a_line():
    assert rates([0, 1000], learning_rate_decay_type='fixed', learning_rate=0.5) == [0.5, 0.5]
    # 80 images, batches of 10: an epoch is 8 steps, two are 16
    falling = rates([0, 15, 16, 31, 32], learning_rate=1.0, learning_rate_decay_factor=0.94)
    assert np.allclose(falling, [1, 1, 0.94, 0.94, 0.94 ** 2])
    line = rates([0, 4, 8, 16, 100], learning_rate_decay_type='polynomial', learning_rate=1.0, end_learning_rate=0.2)
    assert np.allclose(line, [1, 0.8, 0.6, 0.2, 0.2])


@pytest.mark.parametrize('kind', options.DECAYS)
def test_a_data_set_smaller_than_a_batch_has_a_rate(kind):
    assert np.isfinite(rates([0, 1, 2], images=3, batch_size=32, learning_rate_decay_type=kind)).all()


def slots_after(name, steps=3, rate=0.1, folder=False, **settings):
    """Every variable of a little problem after some steps: {name: array}."""
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable('net/weights', initializer=np.float32([1, -2, 3]))
        given = dict(settings, optimizer=name) if not folder else dict(settings, optimizer=name, opt_epsilon=None)
        step = schedules.optimizer(options.Optimizer(**given), tf.constant(rate)).minimize(
            tf.reduce_sum(tf.square(weights)), tf.train.create_global_step())
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(step)
        return {v.op.name: session.run(v) for v in tf.global_variables()}


#: The slots in slim's checkpoints.
SLOTS = {'adadelta': ['Adadelta', 'Adadelta_1'], 'adagrad': ['Adagrad'], 'adam': ['Adam', 'Adam_1'], 'ftrl': ['Ftrl', 'Ftrl_1'],
         'momentum': ['Momentum'], 'rmsprop': ['RMSProp', 'RMSProp_1'], 'sgd': []}


@pytest.mark.parametrize('name', options.OPTIMIZERS)
def test_every_optimizer_has_slims_slots_and_goes_downhill(name):
    after = slots_after(name)
    assert {n for n in after if n.startswith('net/weights/')} == {'net/weights/' + slot for slot in SLOTS[name]}
    assert ({'beta1_power', 'beta2_power'} <= set(after)) == (name == 'adam')
    assert np.sum(after['net/weights'] ** 2) < 14 and after['global_step'] == 3


def test_optimizers_use_their_own_flags():
    start = np.float32([1, -2, 3])
    assert np.allclose(slots_after('sgd', 1)['net/weights'], start - 0.1 * 2 * start)
    assert np.allclose(slots_after('momentum', 1, momentum=0.5)['net/weights/Momentum'], 2 * start)
    twice = slots_after('momentum', 2, momentum=0.5)
    assert np.allclose(twice['net/weights/Momentum'], 0.5 * 2 * start + 2 * 0.8 * start)
    # Epsilon 1, as slim has it, makes the first step of adam small; the folder form's is Kingma's.
    assert np.allclose(slots_after('adam', 1)['net/weights'], start - 0.1 * 2 * start / (2 * abs(start) + 1 / np.sqrt(0.001)),
                       rtol=0.05)
    assert np.allclose(slots_after('adam', 1, folder=True)['net/weights'], start - 0.1 * np.sign(start), rtol=1e-4)
    # rmsprop: mean square starts at 1 in slim; --momentum is not its flag
    mean_square = 0.9 + 0.1 * (2 * start) ** 2
    assert np.allclose(slots_after('rmsprop', 1, momentum=0.1)['net/weights'], start - 0.1 * 2 * start / np.sqrt(mean_square + 1))
    after = slots_after('adagrad', 1, adagrad_initial_accumulator_value=5.0)
    assert np.allclose(after['net/weights/Adagrad'], 5 + (2 * start) ** 2)


def test_the_loss_is_slims_with_smoothing_and_auxiliary_logits():
    logits, auxiliary = np.float32([[2, 0, 1], [0, 0, 3]]), np.float32([[1, 0, 0], [0, 5, 0]])
    truth, smoothing = np.eye(3)[[0, 1]], 0.3

    def cross_entropy(values, targets):
        logs = values - np.log(np.exp(values).sum(1, keepdims=True))
        return -(targets * logs).sum(1).mean()

    with tf.Graph().as_default(), tf.Session() as session:
        ends = {'AuxLogits': tf.constant(auxiliary)}
        both = session.run(losses.losses(tf.constant(logits), ends, tf.constant([0, 1], tf.int64), 3, smoothing))
        alone = session.run(losses.losses(tf.constant(logits), {}, tf.constant([0, 1], tf.int64), 3, 0.0))
    smooth = truth * (1 - smoothing) + smoothing / 3
    assert np.allclose(both, [0.4 * cross_entropy(auxiliary, smooth), cross_entropy(logits, smooth)])
    assert np.allclose(alone, [cross_entropy(logits, truth)])


def test_a_trained_folder_loads_into_a_plain_saver_and_what_that_saves_is_resumed(trained, here, tmp_path, values):
    for name in ('pic', 'pic_lenet'):
        shutil.copytree(str(trained / name), str(tmp_path / name))
    expected = values('pic_lenet')
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph('pic_lenet/model.ckpt-60.meta')
        saver.restore(session, 'pic_lenet/model.ckpt-60')
        got = {v.op.name: session.run(v) for v in tf.global_variables()}
        assert set(got) == set(expected) and all(np.array_equal(got[name], expected[name]) for name in got)
        os.mkdir('plain')
        tf.train.Saver().save(session, 'plain/model.ckpt', global_step=tf.train.get_global_step())
    said = here('train', 'pic', '--model', 'lenet', '--train-dir', 'plain', '--max-number', 61)
    assert 'Resuming from plain/model.ckpt-60' in said and 'afresh' not in said
    assert set(values('plain')) == set(expected)


@pytest.mark.parametrize('words', [['--optimizer=' + name] for name in options.OPTIMIZERS] + [
    ['--learning_rate_decay_type=' + kind, '--label_smoothing=0.1'] for kind in options.DECAYS])
def test_every_optimizer_and_decay_trains_by_its_flag(trained, here, tmp_path, values, words):
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    said = here('train', '--dataset_dir=pic', '--dataset_name=pic', '--train_dir=there', '--model_name=lenet', '--batch_size=2',
                '--max_number_of_steps=2', '--log_every_n_steps=1', *words)
    assert re.search(r'global step 2: loss = \d', said)
    slots = {name.split('/')[-1] for name in values('there') if name.startswith('LeNet/conv1/weights/')}
    assert slots == set(SLOTS[words[0].split('=')[1] if 'optimizer' in words[0] else 'rmsprop'])


def test_an_unknown_optimizer_lists_those_there_are(here):
    assert 'adadelta' in here('train', 'pic', '--optimizer=adamw', code=2)
