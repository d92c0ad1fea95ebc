"""The saver: a checkpoint is whole, of finite weights and of the data that training opened, or it is not written."""
import contextlib
import os
import signal

from slimtune.checkpoints import checkpoint
from slimtune.errors import UserError
from slimtune.runtime import tf
from slimtune.training import run_folder

CHECKPOINTS_KEPT = 5


class Saver(tf.train.Saver):
    """Saves all variables. Keeps the last CHECKPOINTS_KEPT checkpoints, those of earlier runs in the folder included."""

    def __init__(self, options, changing, check_records):
        """options: the TrainingOptions. changing: the variables that training changes. check_records: see `watch`."""
        super().__init__(tf.global_variables(), max_to_keep=CHECKPOINTS_KEPT)
        self._options, self._check_records = options, check_records
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(v)) for v in changing])

    def save(self, sess, save_path, global_step=None, **more):
        """As tf.train.Saver's; global_step is a number. Raises UserError where there is nothing good to save, or no room."""
        self._check_records()
        if not sess.run(self._finite):
            raise not_finite('the weights are', global_step, self._options)
        with run_folder.writing(self._options.run.train_dir), signals_wait():
            return super().save(sess, save_path, global_step, **more)

    def recover(self, train_dir):
        """Registers the checkpoints of earlier runs, so that all together the last ones are kept. Where a folder was
        copied, those of the original stay."""
        self.recover_last_checkpoints(checkpoint.listed(train_dir))


def not_finite(what, step, options):
    """The error for a training that diverged. what: 'the loss is' or 'the weights are'."""
    return UserError(f'{what} not finite at step {step}: lower --learning-rate ({options.schedule.learning_rate:g}). The last '
                     f'good checkpoint is kept: {checkpoint.find_latest(options.run.train_dir)}')


@contextlib.contextmanager
def signals_wait():
    """A context: Ctrl-C and the signals that stop a process act when the block ends, so that a checkpoint is whole."""
    arrived = []
    numbers = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]
    handlers = {number: signal.signal(number, lambda number, frame: arrived.append((number, frame))) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in arrived:
        handlers[number](number, frame)


def watch(dataset):
    """A function that raises UserError once the record files of `dataset` are others than they are now."""
    def stamps():
        status = [os.stat(path) for path in dataset.data_sources]
        return [(one.st_size, one.st_mtime_ns) for one in status]

    opened = stamps()

    def check():
        try:
            changed = stamps() != opened
        except FileNotFoundError:
            changed = True
        if changed:
            raise UserError(f'the records of {dataset.name} were replaced or changed while training read them: start the same '
                            'command again when they are complete. The last checkpoint before that is kept')
    return check


@contextlib.contextmanager
def reading(check_records):
    """A context: where TensorFlow fails in it because the records were changed, the error says so. check_records: of `watch`."""
    try:
        yield
    except tf.errors.OpError:
        check_records()
        raise
