"""Where training starts from: the train folder itself, a checkpoint, published weights, or nothing."""
from slimtune import options
from slimtune.checkpoints import checkpoint, matching, published
from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint, compare, restore, within
from slimtune.errors import UserError
from slimtune.nets.nets_factory import get_net
from slimtune.runtime import slim, tf
from slimtune.terminal import say, warn
from slimtune.training.trainable import did_you_mean


def published_checkpoint(net_name, start, cache_dir):
    """The downloaded weights of a net, for the folder form without a checkpoint; None where nobody published any, or the
    user says what to train without. UserError names the command that gets them."""
    found = published.find_weights(net_name, cache_dir)
    if found or start.trainable_scopes or not get_net(net_name).weights:
        return found
    raise UserError('%s begins with published weights: %s. Or --checkpoint-path, or --trainable-scopes all to begin at random'
                    % (net_name, published.how_to_get(net_name, cache_dir)))


def starting_points(train_dir, checkpoint_path):
    """The checkpoint to resume from and the one to start from, as (Checkpoint or None, Checkpoint or None); one at most."""
    latest = checkpoint.find_latest(train_dir)
    if latest:
        resumed = Checkpoint(latest)
        say('Resuming from %s, step %d%s' % (latest, resumed.step, ', ignoring %s (--restart begins anew)' % checkpoint_path
                                            if checkpoint_path else ''))
        return resumed, None
    return None, Checkpoint(checkpoint_path) if checkpoint_path else None


def restored(net, resumed, warm, class_names, start):
    """What is read from the checkpoint: {variable: its name there}. Says what is not, and why; UserError if it does not fit."""
    if resumed:
        return resumed_variables(net, resumed, len(class_names))
    if not warm:
        return {}
    variables = {v.op.name: v for v in slim.get_model_variables()}
    for scope in options.scopes(start.checkpoint_exclude_scopes):
        matches = [name for name in variables if within(name, [scope])]
        if not matches:
            raise UserError('no variable in --checkpoint-exclude-scopes %s%s' % (
                scope, did_you_mean(scope, slim.get_model_variables())))
        say('Not read from %s: %s, %d variables' % (warm.prefix, scope, len(matches)))
    excluded = options.scopes(start.checkpoint_exclude_scopes)
    variables = {name: v for name, v in variables.items() if not within(name, excluded)}
    head = {name for name in variables if within(name, net.head)}
    fitting, missing, differing = compare(warm, {name: v.shape.as_list() for name, v in variables.items()})
    other_classes = options.load_run(warm.prefix).classes not in (None, class_names)
    left = sorted(head if other_classes else head.intersection(missing + differing))
    # Half a head is none: with its weights left out, its batch norm would be another head's.
    left = sorted(head) if left else []
    if left:
        say('The head is not read from %s, %s: %s' % (
            warm.prefix, 'its classes are others' if other_classes else 'its shapes differ' if head.intersection(differing)
            else 'it is not there', ', '.join(left)))
    missing, differing = ([name for name in names if name not in left] for names in (missing, differing))
    if differing:
        raise matching.explain_mismatch(warm, net, differing=differing)
    if missing and not (start.ignore_missing_vars and fitting):
        raise matching.explain_mismatch(
            warm, net, missing=missing, remedy='--ignore-missing-vars gives them random values')
    if missing:
        warn('%d variables are not in %s and begin at random: %s' % (len(missing), warm.prefix, ', '.join(missing[:5])))
    return with_averages({variables[name]: name for name in fitting if name not in left})


def with_averages(names):
    """`names` ({variable: its name in the checkpoint}), and the moving averages that it lacks begin at their weights."""
    sources = {v.op.name + AVERAGE: name for v, name in names.items()}
    averages = {v: sources[v.op.name] for v in tf.global_variables() if v.op.name in sources}
    averages.update(names)
    return averages


def resumed_variables(net, resumed, num_classes):
    """Everything that the train folder's checkpoint holds; what it lacks (another optimizer's slots) begins afresh."""
    classes = matching.count_classes(resumed, net)
    if classes not in (None, num_classes):
        raise UserError('%s has %d classes, but the data has %d: choose another --train-dir, or --restart'
                        % (resumed.prefix, classes, num_classes))
    variables = {v.op.name: v for v in tf.global_variables()}
    needed = {v.op.name for v in slim.get_model_variables()}
    fitting, missing, differing = compare(resumed, {name: v.shape.as_list() for name, v in variables.items()})
    for problem, names in (('differing', differing), ('missing', missing)):
        if needed.intersection(names):
            raise matching.explain_mismatch(resumed, net, **{problem: sorted(needed.intersection(names))})
    if missing:
        say('New since that checkpoint, begun afresh: %s%s' % (', '.join(missing[:3]), ', …' if len(missing) > 3 else ''))
    return with_averages({variables[name]: name for name in fitting})


def initializer(saved, names):
    """Gives the net's variables what they begin with: a function of a session. names: see `restored`."""
    initialize = tf.variables_initializer(slim.get_model_variables())

    def run(session):
        session.run(initialize)
        if names:
            restore(session, saved, {v: name for v, name in names.items() if v in slim.get_model_variables()})
    return run
