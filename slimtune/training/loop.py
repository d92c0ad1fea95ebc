"""The training loop and what watches it: checkpoints, summaries, losses that are not finite."""
import contextlib
import dataclasses
import math
import time

from slimtune.runtime import tf
from slimtune.terminal import progress, say, watched
from slimtune.training.saver import not_finite
from slimtune.training.training_options import TrainingOptions

MEASURE_SECONDS = 10.0              # between two measurements on the held-out images, where features are cached


@dataclasses.dataclass(frozen=True)
class Step:
    """What a step runs. train_op: the update. loss: of its batch. global_step: the number of steps after it.

    options: the TrainingOptions, whose run.max_number_of_steps (None: endless) is the last step. fed: a features.Fed that
    gives the steps their batches, None where the input pipeline does.
    """
    train_op: tf.Operation
    loss: tf.Tensor
    global_step: tf.Tensor
    options: TrainingOptions
    fed: object = None

    def run(self, session, number):
        """Runs the step that follows `number` others: (loss, number of steps after it). Raises UserError for NaN."""
        try:
            feed = self.fed.feed(number) if self.fed else None
            _, loss, after = session.run([self.train_op, self.loss, self.global_step], feed)
        except tf.errors.InvalidArgumentError as e:
            raise not_finite('the weights are', number + 1, self.options) if 'summary histogram' in e.message else e
        if not math.isfinite(loss):
            raise not_finite('the loss is', after, self.options)
        return loss, int(after)


def loop(session, step, done, stop):
    """Repeats a Step until the last one or until told to stop; returns the number of steps then.

    done: the number of steps before. stop: a terminal.Stop.
    """
    run, fed = step.options.run, step.fed
    total = run.max_number_of_steps
    next_measured = time.time() + MEASURE_SECONDS
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress('training', total and total - done, 'steps')) if watched() else None
        while not stop.wanted and (total is None or done < total):
            begin = time.time()
            loss, done = step.run(session, done)
            seconds = time.time() - begin
            if bar:
                bar.advance(1, f'loss {loss:.4f}, {run.batch_size / seconds:.0f} images/s')
            elif done % max(run.log_every_n_steps, 1) == 0:
                say(f'global step {done}: loss = {loss:.4f} ({seconds:.3f} sec/step)')
            if fed and fed.accuracy and (time.time() > next_measured or done == total or stop.wanted):
                accuracy = session.run_step_fn(lambda step_context: fed.accuracy(step_context.session))
                say(f'step {done}: {100 * accuracy:.1f}% of the held-out images correct')
                next_measured = time.time() + MEASURE_SECONDS
    return done


def hooks(run, saver):
    """The hooks that write checkpoints, summaries and steps per second. run: options.Run."""
    return [
        tf.train.CheckpointSaverHook(run.train_dir, save_secs=run.save_interval_secs, saver=saver),
        tf.train.SummarySaverHook(save_secs=run.save_summaries_secs, output_dir=run.train_dir,
                                  summary_op=tf.summary.merge_all()),
        tf.train.StepCounterHook(every_n_steps=max(run.log_every_n_steps, 1), output_dir=run.train_dir)]


@contextlib.contextmanager
def event_files():
    """A context: the event files that are opened in it are closed with it.

    TensorFlow keeps them open under their folder's name; a second training in this process would go on writing to them,
    even where the folder was removed and made again.
    """
    try:
        yield
    finally:
        tf.summary.FileWriterCache.clear()
