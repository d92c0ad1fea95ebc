"""Learning rates, optimizers and losses have slim's values."""
import re

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


def test_the_learning_rate_is_fixed_or_falls_exponentially_or_linearly():
    assert rates([0, 1000], learning_rate_decay_type='fixed', learning_rate=0.5) == [0.5, 0.5]
    # 80 images in batches of 10: two epochs are 16 steps
    exponential = rates([0, 15, 16, 31, 32], learning_rate=1.0, learning_rate_decay_factor=0.94)
    assert np.allclose(exponential, [1, 1, 0.94, 0.94, 0.94 ** 2])
    linear = rates([0, 4, 8, 16, 100], learning_rate_decay_type='polynomial', learning_rate=1.0,
                   end_learning_rate=0.2)
    assert np.allclose(linear, [1, 0.8, 0.6, 0.2, 0.2])


@pytest.mark.parametrize('kind', options.DECAYS)
def test_a_data_set_smaller_than_a_batch_has_a_finite_learning_rate(kind):
    assert np.isfinite(rates([0, 1, 2], images=3, batch_size=32, learning_rate_decay_type=kind)).all()


def variables_after(name, steps=3, rate=0.1, folder_form=False, **settings):
    """Minimizes the squares of three weights; returns all variables after these steps, {name: array}."""
    if folder_form:
        settings['opt_epsilon'] = None
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable('net/weights', initializer=np.float32([1, -2, 3]))
        optimizer = schedules.optimizer(options.Optimizer(optimizer=name, **settings), tf.constant(rate))
        step = optimizer.minimize(tf.reduce_sum(tf.square(weights)), tf.train.create_global_step())
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(step)
        return {v.op.name: session.run(v) for v in tf.global_variables()}


#: The slots in slim's checkpoints.
SLOTS = {'adadelta': ['Adadelta', 'Adadelta_1'], 'adagrad': ['Adagrad'], 'adam': ['Adam', 'Adam_1'],
         'ftrl': ['Ftrl', 'Ftrl_1'], 'momentum': ['Momentum'], 'rmsprop': ['RMSProp', 'RMSProp_1'], 'sgd': []}


@pytest.mark.parametrize('name', options.OPTIMIZERS)
def test_every_optimizer_has_slims_slots_and_lowers_the_loss(name):
    after = variables_after(name)
    slots = {variable for variable in after if variable.startswith('net/weights/')}
    assert slots == {f'net/weights/{slot}' for slot in SLOTS[name]}
    assert ({'beta1_power', 'beta2_power'} <= set(after)) == (name == 'adam')
    assert np.sum(after['net/weights'] ** 2) < 14 and after['global_step'] == 3


def test_every_optimizer_uses_its_own_flags():
    start = np.float32([1, -2, 3])
    assert np.allclose(variables_after('sgd', 1)['net/weights'], start - 0.1 * 2 * start)
    once = variables_after('momentum', 1, momentum=0.5)
    assert np.allclose(once['net/weights/Momentum'], 2 * start)
    twice = variables_after('momentum', 2, momentum=0.5)
    assert np.allclose(twice['net/weights/Momentum'], 0.5 * 2 * start + 2 * 0.8 * start)
    # slim's epsilon of 1 makes the first step of adam small; the folder form has the paper's, 1e-8.
    small_step = 0.1 * 2 * start / (2 * abs(start) + 1 / np.sqrt(0.001))
    assert np.allclose(variables_after('adam', 1)['net/weights'], start - small_step, rtol=0.05)
    folder_form = variables_after('adam', 1, folder_form=True)
    assert np.allclose(folder_form['net/weights'], start - 0.1 * np.sign(start), rtol=1e-4)
    # rmsprop: the mean square starts at 1 in slim; --momentum is not its flag.
    mean_square = 0.9 + 0.1 * (2 * start) ** 2
    after = variables_after('rmsprop', 1, momentum=0.1)
    assert np.allclose(after['net/weights'], start - 0.1 * 2 * start / np.sqrt(mean_square + 1))
    after = variables_after('adagrad', 1, adagrad_initial_accumulator_value=5.0)
    assert np.allclose(after['net/weights/Adagrad'], 5 + (2 * start) ** 2)


def test_the_loss_is_slims_with_label_smoothing_and_auxiliary_logits():
    logits, auxiliary = np.float32([[2, 0, 1], [0, 0, 3]]), np.float32([[1, 0, 0], [0, 5, 0]])
    labels, one_hot, smoothing = [0, 1], np.eye(3)[[0, 1]], 0.3

    def cross_entropy(values, targets):
        log_probabilities = values - np.log(np.exp(values).sum(1, keepdims=True))
        return -(targets * log_probabilities).sum(1).mean()

    with tf.Graph().as_default(), tf.Session() as session:
        compute = lambda end_points, smoothing: session.run(losses.losses(
            tf.constant(logits), end_points, tf.constant(labels, tf.int64), 3, smoothing))
        both = compute({'AuxLogits': tf.constant(auxiliary)}, smoothing)
        alone = compute({}, 0.0)
    smooth = one_hot * (1 - smoothing) + smoothing / 3
    assert np.allclose(both, [0.4 * cross_entropy(auxiliary, smooth), cross_entropy(logits, smooth)])
    assert np.allclose(alone, [cross_entropy(logits, one_hot)])


def test_the_graph_beside_a_checkpoint_restores_every_variable(trained, values):
    prefix = str(trained / 'pic_lenet/model.ckpt-60')
    expected = values(prefix)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(prefix + '.meta').restore(session, prefix)
        restored = {v.op.name: session.run(v) for v in tf.global_variables()}
    assert set(restored) == set(expected)
    assert all(np.array_equal(restored[name], expected[name]) for name in restored)


#: The others train by their flags in dropin/test_slim_mode.py, where their losses are compared with slim's.
@pytest.mark.parametrize('name', sorted(set(options.OPTIMIZERS) - {'adam', 'momentum', 'rmsprop', 'sgd'}))
def test_every_optimizer_trains_by_its_flag(pic, here, values, name):
    printed = here(
        'train', '--dataset_dir=pic', '--dataset_name=pic', '--train_dir=run', '--model_name=lenet',
        f'--optimizer={name}', '--batch_size=2', '--max_number_of_steps=2', '--log_every_n_steps=1')
    assert re.search(r'global step 2: loss = \d', printed)
    slots = {name.split('/')[-1] for name in values('run') if name.startswith('LeNet/conv1/weights/')}
    assert slots == set(SLOTS[name])
