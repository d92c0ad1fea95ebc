"""The learning rate and the optimizer, as slim's train script has them."""
from slimtune.runtime import tf

#: The folder form's epsilons. slim's single flag, 1.0, suits its rmsprop alone and ruins adam.
EPSILON = {'adam': 1e-8, 'adadelta': 1e-8, 'rmsprop': 1e-3}


def learning_rate(schedule, batch_size, num_images, global_step, total=None):
    """The rate at `global_step` as a scalar tensor.

    schedule: options.Schedule. num_images: of the training split. total: the last step, None for endless.
    """
    if schedule.learning_rate_decay_type == 'fixed':
        return tf.constant(schedule.learning_rate, name='fixed_learning_rate')
    # At least 1: a data set smaller than a batch would give 0, and a rate of NaN at the first step.
    epochs = schedule.num_epochs_per_decay
    whole_run = total and not epochs
    decay_steps = total if whole_run else max(1, int(num_images * (epochs or 0) / batch_size))
    if schedule.learning_rate_decay_type == 'exponential':
        return tf.train.exponential_decay(schedule.learning_rate, global_step, decay_steps,
                                          schedule.learning_rate_decay_factor, staircase=True,
                                          name='exponential_decay_learning_rate')
    return tf.train.polynomial_decay(schedule.learning_rate, global_step, decay_steps,
                                     schedule.end_learning_rate, power=1.0, cycle=False,
                                     name='polynomial_decay_learning_rate')


def optimizer(settings, rate):
    """The optimizer of the options.Optimizer `settings`, with slim's slot names. rate: scalar tensor."""
    name, s = settings.optimizer, settings
    epsilon = EPSILON.get(name) if s.opt_epsilon is None else s.opt_epsilon
    return {
        'adadelta': lambda: tf.train.AdadeltaOptimizer(rate, rho=s.adadelta_rho, epsilon=epsilon),
        'adagrad': lambda: tf.train.AdagradOptimizer(
            rate, initial_accumulator_value=s.adagrad_initial_accumulator_value),
        'adam': lambda: tf.train.AdamOptimizer(rate, beta1=s.adam_beta1, beta2=s.adam_beta2, epsilon=epsilon),
        'ftrl': lambda: tf.train.FtrlOptimizer(
            rate, learning_rate_power=s.ftrl_learning_rate_power,
            initial_accumulator_value=s.ftrl_initial_accumulator_value,
            l1_regularization_strength=s.ftrl_l1, l2_regularization_strength=s.ftrl_l2),
        'momentum': lambda: tf.train.MomentumOptimizer(rate, momentum=s.momentum, name='Momentum'),
        'rmsprop': lambda: tf.train.RMSPropOptimizer(rate, decay=s.rmsprop_decay, momentum=s.rmsprop_momentum,
                                                     epsilon=epsilon),
        'sgd': lambda: tf.train.GradientDescentOptimizer(rate),
    }[name]()
