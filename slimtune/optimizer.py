"""The learning rate, the optimizer and the loss, as slim's train script has them."""
import warnings

import numpy as np

from slimtune.runtime import slim, tf

#: The folder form's epsilons. slim's single flag, 1.0, suits its rmsprop alone and ruins adam.
EPSILON = {'adam': 1e-8, 'adadelta': 1e-8, 'rmsprop': 1e-3}


def learning_rate(schedule, batch_size, pictures, global_step, total=None):
    """The rate at `global_step` as a scalar tensor. pictures: of the training split, for epochs. total: steps in all."""
    if schedule.learning_rate_decay_type == 'fixed':
        return tf.constant(schedule.learning_rate, name='fixed_learning_rate')
    # At least 1: a data set smaller than a batch would give 0, and a rate of NaN at the first step.
    epochs = schedule.num_epochs_per_decay
    decay_steps = max(1, int(pictures * epochs / batch_size)) if epochs or not total else total
    if schedule.learning_rate_decay_type == 'exponential':
        return tf.train.exponential_decay(schedule.learning_rate, global_step, decay_steps,
                                          schedule.learning_rate_decay_factor, staircase=True,
                                          name='exponential_decay_learning_rate')
    return tf.train.polynomial_decay(schedule.learning_rate, global_step, decay_steps, schedule.end_learning_rate,
                                     power=1.0, cycle=False, name='polynomial_decay_learning_rate')


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


def losses(logits, end_points, labels, num_classes, label_smoothing):
    """The loss of a batch, a list of scalars to add up: cross entropy, and 0.4 times that of auxiliary logits.

    logits: [batch, classes]. labels: int64 [batch]. Source: Szegedy et al. 2015 (arXiv:1512.00567), sections 4 and 7.
    """
    one_hot = tf.one_hot(labels, num_classes)
    result = []
    if 'AuxLogits' in end_points:
        result.append(slim.losses.softmax_cross_entropy(end_points['AuxLogits'], one_hot, weights=0.4,
                                                        label_smoothing=label_smoothing, scope='aux_loss'))
    result.append(slim.losses.softmax_cross_entropy(logits, one_hot, weights=1.0, label_smoothing=label_smoothing))
    return result


#: What the head's weight decay is chosen from, as the C of a logistic regression, and how.
STRENGTHS = [10 ** (exponent / 2) for exponent in range(-8, 3)]
FOLDS, MOST_PICTURES = 5, 2000


def choose_weight_decay(features, labels, seed):
    """The weight decay with which a linear head on these features does best on pictures it has not seen: (decay, accuracy).

    features: [n, depth] of the training pictures. labels: int [n]. By the cross entropy in cross-validation on the training
    pictures alone, which tells neighbours apart where accuracy is noise. None where a class has too few pictures for it. One
    decay is a logistic regression's 1 / (n C).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from threadpoolctl import threadpool_limits
    chosen = np.random.RandomState(seed & 0xffffffff).permutation(len(labels))[:MOST_PICTURES]
    features, labels = np.asarray(features[np.sort(chosen)]), labels[np.sort(chosen)]
    counts = np.bincount(labels)
    if counts[counts > 0].min() < FOLDS or (counts > 0).sum() < 2:
        return None
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed & 0xffffffff)
    best = (np.inf, None, None)
    # Products this small take threads longer, and twenty times as long where the machine has other work.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter('ignore')         # a fit cut short is early stopping, and good enough to compare
        for strength in STRENGTHS:
            scores = cross_validate(LogisticRegression(C=strength, max_iter=200), features, labels, cv=folds,
                                    scoring=('neg_log_loss', 'accuracy'))
            loss = -scores['test_neg_log_loss'].mean()
            best = min(best, (loss, strength, scores['test_accuracy'].mean()))
            if loss > 1.1 * best[0]:            # beyond the best it only gets slower and worse
                break
    return 1 / (best[1] * len(labels)), best[2]
