"""Where training starts from: the train folder itself, a checkpoint, published weights, or random weights."""
import dataclasses
import os

from slimtune.checkpoints import checkpoint, matching, published
from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint, compare, restore, within
from slimtune.errors import UserError
from slimtune.nets.nets_factory import get_net
from slimtune.options import RunFile, load_run, scopes
from slimtune.runtime import slim, tf
from slimtune.storage.cache import touch
from slimtune.terminal import say, warn
from slimtune.training.trainable import did_you_mean


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where training starts from. checkpoint: a Checkpoint, None for random weights.

    resumed: it is the train folder's own. run: the RunFile of the resumed training, else an empty one.
    """
    checkpoint: object = None
    resumed: bool = False
    run: RunFile = RunFile({})

    @property
    def step(self):
        """The number of steps done before."""
        return self.checkpoint.step if self.resumed else 0


def published_checkpoint(net_name, start, cache_dir):
    """The prefix of a net's downloaded weights, for the folder form without a checkpoint.

    None where nobody published any, or where --trainable-scopes says what to train without them. Raises
    UserError with the command that downloads them.
    """
    found = published.find_weights(net_name, cache_dir)
    if found:
        touch(os.path.dirname(found))       # `slimtune cache` removes what was not used for longest
    if found or start.trainable_scopes or not get_net(net_name).weights:
        return found
    raise UserError(f'{net_name} starts from published weights, which must be downloaded first: '
                    f'{published.how_to_get(net_name, cache_dir)}. Or add --checkpoint-path CHECKPOINT, or '
                    '--trainable-scopes all to start from random weights')


def find_origin(options, class_names):
    """The Origin of a training: the train folder, --checkpoint-path, or random weights.

    options: TrainingOptions; with --restart the train folder does not count. class_names: of the data, by
    label. Raises UserError where those of the train folder differ.
    """
    train_dir, path, restart = options.run.train_dir, options.start.checkpoint_path, options.start.restart
    latest = None if restart else checkpoint.find_latest(train_dir)
    if not latest:
        return Origin(Checkpoint(path) if path else None)
    origin = Origin(Checkpoint(latest), True, load_run(train_dir))
    if origin.run.classes not in (None, class_names):
        earlier = ', '.join(origin.run.classes[:12])
        raise UserError(f'{train_dir} was trained on other classes ({earlier}): choose another --train-dir, '
                        'or --restart')
    ignored = f', ignoring {path} (--restart starts over)' if path else ''
    say(f'Resuming from {latest}, step {origin.step}{ignored}')
    return origin


def names_in_checkpoint(origin, net, class_names, start):
    """What is read from the origin's checkpoint: {variable of the default graph: its name there}.

    net: its record. start: options.Start. Prints what is not read, and why. Raises UserError where the
    checkpoint does not fit the net.
    """
    if origin.resumed:
        return _names_when_resumed(origin.checkpoint, net, len(class_names))
    if not origin.checkpoint:
        return {}
    saved = origin.checkpoint
    excluded = _excluded(saved, start)
    variables = {v.op.name: v for v in slim.get_model_variables() if not within(v.op.name, excluded)}
    fitting, missing, differing = compare(saved, {name: v.shape.as_list() for name, v in variables.items()})
    head = _head_left_out(saved, net, class_names, variables, missing, differing)
    missing = [name for name in missing if name not in head]
    differing = [name for name in differing if name not in head]
    if differing:
        raise matching.explain_mismatch(saved, net, differing=differing)
    if missing and not (start.ignore_missing_vars and fitting):
        raise matching.explain_mismatch(
            saved, net, missing=missing, remedy='--ignore-missing-vars gives them random values')
    if missing:
        shown = ', '.join(missing[:5])
        warn(f'{len(missing)} variables are not in {saved.prefix} and start at random: {shown}')
    return _with_averages({variables[name]: name for name in fitting if name not in head})


def _excluded(saved, start):
    """The scopes of --checkpoint-exclude-scopes. Prints their sizes; raises UserError for an empty one."""
    variables = slim.get_model_variables()
    excluded = scopes(start.checkpoint_exclude_scopes)
    for scope in excluded:
        count = sum(within(v.op.name, [scope]) for v in variables)
        if not count:
            near = did_you_mean(scope, variables)
            raise UserError(f'no variable in --checkpoint-exclude-scopes {scope}{near}')
        say(f'Not read from {saved.prefix}: {scope}, {count} variables')
    return excluded


def _head_left_out(saved, net, class_names, variables, missing, differing):
    """The names of the head's variables where the head is not read; else []. The reason is printed.

    All of them or none: without its weights, the head's batch norm would be another head's.
    """
    head = sorted(name for name in variables if within(name, net.head))
    if load_run(saved.prefix).classes not in (None, class_names):
        reason = 'its classes differ'
    elif set(head).intersection(differing):
        reason = 'its shapes differ'
    elif set(head).intersection(missing):
        reason = 'it is not in there'
    else:
        return []
    if head:
        say(f'The head is not read from {saved.prefix}, because {reason}: {", ".join(head)}')
    return head


def _with_averages(names):
    """`names` ({variable: its name there}), and the moving averages that it lacks start at their weights."""
    sources = {v.op.name + AVERAGE: name for v, name in names.items()}
    averages = {v: sources[v.op.name] for v in tf.global_variables() if v.op.name in sources}
    averages.update(names)
    return averages


def _names_when_resumed(saved, net, num_classes):
    """All that the train folder's checkpoint holds; what it lacks (such as new slots) is initialized."""
    classes = matching.count_classes(saved, net)
    if classes not in (None, num_classes):
        raise UserError(f'{saved.prefix} has {classes} classes, but the data has {num_classes}: choose '
                        'another --train-dir, or --restart')
    variables = {v.op.name: v for v in tf.global_variables()}
    needed = {v.op.name for v in slim.get_model_variables()}
    fitting, missing, differing = compare(saved, {name: v.shape.as_list() for name, v in variables.items()})
    for problem, names in (('differing', differing), ('missing', missing)):
        if needed.intersection(names):
            raise matching.explain_mismatch(saved, net, **{problem: sorted(needed.intersection(names))})
    if missing:
        more = ', …' if len(missing) > 3 else ''
        say(f'Not in that checkpoint, initialized: {", ".join(missing[:3])}{more}')
    return _with_averages({variables[name]: name for name in fitting})


def initializer(saved, names):
    """A function of a session that gives the net's variables their first values.

    saved: Checkpoint or None. names: of names_in_checkpoint.
    """
    model_variables = slim.get_model_variables()
    initialize = tf.variables_initializer(model_variables)
    of_model = {v.op.name for v in model_variables}

    def run(session):
        session.run(initialize)
        if names:
            restore(session, saved, {v: name for v, name in names.items() if v.op.name in of_model})
    return run
