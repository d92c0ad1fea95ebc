"""The training loop and what watches it: checkpoints, summaries, losses that are not finite."""
import contextlib
import math
import os
import time

from slimtune.checkpoints import checkpoint
from slimtune.errors import UserError
from slimtune.runtime import tf
from slimtune.terminal import progress, say, watched
from slimtune.training.batch_norm import measure

CHECKPOINTS_KEPT = 5
MEASURE_SECONDS = 10.0              # between two looks at the held-out images, where features are cached


def saving(run_options, saver, diverged, changing):
    """The hooks that write checkpoints, summaries and the steps a second.

    diverged: see not_finite. changing: the variables that training may change.
    """
    folder = run_options.train_dir
    return [
        tf.train.CheckpointSaverHook(folder, save_secs=run_options.save_interval_secs, saver=saver,
                                     listeners=[Finite(changing, diverged)]),
        tf.train.SummarySaverHook(save_secs=run_options.save_summaries_secs, output_dir=folder,
                                  summary_op=tf.summary.merge_all()),
        tf.train.StepCounterHook(every_n_steps=max(run_options.log_every_n_steps, 1), output_dir=folder)]


@contextlib.contextmanager
def event_files():
    """A context: the event files that are begun in it end with it.

    TensorFlow keeps them open under their folder's name; a second training in this process would go on writing to them, even
    where the folder was removed and made anew.
    """
    try:
        yield
    finally:
        tf.summary.FileWriterCache.clear()


def measured_again(statistics, run_options, num_images, saver, step, step_context):
    """Batch norm's statistics by the final weights, saved with them."""
    session = step_context.session
    batches = measure(session, statistics, run_options.batch_size, num_images)
    saver.save(session, os.path.join(run_options.train_dir, 'model.ckpt'), step)
    say('Statistics of %d layers measured again on %d batches of training images' % (len(statistics) // 2, batches))


def loop(session, train_op, total_loss, global_step, step, total, stop, diverged, run_options, fed=None):
    """Steps until `total` (None: endless) or until told to stop; returns the last step.

    diverged: see not_finite. fed: a features.Fed that gives the steps their batches; None where the pipeline does.
    """
    next_measured = time.time() + MEASURE_SECONDS
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress('training', total and total - step, 'steps')) if watched() else None
        while not stop.wanted and (total is None or step < total):
            begun = time.time()
            try:
                _, loss, step = session.run([train_op, total_loss, global_step], fed and fed.feed(step))
            except tf.errors.InvalidArgumentError as e:
                raise diverged('the weights are', step + 1) if 'summary histogram' in e.message else e
            seconds = time.time() - begun
            if not math.isfinite(loss):
                raise diverged('the loss is', step)
            if bar:
                bar.advance(1, 'loss %.4f, %.0f images/s' % (loss, run_options.batch_size / seconds))
            elif step % max(run_options.log_every_n_steps, 1) == 0:
                say('global step %d: loss = %.4f (%.3f sec/step)' % (step, loss, seconds))
            if fed and fed.accuracy and (time.time() > next_measured or step == total or stop.wanted):
                right = session.run_step_fn(lambda step_context: fed.accuracy(step_context.session))
                say('step %d: %.1f%% of the held-out images right' % (step, 100 * right))
                next_measured = time.time() + MEASURE_SECONDS
    return step


def not_finite(learning_rate, train_dir, what, step):
    """The error for a training that went astray. what: 'the loss is' or 'the weights are'."""
    return UserError('%s not finite at step %d: lower --learning-rate (%g). The last good checkpoint is kept: %s'
                     % (what, step, learning_rate, checkpoint.find_latest(train_dir)))


class Finite(tf.train.CheckpointSaverListener):
    """Refuses to save weights that are not numbers: the last good checkpoint stays the latest."""

    def __init__(self, variables, diverged):
        self._finite, self._diverged = tf.reduce_all([tf.reduce_all(tf.is_finite(v)) for v in variables]), diverged

    def before_save(self, session, global_step_value):
        if not session.run(self._finite):
            raise self._diverged('the weights are', global_step_value)
