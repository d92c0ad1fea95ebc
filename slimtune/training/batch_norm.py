"""Batch norm's statistics, measured again once training is over.

With a decay of 0.9997 they follow the weights so slowly that after a few hundred steps evaluation still uses those of the
beginning. Here they become the mean over batches of training images, by the weights as they are.
"""
import numpy as np

from slimtune.runtime import tf

MOST_IMAGES = 2048


def moving(update_ops):
    """{statistic's variable: tensor of a batch's own value}, read from batch norm's update ops.

    An update is v -= (v - value) * (1 - decay). Ops of another shape are passed over.
    """
    found = {}
    variables = {v.op.name: v for v in tf.global_variables()}
    for update in update_ops:
        op = getattr(update, 'op', update)
        if op.type != 'AssignSub' or op.inputs[1].op.type != 'Mul':
            continue
        difference = op.inputs[1].op.inputs[0].op
        variable = variables.get(op.inputs[0].op.name)
        if difference.type == 'Sub' and variable is not None:
            found[variable] = difference.inputs[1]
    return found


def measure(session, statistics, batch_size, num_images):
    """Gives the statistics their mean over the training images, at most IMAGES of them; returns how many batches.

    session: raw. statistics: of `moving`. Each batch comes from the training pipeline.
    """
    batches = max(1, min(MOST_IMAGES, num_images) // batch_size)
    values, variables = list(statistics.values()), list(statistics)
    means = [np.zeros(v.shape.as_list(), np.float64) for v in variables]
    for _ in range(batches):
        for mean, value in zip(means, session.run(values)):
            mean += value / batches
    session.run([v.initializer for v in variables], {v.initializer.inputs[1]: mean for v, mean in zip(variables, means)})
    return batches
