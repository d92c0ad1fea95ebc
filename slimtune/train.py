"""`slimtune train`: fine-tunes a net, as slim's train_image_classifier.py does."""
import contextlib
import dataclasses
import functools
import math
import os
import random
import time

from slimtune import batch_statistics, checkpoint, convert, data, features, model, options, starting
from slimtune import optimizer as optimizers
from slimtune.datasets import dataset_factory, manifest
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import device, quick_gradients, session_config, slim, tf, trains_in_bfloat16
from slimtune.terminal import next_step, progress, say, stopping, watched

CHECKPOINTS_KEPT = 5
# The folder form's defaults: (epochs, at least so many steps) and rate, for a head on cached features and for all else
CACHED_EPOCHS, CACHED_RATE = (60, 2000), 0.006
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
    elif request.folder_form:
        data_options = dataclasses.replace(data_options, dataset_name=found_or_converted(folder, data_options.dataset_name))
    if not run_options.train_dir:
        beside = '%s_%s' % (os.path.abspath(folder), request[options.Net].model_name)
        run_options = dataclasses.replace(run_options, train_dir=os.path.relpath(beside))
    start = request[options.Start]
    if request.folder_form and not start.checkpoint_path and not checkpoint.find_latest(run_options.train_dir):
        start = dataclasses.replace(start, checkpoint_path=starting.published(request[options.Net].model_name, start,
                                                                     request[options.Cache].cache_dir))
    train(data_options, request[options.Net], start, run_options, request[options.Schedule],
          request[options.Optimizer], request[options.Cache], request[options.Engine], request[options.Machines],
          request.folder_form)


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
        starting.set_aside(run_options.train_dir)
    resumed, warm = starting.starting_points(run_options.train_dir, start.checkpoint_path)
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
        with quick_gradients():
            logits, end_points = network_fn(images)
        cross_entropies = optimizers.losses(logits, end_points, picture_labels, len(class_names), optimizer.label_smoothing)
        trained = model.variables_to_train(scopes)
        # Of slim's loss, the decay of frozen weights and the entropy of a frozen head are shares that training cannot change.
        total_loss = tf.add_n([loss for loss in cross_entropies + tf.losses.get_regularization_losses()
                               if not frozen or features.hangs_on(loss, trained)])
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
        names = starting.restored(net, resumed, warm, class_names, start)

        # What feeds the steps: the pipeline, or the features of what is frozen, computed once
        fed = features.prepare(
            images, picture_labels, total_loss, evaluating(net, class_names), trained,
            starting.initializer(resumed or warm, names), dataset, held_out(dataset), inputs, run_options.batch_size, seed, cache,
            engines) if caching else None
        if optimizer.weight_decay is None:
            optimizer = dataclasses.replace(optimizer, weight_decay=chosen_decay(fed, images, logits, trained, seed, before))
            if fed:
                fed.feed.always[decay] = optimizer.weight_decay
        saver = tf.train.Saver(tf.global_variables(), max_to_keep=CHECKPOINTS_KEPT)
        ready = tf.constant([], tf.string)      # asking each variable whether it has its value takes longer than giving it
        scaffold = tf.train.Scaffold(
            saver=saver, ready_op=ready, ready_for_local_init_op=ready,
            init_fn=lambda _, session: names and checkpoint.restore(session, resumed or warm, names))

        # The loop
        os.makedirs(run_options.train_dir, exist_ok=True)
        starting.keep_older(saver, run_options.train_dir)
        data_options = dataclasses.replace(data_options, **{
            name: os.path.abspath(getattr(data_options, name)) for name in ('dataset_dir', 'dataset_module')
            if getattr(data_options, name)})
        options.save_run(
            run_options.train_dir, [data_options, net_options, start, run_options, schedule, optimizer, cache, engines],
            classes=class_names, seed=seed, image_size=inputs.size, channels=inputs.channels)
        model.write_labels(run_options.train_dir, class_names)
        diverged = functools.partial(not_finite, schedule.learning_rate, run_options.train_dir)
        changing = [v for v in slim.get_model_variables() if not (frozen and frozen(v.op.name))]
        hooks = saving(run_options, saver, diverged, changing)
        bfloat16 = not fed and in_bfloat16(engines.precision, net, folder_form)
        creator = tf.train.ChiefSessionCreator(scaffold, config=session_config(machines.clone_on_cpu, bfloat16, fed=bool(fed)))
        with data.explained(run_options.batch_size), stopping() as stop, event_files(), \
                tf.train.MonitoredSession(creator, hooks) as session:
            step = loop(session, train_op, total_loss, global_step, step, total, stop, diverged, run_options, fed)
            statistics = batch_statistics.moving(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) if folder_form else {}
            if statistics and step == total:
                session.run_step_fn(functools.partial(measured_again, statistics, run_options, dataset.num_samples, saver, step))
    prefix = checkpoint.find(run_options.train_dir)
    say('Saved step %d: %s' % (step, prefix))
    if stop.wanted:
        say('Stopped. The same command goes on from here.')
        raise KeyboardInterrupt
    next_step('slimtune eval %s' % run_options.train_dir)
    return prefix


# The parts

def found_or_converted(folder, asked):
    """The name of the data set in `folder`, whose pictures are converted first where that was not done yet. asked: or None."""
    there = dataset_factory.names_in(folder)
    if asked and there:
        return asked
    if len(there) == 1 and not os.path.exists(os.path.join(folder, manifest.NAME)):     # shards without their manifest
        return there[0]
    return convert.prepare(folder, asked).name


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
        say('Weight decay %.2g, with which %.1f%% were right in cross-validation on the training pictures'
            % (decay, 100 * accuracy))
    return decay


def training_step(optimizer, total_loss, trained, global_step, moving_average_decay):
    """The op of one step: gradients, batch norm's updates, then the moving averages."""
    gradients = optimizer.compute_gradients(total_loss, trained)
    step = tf.group(optimizer.apply_gradients(gradients, global_step), *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    if not moving_average_decay:
        return step
    averages = tf.train.ExponentialMovingAverage(moving_average_decay, global_step)
    with tf.control_dependencies([step]):
        return averages.apply(slim.get_model_variables())


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


def in_bfloat16(precision, net, folder_form):
    """Whether the whole net is trained in bfloat16: where asked for, and in the folder form where it is faster."""
    if precision == 'bfloat16' and not trains_in_bfloat16():
        raise UserError('training in bfloat16 needs TensorFlow 2 and a CPU with AVX512-BF16 or AMX: --precision float32')
    depthwise = net.builder.split(':')[0] in ('mobilenet', 'nasnet')       # too small a product a channel: slower
    chosen = precision == 'bfloat16' or precision == 'auto' and folder_form and not depthwise and trains_in_bfloat16()
    if chosen:
        say('Computing in bfloat16; weights and checkpoints stay float32 (--precision float32 for all of it)')
    return chosen


def measured_again(statistics, run_options, pictures, saver, step, step_context):
    """Batch norm's statistics by the final weights, saved with them."""
    session = step_context.session
    batches = batch_statistics.measure(session, statistics, run_options.batch_size, pictures)
    saver.save(session, os.path.join(run_options.train_dir, 'model.ckpt'), step)
    say('Statistics of %d layers measured again on %d batches of training pictures' % (len(statistics) // 2, batches))


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


