"""`slimtune train`: fine-tunes a net, as slim's train_image_classifier.py does."""
import contextlib
import dataclasses
import functools
import itertools
import math
import os
import random
import signal
import sys
import time

from slimtune import checkpoint, convert, data, download, features, model, options, weights
from slimtune import optimizer as optimizers
from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import device, session_config, slim, tf
from slimtune.terminal import next_step, progress, say, warn, watched

CHECKPOINTS_KEPT = 5
# The folder form's defaults: (epochs, at least so many steps) and rate, for a head on cached features and for all else
CACHED_EPOCHS, CACHED_RATE = (60, 2000), 0.003
EPOCHS, RATE = (30, 400), 0.001
WEIGHT_DECAY = 0.00004
MEASURE_SECONDS = 10.0              # between two looks at the held-out pictures, where features are cached


def run(request):
    """The command: fills in what the folder form leaves open, trains, and says what to type next."""
    data_options, run_options = request[options.Data], request[options.Run]
    folder = data_options.dataset_dir
    if not folder:
        raise UserError('which pictures? Make the first word a folder of pictures (slimtune train pic), or add --dataset-dir')
    if data_options.dataset_module:
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    elif request.folder_form and not data_options.dataset_name:
        data_options = dataclasses.replace(data_options, dataset_name=convert.prepare(folder).name)
    if not run_options.train_dir:
        beside = '%s_%s' % (os.path.abspath(folder), request[options.Net].model_name)
        run_options = dataclasses.replace(run_options, train_dir=os.path.relpath(beside))
    start = request[options.Start]
    if request.folder_form and not start.checkpoint_path and not checkpoint.find_latest(run_options.train_dir):
        start = dataclasses.replace(start, checkpoint_path=published(request[options.Net].model_name, start,
                                                                     request[options.Cache].cache_dir))
    train(data_options, request[options.Net], start, run_options, request[options.Schedule],
          request[options.Optimizer], request[options.Cache], request[options.Engine], request[options.Machines],
          request.folder_form)


def published(net_name, start, cache_dir):
    """The downloaded weights of a net, for the folder form without a checkpoint; None where nobody published any, or the
    user says what to train without. UserError names the command that gets them."""
    found = download.find_weights(net_name, cache_dir)
    if found or start.trainable_scopes or net_name not in weights.WEIGHTS:
        return found
    raise UserError('%s begins with published weights: %s. Or --checkpoint-path, or --trainable-scopes all to begin at random'
                    % (net_name, download.how_to_get(net_name, cache_dir)))


def train(data_options, net_options, start, run_options, schedule, optimizer, cache, engines, machines, folder_form=False):
    """Trains until the steps are done or it is told to stop, and returns the last checkpoint's prefix.

    The arguments are the dataclasses of options. folder_form: the head alone is trained where nothing else is said and
    there is a checkpoint, and steps come from the data.
    """
    # Data
    dataset = dataset_factory.get_dataset(data_options.dataset_name, data_options.dataset_split_name,
                                          data_options.dataset_dir)
    data.check_labels(dataset, data_options.labels_offset)
    class_names = dataset.class_names[data_options.labels_offset:]
    net = nets_factory.get_net(net_options.model_name)
    inputs = model.inputs_of(net, net_options, run_options.train_image_size, dataset.channels,
                             run_options.num_preprocessing_threads, run_options.num_readers, data_options.labels_offset)

    # Where it starts from: the train folder, else a checkpoint, else random weights
    if start.restart:
        set_aside(run_options.train_dir)
    resumed, warm = starting_points(run_options.train_dir, start.checkpoint_path)
    before = options.load_run(run_options.train_dir) if resumed else {}
    if before.get('classes', class_names) != class_names:
        raise UserError('%s was trained on other classes (%s): choose another --train-dir, or --restart'
                        % (run_options.train_dir, ', '.join(before['classes'][:12])))
    seed = before.get('seed', run_options.seed)
    seed = random.randrange(1 << 31) if seed is None else seed
    step = resumed.step if resumed else 0
    if folder_form and not start.trainable_scopes:
        begun_with = before.get('options', {}).get('trainable_scopes')
        start = dataclasses.replace(start, trainable_scopes=begun_with or ('head' if start.checkpoint_path else 'all'))
    scopes = model.trainable_scopes(net, start.trainable_scopes)
    frozen = model.frozen_by(scopes) if start.batch_norm == 'frozen' else None
    caching = bool(frozen) and cache.feature_cache == 'on'
    total = run_options.max_number_of_steps
    if folder_form:
        total, schedule = defaults(total, schedule, caching, dataset.num_samples / run_options.batch_size)
    if total is not None and step >= total:
        say('%s is trained: step %d of %d. More: --max-number-of-steps %d. Anew: --restart' % (
            run_options.train_dir, step, total, 2 * total))
        return resumed.prefix

    # Net and loss
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        global_step = tf.train.create_global_step()
        with tf.device('/cpu:0'):
            images, picture_labels = data.training_batches(dataset, inputs, run_options.batch_size, seed, step)
            images = tf.placeholder_with_default(images, [None] + images.shape.as_list()[1:], features.IMAGES)
        decay = optimizer.weight_decay
        if decay is None:
            decay = tf.placeholder_with_default(before.get('options', {}).get('weight_decay') or WEIGHT_DECAY, [])
        network_fn = nets_factory.get_network_fn(net.name, len(class_names), decay, True, frozen, seed)
        logits, end_points = network_fn(images)
        cross_entropies = optimizers.losses(logits, end_points, picture_labels, len(class_names), optimizer.label_smoothing)
        trained = model.variables_to_train(scopes)
        # Frozen weights do not decay: their share of slim's loss is a constant that says nothing.
        decays = [loss for loss in tf.losses.get_regularization_losses() if not frozen or features.hangs_on(loss, trained)]
        total_loss = tf.add_n(cross_entropies + decays)
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), picture_labels), tf.float32))

        # Optimizer
        rate = optimizers.learning_rate(schedule, run_options.batch_size, dataset.num_samples, global_step, total)
        train_op = training_step(optimizers.optimizer(optimizer, rate), total_loss, trained, global_step,
                                 optimizer.moving_average_decay)
        for tag, value in (('learning_rate', rate), ('total_loss', total_loss), ('accuracy', accuracy),
                           ('cross_entropy', cross_entropies[-1])):
            tf.summary.scalar(tag, value)
        for variable in slim.get_model_variables() if run_options.histograms else ():
            tf.summary.histogram(variable.op.name, variable)

        # Restoring
        say('%s on %s: %d pictures, %d classes, %d of %d variables trained%s' % (
            net.name, device(machines.clone_on_cpu), dataset.num_samples, len(class_names), len(trained),
            len(tf.trainable_variables()), ' (%s)' % ', '.join(scopes) if scopes else ''))
        names = restored(net, resumed, warm, class_names, start)

        # What feeds the steps: the pipeline, or the features of what is frozen, computed once
        fed = features.prepare(
            images, picture_labels, total_loss, evaluating(net, class_names), trained,
            initializer(resumed or warm, names), dataset, held_out(dataset), inputs, run_options.batch_size, seed, cache,
            engines) if caching else None
        if optimizer.weight_decay is None:
            optimizer = dataclasses.replace(optimizer, weight_decay=chosen_decay(fed, images, logits, trained, seed, before))
            if fed:
                fed.feed.always[decay] = optimizer.weight_decay
        saver = tf.train.Saver(tf.global_variables(), max_to_keep=CHECKPOINTS_KEPT)
        scaffold = tf.train.Scaffold(
            saver=saver, init_fn=lambda _, session: names and checkpoint.restore(session, resumed or warm, names))

        # The loop
        os.makedirs(run_options.train_dir, exist_ok=True)
        keep_older(saver, run_options.train_dir)
        data_options = dataclasses.replace(data_options, **{
            name: os.path.abspath(getattr(data_options, name)) for name in ('dataset_dir', 'dataset_module')
            if getattr(data_options, name)})
        options.save_run(
            run_options.train_dir, [data_options, net_options, start, run_options, schedule, optimizer, cache, engines],
            classes=class_names, seed=seed, image_size=inputs.size, channels=inputs.channels)
        model.write_labels(run_options.train_dir, class_names)
        diverged = functools.partial(not_finite, schedule.learning_rate, run_options.train_dir)
        hooks = [
            tf.train.CheckpointSaverHook(run_options.train_dir, save_secs=run_options.save_interval_secs, saver=saver,
                                         listeners=[Finite(slim.get_model_variables(), diverged)]),
            tf.train.SummarySaverHook(save_secs=run_options.save_summaries_secs, output_dir=run_options.train_dir,
                                      summary_op=tf.summary.merge_all()),
            tf.train.StepCounterHook(every_n_steps=max(run_options.log_every_n_steps, 1), output_dir=run_options.train_dir)]
        creator = tf.train.ChiefSessionCreator(scaffold, config=session_config(machines.clone_on_cpu))
        with data.explained(run_options.batch_size), stopping() as stop, \
                tf.train.MonitoredSession(creator, hooks) as session:
            step = loop(session, train_op, total_loss, global_step, step, total, stop, diverged, run_options, fed)
    prefix = checkpoint.find(run_options.train_dir)
    say('Saved step %d: %s' % (step, prefix))
    if stop.wanted:
        say('Stopped. The same command goes on from here.')
        raise KeyboardInterrupt
    next_step('slimtune eval %s' % run_options.train_dir)
    return prefix


# The parts

def defaults(total, schedule, caching, batches):
    """The steps and the schedule of the folder form, where they were left open. batches: in one epoch."""
    epochs, least = CACHED_EPOCHS if caching else EPOCHS
    total = total or max(least, int(epochs * batches))
    if schedule.learning_rate is None:
        schedule = dataclasses.replace(schedule, learning_rate=CACHED_RATE if caching else RATE)
    return total, schedule


def chosen_decay(fed, images, logits, trained, seed, before):
    """The weight decay where it was left open: for a linear head on cached features by cross-validation, else slim's."""
    known = before.get('options', {}).get('weight_decay')
    cut = features.find_cut(images, logits, trained) if fed else []
    found = fed.cache.vectors(cut[0].name) if len(cut) == 1 else None
    if known or found is None:
        return known or WEIGHT_DECAY
    decay, accuracy = optimizers.choose_weight_decay(found, fed.cache.labels, seed) or (WEIGHT_DECAY, None)
    if accuracy:
        say('Weight decay %.2g, which was right for %.1f%% of the training pictures in cross-validation' % (decay, 100 * accuracy))
    return decay


def set_aside(train_dir):
    """Renames a train folder that holds anything, so that training begins anew and nothing is lost."""
    if os.path.isdir(train_dir) and os.listdir(train_dir):
        folder = os.path.normpath(train_dir)
        kept = next('%s.before-%d' % (folder, n) for n in itertools.count(1) if not os.path.exists('%s.before-%d' % (folder, n)))
        os.rename(folder, kept)
        say('Beginning anew; what %s held is now %s' % (folder, kept))


def starting_points(train_dir, checkpoint_path):
    """The checkpoint to resume from and the one to start from, as (Checkpoint or None, Checkpoint or None); one at most."""
    latest = checkpoint.find_latest(train_dir)
    if latest:
        resumed = checkpoint.Checkpoint(latest)
        say('Resuming from %s, step %d%s' % (latest, resumed.step, ', ignoring %s (--restart begins anew)' % checkpoint_path
                                            if checkpoint_path else ''))
        return resumed, None
    return None, checkpoint.Checkpoint(checkpoint_path) if checkpoint_path else None


def restored(net, resumed, warm, class_names, start):
    """What is read from the checkpoint: {variable: its name there}. Says what is not, and why; UserError if it does not fit."""
    if resumed:
        return resumed_variables(net, resumed)
    if not warm:
        return {}
    variables = {v.op.name: v for v in slim.get_model_variables()}
    for scope in options.scopes(start.checkpoint_exclude_scopes):
        matches = [name for name in variables if checkpoint.within(name, [scope])]
        if not matches:
            raise UserError('no variable in --checkpoint-exclude-scopes %s%s' % (
                scope, model.did_you_mean(scope, slim.get_model_variables())))
        say('Not read from %s: %s, %d variables' % (warm.prefix, scope, len(matches)))
    excluded = options.scopes(start.checkpoint_exclude_scopes)
    variables = {name: v for name, v in variables.items() if not checkpoint.within(name, excluded)}
    head = {name for name in variables if checkpoint.within(name, net.head)}
    fitting, missing, differing = checkpoint.compare(warm, {name: v.shape.as_list() for name, v in variables.items()})
    other_classes = options.load_run(warm.prefix).get('classes', class_names) != class_names
    left = sorted(head if other_classes else head.intersection(missing + differing))
    # Half a head is none: with its weights left out, its batch norm would be another head's.
    left = sorted(head) if left else []
    if left:
        say('The head is not read from %s, %s: %s' % (
            warm.prefix, 'its classes are others' if other_classes else 'its shapes differ' if head.intersection(differing)
            else 'it is not there', ', '.join(left)))
    missing, differing = ([name for name in names if name not in left] for names in (missing, differing))
    if differing:
        raise model.explain(warm, net, differing, 'has other shapes of')
    if missing and not (start.ignore_missing_vars and fitting):
        raise model.explain(warm, net, missing, 'lacks')
    if missing:
        warn('%d variables are not in %s and begin at random: %s' % (len(missing), warm.prefix, ', '.join(missing[:5])))
    return with_averages({variables[name]: name for name in fitting if name not in left})


def with_averages(names):
    """`names` ({variable: its name in the checkpoint}), and the moving averages that it lacks begin at their weights."""
    sources = {v.op.name + checkpoint.AVERAGE: name for v, name in names.items()}
    averages = {v: sources[v.op.name] for v in tf.global_variables() if v.op.name in sources}
    averages.update(names)
    return averages


def resumed_variables(net, resumed):
    """Everything that the train folder's checkpoint holds; what it lacks (another optimizer's slots) begins afresh."""
    variables = {v.op.name: v for v in tf.global_variables()}
    needed = {v.op.name for v in slim.get_model_variables()}
    fitting, missing, differing = checkpoint.compare(resumed, {name: v.shape.as_list() for name, v in variables.items()})
    for names, why in ((differing, 'has other shapes of'), (needed.intersection(missing), 'lacks')):
        if needed.intersection(names):
            raise model.explain(resumed, net, sorted(needed.intersection(names)), why)
    if missing:
        say('New since that checkpoint, begun afresh: %s%s' % (', '.join(missing[:3]), ', …' if len(missing) > 3 else ''))
    return with_averages({variables[name]: name for name in fitting})


def training_step(optimizer, total_loss, trained, global_step, moving_average_decay):
    """The op of one step: gradients, batch norm's updates, then the moving averages."""
    gradients = optimizer.compute_gradients(total_loss, trained)
    step = tf.group(optimizer.apply_gradients(gradients, global_step), *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    if not moving_average_decay:
        return step
    averages = tf.train.ExponentialMovingAverage(moving_average_decay, global_step)
    with tf.control_dependencies([step]):
        return averages.apply(slim.get_model_variables())


def held_out(dataset):
    """The split to measure on while training costs nothing: validation or test, or None."""
    for split in ('validation', 'test'):
        with contextlib.suppress(UserError):
            return dataset_factory.get_dataset(dataset.name, split, dataset.dataset_dir)
    return None


def evaluating(net, class_names):
    """The net in evaluation on the variables of the training graph: a function images -> logits."""
    def evaluate(images):
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            return nets_factory.get_network_fn(net.name, len(class_names))(images)[0]
    return evaluate


def initializer(saved, names):
    """Gives the net's variables what they begin with: a function of a session. names: see `restored`."""
    initialize = tf.variables_initializer(slim.get_model_variables())

    def run(session):
        session.run(initialize)
        if names:
            checkpoint.restore(session, saved, {v: name for v, name in names.items() if v in slim.get_model_variables()})
    return run


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
                bar.advance(1, 'loss %.4f, %.0f pictures/s' % (loss, run_options.batch_size / seconds))
            elif step % max(run_options.log_every_n_steps, 1) == 0:
                say('global step %d: loss = %.4f (%.3f sec/step)' % (step, loss, seconds))
            if fed and fed.accuracy and (time.time() > next_measured or step == total or stop.wanted):
                right = session.run_step_fn(lambda step_context: fed.accuracy(step_context.session))
                say('step %d: %.1f%% of the held-out pictures right' % (step, 100 * right))
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


def keep_older(saver, train_dir):
    """Lets the saver know the checkpoints of earlier runs, so that the last five of all remain. Their folder may be a copy
    of another: those of the other stay."""
    saver.recover_last_checkpoints(checkpoint.listed(train_dir))


@dataclasses.dataclass
class Stop:
    """Whether somebody asked for the end."""
    wanted: bool = False


@contextlib.contextmanager
def stopping():
    """Ctrl-C, SIGTERM and a closed terminal set `wanted` on what this gives: the step is finished and saved. A second
    Ctrl-C stops at once."""
    stop = Stop()

    def ask(number, frame):
        if number == getattr(signal, 'SIGHUP', None):       # nobody is there to read, and writing would fail
            sys.stdout = sys.stderr = open(os.devnull, 'w')
            os.dup2(sys.stdout.fileno(), 1)
            os.dup2(sys.stdout.fileno(), 2)
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True
        os.write(2, b'Stopping after this step; saving.\n')     # a print may be under way, which another would break

    numbers = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]
    before = [(number, signal.signal(number, ask)) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)
