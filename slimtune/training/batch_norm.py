"""Batch norm's statistics, measured again once training is over.

With a decay of 0.9997 the moving statistics follow the weights so slowly that after a few hundred steps evaluation still
uses those of the beginning. Here they become the statistics of training images under the final weights.
"""
import dataclasses

import numpy as np

from slimtune.checkpoints.checkpoint import AVERAGE
from slimtune.runtime import tf

MOST_IMAGES = 2048


@dataclasses.dataclass(frozen=True)
class Layer:
    """A batch norm layer. mean, variance: its stored statistics, variables. batch_mean, batch_variance: those of one batch."""
    mean: tf.Variable
    variance: tf.Variable
    batch_mean: tf.Tensor
    batch_variance: tf.Tensor

    def correction(self, batch_size):
        """The factor that turns batch_variance into the mean squared deviation from the batch's mean.

        Fused batch norm divides by one less than the number of values, plain batch norm by the number.
        """
        op = self.batch_variance.op
        if not op.type.startswith('FusedBatchNorm'):
            return 1.0
        num_values = batch_size * np.prod(op.inputs[0].shape.as_list()[1:3])
        return (num_values - 1) / num_values if num_values > 1 else 1.0


def find_layers(statistics, update_ops):
    """The layers whose statistics training moves: ([Layer, ...], [the names of layers whose batch values are not found]).

    statistics: the variables .../moving_mean and .../moving_variance. update_ops: of batch norm; an op is
    v -= (v - batch value) * (1 - decay).
    """
    variables = {v.op.name: v for v in statistics}
    batch_values = {}
    for update in update_ops:
        op = getattr(update, 'op', update)
        if op.type != 'AssignSub' or op.inputs[1].op.type != 'Mul':
            continue
        difference = op.inputs[1].op.inputs[0].op
        if difference.type == 'Sub':
            batch_values[op.inputs[0].op.name] = difference.inputs[1]
    layers, missing = [], []
    for scope in sorted({name.rpartition('/')[0] for name in variables}):
        names = [f'{scope}/moving_mean', f'{scope}/moving_variance']
        if all(name in variables and name in batch_values for name in names):
            layers.append(Layer(*[variables[name] for name in names], *[batch_values[name] for name in names]))
        else:
            missing.append(scope)
    return layers, missing


def num_batches(batch_size, num_images):
    """On how many batches the statistics are measured: all whole batches of MOST_IMAGES images, at least one."""
    return max(1, min(MOST_IMAGES, num_images) // batch_size)


def measure(session, layers, feeds, batch_size):
    """The statistics of the layers over batches: {variable: array}.

    feeds: an iterable of what each batch is fed, {} where it comes from the input pipeline. The variance over all images is
    the mean of the batches' variances plus the variance of their means.
    """
    tensors = [(layer.batch_mean, layer.batch_variance) for layer in layers]
    means, variances = [[] for _ in layers], [[] for _ in layers]
    for feed in feeds:
        for n, (mean, variance) in enumerate(session.run(tensors, feed)):
            means[n].append(mean.astype(np.float64))
            variances[n].append(variance.astype(np.float64))
    measured = {}
    for layer, mean, variance in zip(layers, means, variances):
        measured[layer.mean] = np.mean(mean, 0)
        measured[layer.variance] = np.mean(variance, 0) * layer.correction(batch_size) + np.var(mean, 0)
    return measured


def measure_again(session, layers, make_feeds, batch_size, averages):
    """Stores the statistics that the layers have under the weights as they are, and under the weights' moving averages.

    session: raw, its graph may be finalized. make_feeds: a function that gives `measure` its feeds. averages: {variable:
    its moving average, a variable}, {} where none are kept. The statistics' own averages become what the averaged weights
    give, because evaluation uses the two together.
    """
    assign(session, measure(session, layers, make_feeds(), batch_size))
    if not averages:
        return
    weights = dict(zip(averages, session.run(list(averages))))
    assign(session, dict(zip(averages, session.run(list(averages.values())))))
    measured = measure(session, layers, make_feeds(), batch_size)
    assign(session, weights)
    assign(session, {averages[v]: value for v, value in measured.items() if v in averages})


def averages_of(variables):
    """{variable: its moving average} of those that have one in the default graph."""
    by_name = {v.op.name: v for v in tf.global_variables()}
    return {v: by_name[v.op.name + AVERAGE] for v in variables if v.op.name + AVERAGE in by_name}


def assign(session, values):
    """Gives variables their values in one run, without a new op. values: {variable: array}."""
    session.run([v.initializer for v in values], {v.initializer.inputs[1]: value for v, value in values.items()})
