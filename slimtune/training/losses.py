"""The loss of a batch, as slim's train script has it."""
from slimtune.runtime import slim, tf


def losses(logits, end_points, labels, num_classes, label_smoothing):
    """The loss of a batch, a list of scalars to add up: cross entropies, 0.4 times that of auxiliary logits.

    logits: [batch, classes]. labels: int64 [batch]. Source: Szegedy et al. 2015 (arXiv:1512.00567), sections
    4 and 7.
    """
    one_hot = tf.one_hot(labels, num_classes)
    result = []
    if 'AuxLogits' in end_points:
        result.append(slim.losses.softmax_cross_entropy(end_points['AuxLogits'], one_hot, weights=0.4,
                                                        label_smoothing=label_smoothing, scope='aux_loss'))
    result.append(slim.losses.softmax_cross_entropy(logits, one_hot, weights=1.0,
                                                    label_smoothing=label_smoothing))
    return result
