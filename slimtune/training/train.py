"""The page that trains: data, where it starts from, net and loss, optimizer, restoring, the loop."""
import dataclasses
import functools
import os
import random

from slimtune import options
from slimtune.checkpoints import checkpoint
from slimtune.checkpoints.checkpoint import restore
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.features.cut import IMAGES, hangs_on
from slimtune.features.feed import TrainingData, TrainingGraph, prepare
from slimtune.features.linear_probe import TooFewImages, choose_weight_decay
from slimtune.images import input_pipeline
from slimtune.images.model_input import inputs_of
from slimtune.nets import nets_factory
from slimtune.runtime import device, quick_gradients, session_config, slim, tf, trains_in_bfloat16
from slimtune.terminal import next_step, say, stopping
from slimtune.training import initial_weights, losses, run_folder
from slimtune.training import schedule as schedules
from slimtune.training.batch_norm import moving
from slimtune.training.loop import CHECKPOINTS_KEPT, event_files, loop, measured_again, not_finite, saving
from slimtune.training.trainable import frozen_by, trainable_scopes, variables_to_train

# The folder form's defaults: (epochs, at least so many steps) and rate, for a head on cached features and for all else
CACHED_EPOCHS, CACHED_RATE = (60, 2000), 0.006
EPOCHS, RATE = (30, 400), 0.001
WEIGHT_DECAY = 0.00004


def train(data_options, net_options, start, run_options, schedule, optimizer, cache, engine_options, machines, folder_form=False):
    """Trains until the steps are done or it is told to stop, and returns the last checkpoint's prefix.

    The arguments are the dataclasses of options. folder_form: the head alone is trained where nothing else is said and
    there is a checkpoint, and steps come from the data.
    """
    # Data
    dataset = dataset_factory.get_dataset(data_options.dataset_name, data_options.dataset_split_name,
                                          data_options.dataset_dir)
    input_pipeline.check_labels(dataset, data_options.labels_offset)
    class_names = dataset.class_names[data_options.labels_offset:]
    net = nets_factory.get_net(net_options.model_name)
    inputs = inputs_of(net, net_options, run_options.train_image_size, dataset.channels,
                       data_options.labels_offset)

    # Where it starts from: the train folder, else a checkpoint, else random weights
    if start.restart:
        run_folder.set_aside(run_options.train_dir)
    resumed, warm = initial_weights.starting_points(run_options.train_dir, start.checkpoint_path)
    before = options.load_run(run_options.train_dir) if resumed else options.RunFile({})
    if before.classes not in (None, class_names):
        raise UserError('%s was trained on other classes (%s): choose another --train-dir, or --restart'
                        % (run_options.train_dir, ', '.join(before.classes[:12])))
    seed = run_options.seed if before.seed is None else before.seed
    seed = random.randrange(1 << 31) if seed is None else seed
    step = resumed.step if resumed else 0
    if folder_form and not start.trainable_scopes:
        begun_with = before.options.get('trainable_scopes')
        start = dataclasses.replace(start, trainable_scopes=begun_with or ('head' if start.checkpoint_path else 'all'))
    scopes = trainable_scopes(net, start.trainable_scopes)
    frozen = frozen_by(scopes) if start.batch_norm == 'frozen' else None
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
            images, image_labels = input_pipeline.training_batches(
                dataset, inputs, run_options.batch_size, seed, step, run_options.num_preprocessing_threads,
                run_options.num_readers)
            images = tf.placeholder_with_default(images, [None] + images.shape.as_list()[1:], IMAGES)
        decay = optimizer.weight_decay
        if decay is None:
            decay = tf.placeholder_with_default(before.options.get('weight_decay', WEIGHT_DECAY), [])
        network_fn = nets_factory.get_network_fn(net.name, len(class_names), decay, True, frozen, seed)
        with quick_gradients():
            logits, end_points = network_fn(images)
        cross_entropies = losses.losses(logits, end_points, image_labels, len(class_names), optimizer.label_smoothing)
        trained = variables_to_train(scopes)
        # Of slim's loss, the decay of frozen weights and the entropy of a frozen head are shares that training cannot change.
        total_loss = tf.add_n([loss for loss in cross_entropies + tf.losses.get_regularization_losses()
                               if not frozen or hangs_on(loss, trained)])
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), image_labels), tf.float32))

        # Optimizer
        rate = schedules.learning_rate(schedule, run_options.batch_size, dataset.num_samples, global_step, total)
        train_op = training_step(schedules.optimizer(optimizer, rate), total_loss, trained, global_step,
                                 optimizer.moving_average_decay)
        for tag, value in (('learning_rate', rate), ('total_loss', total_loss), ('accuracy', accuracy),
                           ('cross_entropy', cross_entropies[-1])):
            tf.summary.scalar(tag, value)
        for variable in slim.get_model_variables() if run_options.histograms else ():
            tf.summary.histogram(variable.op.name, variable)

        # Restoring
        say('%s on %s: %d images, %d classes, %d of %d variables trained%s' % (
            net.name, device(machines.clone_on_cpu), dataset.num_samples, len(class_names), len(trained),
            len(tf.trainable_variables()), ' (%s)' % ', '.join(scopes) if scopes else ''))
        names = initial_weights.restored(net, resumed, warm, class_names, start)

        # What feeds the steps: the pipeline, or the features of what is frozen, computed once
        fed = prepare(
            TrainingGraph(images, image_labels, logits, total_loss, trained,
                          initial_weights.initializer(resumed or warm, names), evaluating(net, class_names)),
            TrainingData(dataset, held_out(dataset), inputs, run_options.batch_size, seed),
            cache, engine_options) if caching else None
        if optimizer.weight_decay is None:
            optimizer = dataclasses.replace(optimizer, weight_decay=chosen_decay(fed, seed, before))
            if fed:
                fed.feed.always[decay] = optimizer.weight_decay
        saver = tf.train.Saver(tf.global_variables(), max_to_keep=CHECKPOINTS_KEPT)
        ready = tf.constant([], tf.string)      # asking each variable whether it has its value takes longer than giving it
        scaffold = tf.train.Scaffold(
            saver=saver, ready_op=ready, ready_for_local_init_op=ready,
            init_fn=lambda _, session: names and restore(session, resumed or warm, names))

        # The loop
        os.makedirs(run_options.train_dir, exist_ok=True)
        run_folder.keep_older(saver, run_options.train_dir)
        data_options = dataclasses.replace(data_options, **{
            name: os.path.abspath(getattr(data_options, name)) for name in ('dataset_dir', 'dataset_module')
            if getattr(data_options, name)})
        options.save_run(
            run_options.train_dir, [data_options, net_options, start, run_options, schedule, optimizer, cache, engine_options],
            classes=class_names, seed=seed, image_size=inputs.size, channels=inputs.channels)
        labels.write_folder(run_options.train_dir, class_names)
        diverged = functools.partial(not_finite, schedule.learning_rate, run_options.train_dir)
        changing = [v for v in slim.get_model_variables() if not (frozen and frozen(v.op.name))]
        hooks = saving(run_options, saver, diverged, changing)
        bfloat16 = not fed and in_bfloat16(engine_options.precision, net, folder_form)
        creator = tf.train.ChiefSessionCreator(scaffold, config=session_config(machines.clone_on_cpu, bfloat16, fed=bool(fed)))
        with input_pipeline.explain_errors(run_options.batch_size), stopping() as stop, event_files(), \
                tf.train.MonitoredSession(creator, hooks) as session:
            step = loop(session, train_op, total_loss, global_step, step, total, stop, diverged, run_options, fed)
            statistics = moving(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) if folder_form else {}
            if statistics and step == total:
                session.run_step_fn(functools.partial(measured_again, statistics, run_options, dataset.num_samples, saver, step))
    prefix = checkpoint.find(run_options.train_dir)
    say('Saved step %d: %s' % (step, prefix))
    if stop.wanted:
        say('Stopped. The same command goes on from here.')
        raise KeyboardInterrupt
    next_step('eval', run_options.train_dir)
    return prefix


def defaults(total, schedule, caching, batches):
    """The steps and the schedule of the folder form, where they were left open. batches: in one epoch."""
    epochs, least = CACHED_EPOCHS if caching else EPOCHS
    total = total or max(least, int(epochs * batches))
    if schedule.learning_rate is None:
        schedule = dataclasses.replace(schedule, learning_rate=CACHED_RATE if caching else RATE)
    return total, schedule


def chosen_decay(fed, seed, before):
    """The weight decay where it was left open: for a linear head on cached features by cross-validation, else slim's."""
    known = before.options.get('weight_decay')
    if known is not None:
        return known
    if not fed or fed.vectors is None:
        return WEIGHT_DECAY
    try:
        chosen = choose_weight_decay(fed.vectors, fed.cache.labels, seed)
    except TooFewImages as e:
        say(f'Weight decay {WEIGHT_DECAY:g}, not chosen by cross-validation: {e}')
        return WEIGHT_DECAY
    say(f'Weight decay {chosen.weight_decay:.2g} (chosen by {chosen.folds}-fold cross-validation: '
        f'{100 * chosen.accuracy:.1f}% accuracy on the training images)')
    return chosen.weight_decay


def training_step(optimizer, total_loss, trained, global_step, moving_average_decay):
    """The op of one step: gradients, batch norm's updates, then the moving averages."""
    gradients = optimizer.compute_gradients(total_loss, trained)
    step = tf.group(optimizer.apply_gradients(gradients, global_step), *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    if not moving_average_decay:
        return step
    averages = tf.train.ExponentialMovingAverage(moving_average_decay, global_step)
    with tf.control_dependencies([step]):
        return averages.apply(slim.get_model_variables())


def in_bfloat16(precision, net, folder_form):
    """Whether the whole net is trained in bfloat16: where asked for, and in the folder form where it is faster."""
    if precision == 'bfloat16' and not trains_in_bfloat16():
        raise UserError('training in bfloat16 needs TensorFlow 2 and a CPU with AVX512-BF16 or AMX: --precision float32')
    depthwise = net.builder.split(':')[0] in ('mobilenet', 'nasnet')       # too small a product a channel: slower
    chosen = precision == 'bfloat16' or precision == 'auto' and folder_form and not depthwise and trains_in_bfloat16()
    if chosen:
        say('Computing in bfloat16; weights and checkpoints stay float32 (--precision float32 for all of it)')
    return chosen


def held_out(dataset):
    """The data set's held-out split, to measure on while training costs nothing; None where it has none."""
    split = dataset_factory.held_out_split(dataset.name, dataset.dataset_dir, trained_on=dataset.split_name)
    return split and dataset_factory.get_dataset(dataset.name, split, dataset.dataset_dir)


def evaluating(net, class_names):
    """The net in evaluation on the variables of the training graph: a function images -> logits."""
    def evaluate(images):
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            return nets_factory.get_network_fn(net.name, len(class_names))(images)[0]
    return evaluate
