"""The saver: a checkpoint is whole, of finite weights and of the records that were opened, or not written."""
import contextlib
import signal

from slimtune import machine
from slimtune.checkpoints import checkpoint
from slimtune.errors import UserError
from slimtune.runtime import tf
from slimtune.terminal import warn

CHECKPOINTS_KEPT = 5


class Saver(tf.train.Saver):
    """Saves all variables. Of all runs in a folder, the last CHECKPOINTS_KEPT checkpoints are kept."""

    def __init__(self, options, changing, check_records):
        """options: TrainingOptions. changing: variables that training changes.

        check_records: a function that raises UserError where the records were replaced.
        """
        super().__init__(tf.global_variables(), max_to_keep=CHECKPOINTS_KEPT)
        self._options, self._check_records = options, check_records
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(v)) for v in changing])

    def save(self, sess, save_path, global_step=None, **more):
        """As tf.train.Saver's; global_step is a number.

        Raises UserError where there is no room, or what would be saved is not good.
        """
        self._check_records()
        if not sess.run(self._finite):
            raise not_finite('the weights are', global_step, self._options)
        with signals_wait():
            return super().save(sess, save_path, global_step, **more)

    def recover(self, train_dir):
        """Registers the checkpoints of earlier runs. In a copied folder, the original's are left alone."""
        self.recover_last_checkpoints(checkpoint.find_listed(train_dir))


def not_finite(what, step, options):
    """The error for a training that diverged. what: 'the loss is' or 'the weights are'."""
    rate, latest = options.schedule.learning_rate, checkpoint.find_latest(options.run.train_dir)
    kept = f'. The last good checkpoint is kept: {latest}' if latest else ''
    return UserError(f'{what} not finite at step {step}: lower --learning-rate ({rate:g}){kept}')


@contextlib.contextmanager
def signals_wait():
    """A context: Ctrl-C and signals that stop a process act when it ends, so that a checkpoint is whole."""
    arrived = []
    remember = lambda number, frame: arrived.append((number, frame))
    handlers = {number: signal.signal(number, remember) for number in machine.stop_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in arrived:
        handlers[number](number, frame)


@contextlib.contextmanager
def reading(check_records):
    """A context: where TensorFlow fails because the records were changed, the error says so.

    check_records: see Saver.
    """
    try:
        yield
    except tf.errors.OpError:
        check_records()
        raise


def noting(check_records, dataset_dir):
    """A function that prints a note, once, where check_records raises: for steps on cached features, which
    read no records.

    check_records: see Saver. dataset_dir: the folder of the records.
    """
    noted = []

    def check():
        try:
            if not noted:
                check_records()
        except UserError:
            noted.append(True)
            warn(f'the records in {dataset_dir} were replaced; training goes on with the features of the old '
                 'ones')
    return check
