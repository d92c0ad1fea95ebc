"""The page that trains: data, where it starts from, net, loss, optimizer, what feeds the steps, the loop."""
import contextlib
import functools
import os

from slimtune.checkpoints import checkpoint
from slimtune.checkpoints.checkpoint import Checkpoint, restore
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.features.cut import IMAGES, depends_on
from slimtune.features.feed import TrainingData, TrainingGraph, prepare
from slimtune.features.linear_probe import TooFewImages, choose_weight_decay
from slimtune.images import input_pipeline
from slimtune.images.model_input import inputs_of
from slimtune.nets import nets_factory
from slimtune.options import save_run
from slimtune.runtime import device, quick_gradients, session_config, slim, tf, trains_in_bfloat16
from slimtune.terminal import say, stopping, warn
from slimtune.training import batch_norm, initial_weights, losses, run_folder, schedule
from slimtune.training.loop import Step, loop, monitored_session
from slimtune.training.saver import Saver, noting, reading
from slimtune.training.trainable import frozen_by, moving_statistics, trainable_scopes, variables_to_train
from slimtune.training.training_options import report_uncached, with_schedule, with_scopes

WEIGHT_DECAY = 0.00004


def train(options):
    """Fine-tunes a net until its steps are done and returns the prefix of the last checkpoint.

    options: a TrainingOptions. Raises UserError for what the user can mend, before the train folder is
    changed where that is possible; KeyboardInterrupt where it was told to stop, once it has saved.
    """
    # Data
    data, run, train_dir = options.data, options.run, options.run.train_dir
    dataset = dataset_factory.get_dataset(data.dataset_name, data.dataset_split_name, data.dataset_dir)
    check_records = functools.partial(dataset_factory.check_unchanged, dataset)
    input_pipeline.check_labels(dataset, data.labels_offset)
    class_names = dataset.class_names[data.labels_offset:]
    net = nets_factory.get_net(options.net.model_name)
    inputs = inputs_of(net, options.net, run.train_image_size, dataset.channels, data.labels_offset)

    # Where it starts from, what is trained, and for how long
    run_folder.check(train_dir, class_names, dataset, options.start.restart)
    origin = initial_weights.find_origin(options, class_names)
    options = with_scopes(options, origin)
    scopes = trainable_scopes(net, options.start.trainable_scopes)
    frozen = frozen_by(scopes) if options.start.batch_norm == 'frozen' else None
    caching = bool(frozen) and options.cache.feature_cache == 'on'
    typed, options = options, with_schedule(options, origin, caching, dataset.num_samples)
    run, total = options.run, options.run.max_number_of_steps
    if total is not None and origin.step >= total:
        say(f'{train_dir} is trained: step {origin.step} of {total}. To train more: '
            f'--max-number-of-steps {origin.step + total}. To start over: --restart')
        return origin.checkpoint.prefix

    # Net and loss
    with tf.Graph().as_default(), contextlib.ExitStack() as stack:
        tf.set_random_seed(run.seed)
        global_step = tf.train.create_global_step()
        with tf.device('/cpu:0'):
            images, image_labels = input_pipeline.training_batches(
                dataset, inputs, run.batch_size, run.seed, origin.step, run.num_preprocessing_threads,
                run.num_readers)
            images = tf.placeholder_with_default(images, [None] + images.shape.as_list()[1:], IMAGES)
        weight_decay = options.optimizer.weight_decay
        if weight_decay is None:        # a variable, whose value is chosen once the features are known
            weight_decay = tf.get_variable('weight_decay', [], trainable=False, collections=[])
        network_fn = nets_factory.get_network_fn(net.name, len(class_names), weight_decay, True, frozen,
                                                 run.seed)
        with quick_gradients():
            logits, end_points = network_fn(images)
        cross_entropies = losses.losses(logits, end_points, image_labels, len(class_names),
                                        options.optimizer.label_smoothing)
        trained = variables_to_train(scopes)
        # Training cannot change the decay of frozen weights and the cross entropy of a frozen head.
        every_loss = cross_entropies + tf.losses.get_regularization_losses()
        total_loss = tf.add_n([loss for loss in every_loss if not frozen or depends_on(loss, trained)])
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), image_labels), tf.float32))

        # Optimizer
        rate = schedule.learning_rate(options.schedule, run.batch_size, dataset.num_samples, global_step,
                                      total)
        optimizer = schedule.optimizer(options.optimizer, rate)
        average_decay = options.optimizer.moving_average_decay
        train_op = training_step(optimizer, total_loss, trained, global_step, average_decay)
        summarize(run.histograms, learning_rate=rate, total_loss=total_loss, accuracy=accuracy,
                  cross_entropy=cross_entropies[-1])

        # Restoring
        print_summary(options, dataset, class_names, trained, scopes)
        names = initial_weights.names_in_checkpoint(origin, net, class_names, options.start)

        # What feeds the steps: the pipeline, or the features of what is frozen, computed once
        fed = prepare(
            TrainingGraph(images, image_labels, logits, total_loss, trained,
                          initial_weights.initializer(origin.checkpoint, names),
                          evaluating(net, class_names)),
            TrainingData(dataset, held_out(dataset), inputs, run.batch_size, run.seed),
            options.cache, options.engine) if caching else None
        if caching and not fed:
            report_uncached(typed, options, origin, dataset.num_samples)
        if options.optimizer.weight_decay is None:
            options = options.changed('optimizer', weight_decay=choose_decay(fed, run.seed))
        bfloat16 = not fed and in_bfloat16(options.engine.precision, net, options.folder_form)
        check_records()
        if fed:
            check_records = noting(check_records, data.dataset_dir)

        # The train folder: from here on it is written
        saved = origin.checkpoint
        if options.start.restart:
            moved = run_folder.set_aside(train_dir, saved and saved.prefix)
            if saved and moved != saved.prefix:
                saved, options = Checkpoint(moved), options.changed('start', checkpoint_path=moved)
            if not os.path.exists(train_dir):      # the lock moved with it
                stack.enter_context(run_folder.locked(train_dir))
        os.makedirs(train_dir, exist_ok=True)
        stack.enter_context(input_pipeline.explain_errors(run.batch_size))
        stack.enter_context(reading(check_records))
        stack.enter_context(run_folder.writing(train_dir))
        run_folder.sweep(train_dir)
        save_run(train_dir, options.for_run_file(), classes=class_names, seed=run.seed,
                 image_size=inputs.size, channels=inputs.channels)
        labels.write_folder(train_dir, class_names)

        # The loop
        def initialize(_, session):
            if names:
                restore(session, saved, names)
            if isinstance(weight_decay, tf.Variable):
                batch_norm.assign(session, {weight_decay: options.optimizer.weight_decay})

        statistics = moving_statistics(frozen)
        saver = Saver(options, trained + statistics, check_records)
        saver.recover(train_dir)
        config = session_config(options.machines.clone_on_cpu, bfloat16, fed=bool(fed))
        with tf.control_dependencies([train_op]):
            step = Step(train_op, total_loss, global_step.read_value(), options, fed)
        remeasure = measuring(statistics, step, saver, dataset.num_samples) if options.folder_form else None
        with stopping() as stop, monitored_session(run, saver, initialize, config) as session:
            done = loop(session, step, origin.step, stop)
            if remeasure and done == total:
                session.run_step_fn(remeasure)
    return finish(train_dir, done, stopped=stop.wanted and done != total)


def finish(train_dir, step, stopped):
    """Prints what was saved and returns its prefix. stopped: before the last step, so KeyboardInterrupt is
    raised.
    """
    prefix = checkpoint.find(train_dir)
    say(f'Saved step {step}: {prefix}')
    if stopped:
        say('Stopped. The same command goes on from here.')
        raise KeyboardInterrupt
    return prefix


def print_summary(options, dataset, class_names, trained, scopes):
    """Prints what is trained on what. trained: variables. scopes: of trainable_scopes."""
    only = f' ({", ".join(scopes)})' if scopes else ''
    say(f'{options.net.model_name} on {device(options.machines.clone_on_cpu)}: {dataset.num_samples} images, '
        f'{len(class_names)} classes, {len(trained)} of {len(tf.trainable_variables())} variables '
        f'trained{only}')


def summarize(histograms, **scalars):
    """Adds the summaries for TensorBoard. histograms: of all model variables too."""
    for tag, value in scalars.items():
        tf.summary.scalar(tag, value)
    for variable in slim.get_model_variables() if histograms else ():
        tf.summary.histogram(variable.op.name, variable)


def choose_decay(fed, seed):
    """The weight decay where it was left open: by cross-validation for a linear head on cached features, else
    slim's. fed: CachedSteps, or None.
    """
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
    step = tf.group(optimizer.apply_gradients(gradients, global_step),
                    *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    if not moving_average_decay:
        return step
    averages = tf.train.ExponentialMovingAverage(moving_average_decay, global_step)
    with tf.control_dependencies([step]):
        return averages.apply(slim.get_model_variables())


def in_bfloat16(precision, net, folder_form):
    """Whether the whole net is trained in bfloat16: where typed; in the folder form where it is faster."""
    if precision == 'bfloat16' and not trains_in_bfloat16():
        raise UserError('training in bfloat16 needs TensorFlow 2 and a CPU with AVX512-BF16 or AMX: '
                        '--precision float32')
    # Depthwise convolutions have too few products per channel: bfloat16 is slower there.
    depthwise = net.builder.split(':')[0] in ('mobilenet', 'nasnet')
    faster = folder_form and not depthwise and trains_in_bfloat16()
    chosen = precision == 'bfloat16' or precision == 'auto' and faster
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


def measuring(statistics, step, saver, num_images):
    """What measures batch norm's statistics again after the last step: a function for run_step_fn.

    statistics: the variables; without any, None is returned. step: the loop's Step. Warns about layers whose
    statistics cannot be measured.
    """
    if not statistics:
        return None
    layers, missing = batch_norm.find_layers(statistics, tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    averages = batch_norm.averages_of(slim.get_model_variables())
    batch_size = step.options.run.batch_size
    count = batch_norm.num_batches(batch_size, num_images)
    if missing:
        warn(f'the statistics of {len(missing)} batch norm layers are not measured again, because this '
             f'TensorFlow updates them in an unknown way: {", ".join(missing[:3])}')

    def feeds():
        return (step.fed.feed(n) if step.fed else {} for n in range(count))

    def measure_and_save(step_context):
        session, total = step_context.session, step.options.run.max_number_of_steps
        batch_norm.measure_again(session, layers, feeds, batch_size, averages)
        # Else they are saved when the session ends
        if any(checkpoint.step_of(prefix) == total for prefix in saver.last_checkpoints):
            saver.save(session, os.path.join(step.options.run.train_dir, 'model.ckpt'), total)
        say(f'Statistics of {len(layers)} batch norm layers measured again on {count} batches of training '
            'images')
    return measure_and_save
