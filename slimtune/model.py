"""A net with its data's classes and its pictures' preparation: built for training, or restored and frozen for answers."""
import dataclasses
import os
import re

from slimtune import files
from slimtune.checkpoint import AVERAGE, Checkpoint, compare, restore, within
from slimtune.datasets import labels
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.pictures import FAST, Input
from slimtune.runtime import portable, session_config, slim, tf
from slimtune.terminal import say


@dataclasses.dataclass(frozen=True)
class Model:
    """A restored net. net: its record. inputs: how pictures reach it. class_names: by index of the logits.

    checkpoint: where its weights come from. averages: they are the moving averages.
    """
    net: nets_factory.Net
    inputs: Input
    class_names: list
    checkpoint: Checkpoint
    averages: bool = False

    def say_averages(self):
        """Says so where the weights are the moving averages."""
        if self.averages:
            say('With the moving averages of %s' % self.checkpoint.prefix)


def inputs_of(net, options, size, channels=None, threads=4, readers=4, labels_offset=0):
    """The Input of a net. net: its record. options: options.Net. size: asked for, or None. channels: of the data."""
    if net.video:
        raise UserError('%s takes films, and slimtune has no pipeline for them: choose another net' % net.name)
    size = size or net.image_size
    nets_factory.check_image_size(net, size)
    # A net for grey pictures takes what the data has; every other net takes colour, grey pictures being converted.
    channels = 1 if options.use_grayscale else (channels or 1) if net.channels == 1 else 3
    return Input(options.preprocessing_name or net.name, size, channels, options.use_grayscale, labels_offset, threads,
                 readers)


# Which variables are trained

def trainable_scopes(net, text):
    """The scopes that --trainable-scopes means: [] for everything. `head` and `all` are understood.

    UserError for what is no regular expression.
    """
    if text in (None, '', 'all'):
        return []
    scopes = list(net.head) if text == 'head' else text.split(',')
    for scope in scopes:
        try:
            re.compile(scope)
        except re.error as e:
            raise UserError('--trainable-scopes %s is no regular expression: %s' % (scope, e))
    return scopes


def frozen_by(scopes):
    """The predicate that nets_factory asks of a layer's scope: frozen is what no trainable scope matches.

    Scopes are regular expressions matched from the start, as slim's collections match them.
    """
    if not scopes:
        return None
    return lambda name: not any(re.match(scope, name + '/') for scope in scopes)


def variables_to_train(scopes):
    """The trainable variables of the scopes, each once. UserError names a scope that matches none, and the nearest."""
    everything = tf.trainable_variables()
    if not scopes:
        return everything
    chosen = []
    for scope in scopes:
        matches = [v for v in everything if re.match(scope, v.op.name)]
        if not matches:
            raise UserError('no trainable variable in scope %s%s' % (scope, did_you_mean(scope, everything)))
        chosen += matches
    return [v for v in everything if v in set(chosen)]


def did_you_mean(scope, variables):
    """': did you mean A, B or C?' for a scope that matches none of the variables."""
    from slimtune.errors import nearest
    parts = [v.op.name.split('/') for v in variables]
    prefixes = {'/'.join(p[:depth]) for p in parts for depth in range(1, len(p))}
    near = nearest(scope, prefixes)
    return ': did you mean %s?' % ' or '.join(near) if near else ', they begin with %s' % ', '.join(sorted({p[0] for p in parts}))


# From a checkpoint to a graph

def load(path, run, net_options, size, class_names, averages, labels_offset=0, threads=4):
    """The Model that a checkpoint, a train folder or any file of a checkpoint names.

    run: its run.json ({} without). net_options: options.Net. size: of the pictures, or None. class_names: by index of the
    logits; None to take what the folder says, else numbers. averages: True, False or 'there' (where it has them).
    """
    saved = Checkpoint(path)
    net = nets_factory.get_net(net_options.model_name)
    inputs = inputs_of(net, net_options, size or run.get('image_size'), run.get('channels') or channels_of(saved, net),
                       threads, labels_offset=labels_offset)
    if not run:         # slim trained it, and slim's pictures were decoded so
        inputs = dataclasses.replace(inputs, dct_method=FAST)
    trained = run.get('classes')
    if trained and class_names and trained != class_names:
        raise UserError('%s was trained on the classes %s, but these are %s' % (
            saved.prefix, ', '.join(trained[:12]), ', '.join(class_names[:12])))
    if averages and not saved.has_averages and averages != 'there':
        raise UserError('%s holds no moving averages: leave out --moving-average-decay' % saved.prefix)
    averages = bool(averages and saved.has_averages)
    names = class_names or trained
    if not names:
        classes = head_classes(saved, net)
        if classes is None:
            raise explain(saved, net, list(net.head), 'lacks')
        names = ['class %d' % n for n in range(classes)]
    return Model(net, inputs, names, saved, averages)


def channels_of(saved, net):
    """The channels of the pictures a checkpoint was trained on: those of its first kernel [height, width, channels, depth]."""
    first = min((v for v in saved.shapes if v.startswith(net.scope + '/conv1/') and len(saved.shapes[v]) == 4), default=None)
    return saved.shapes[first][2] if first and saved.shapes[first][2] in (1, 3) else None


def head_classes(checkpoint, net):
    """The number of classes a checkpoint's head has, or None where it has no head of this net."""
    for name, shape in sorted(checkpoint.shapes.items()):
        if name.startswith(net.head[0] + '/') and name.endswith(('/biases', '/bias')) and len(shape) == 1:
            return shape[0]
    return None


def fits(checkpoint):
    """The names of the nets whose variables outside the head a checkpoint holds."""
    roots = {name.split('/')[0] for name in checkpoint.shapes}
    names = []
    for net in nets_factory.NETS.values():
        if net.scope and net.scope not in roots or net.video:
            continue
        if not net.scope and not any(within(name, net.head) for name in checkpoint.shapes):
            continue
        shapes = {name: shape for name, shape in shapes_of(net).items() if not within(name, net.head)}
        if len(compare(checkpoint, shapes)[0]) == len(shapes):
            names.append(net.name)
    return names


def shapes_of(net, num_classes=2):
    """{variable: shape} of a net."""
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, net.image_size, net.image_size, net.channels])
        nets_factory.get_network_fn(net.name, num_classes)(images)
        return {v.op.name: v.shape.as_list() for v in slim.get_model_variables()}


def explain(checkpoint, net, names, why):
    """The error for a checkpoint that does not fit. names: the variables in the way. why: 'lacks' or 'has other shapes of'."""
    others = [name for name in fits(checkpoint) if name != net.name]
    if others and net.name not in others:
        return UserError('%s is a %s checkpoint: --model-name %s' % (checkpoint.prefix, others[0], others[0]))
    return UserError('%s %s %d variables of %s: %s%s' % (checkpoint.prefix, why, len(names), net.name, ', '.join(names[:5]),
                                                        ', …' if len(names) > 5 else ''))


def build(model):
    """Adds a model's evaluation graph to the default one: (images, logits, end_points).

    images: the placeholder `input`, float32 [batch, size, size, channels].
    """
    inputs = model.inputs
    images = tf.placeholder(tf.float32, [None, inputs.size, inputs.size, inputs.channels], name='input')
    logits, end_points = nets_factory.get_network_fn(model.net.name, len(model.class_names))(images)
    return images, logits, end_points


def sources(model):
    """{variable of the default graph: its name in the checkpoint}; raises UserError where the checkpoint does not fit."""
    names = {v: v.op.name for v in slim.get_model_variables()}
    if model.averages:
        names = {v: name + AVERAGE if name + AVERAGE in model.checkpoint.shapes else name for v, name in names.items()}
    _, missing, differing = compare(model.checkpoint, {name: v.shape.as_list() for v, name in names.items()})
    if missing:
        raise explain(model.checkpoint, model.net, missing, 'lacks')
    if differing:
        classes = head_classes(model.checkpoint, model.net)
        if classes not in (None, len(model.class_names)):
            raise UserError('%s has %d classes, but the labels name %d: give the labels it was trained with (--label-path)'
                            % (model.checkpoint.prefix, classes, len(model.class_names)))
        raise explain(model.checkpoint, model.net, differing, 'has other shapes of')
    return names


def freeze(model):
    """The model's graph with its weights as constants, readable by both runtimes: a GraphDef.

    It takes `input` and gives `logits`, `probabilities` and the net's own output.
    """
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        _, logits, _ = build(model)
        keep = [tf.identity(logits, 'logits').op.name, tf.nn.softmax(logits, name='probabilities').op.name, model.net.output]
        restore(session, model.checkpoint, sources(model))
        frozen = tf.graph_util.convert_variables_to_constants(session, tf.get_default_graph().as_graph_def(), keep)
    return portable(frozen)


def write_labels(folder, class_names):
    """Writes label.txt and labels.txt into a train folder or an export."""
    files.write_text(os.path.join(folder, 'label.txt'), labels.text_plain(class_names))
    files.write_text(os.path.join(folder, 'labels.txt'), labels.text_numbered(class_names))
