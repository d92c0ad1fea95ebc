"""A net with its classes and its images' preparation, restored from a checkpoint, and frozen for inference."""
import dataclasses

from slimtune.checkpoints import matching
from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint, compare, restore
from slimtune.errors import UserError
from slimtune.images.model_input import FAST, Input, inputs_of
from slimtune.nets import nets_factory
from slimtune.options import Averages
from slimtune.runtime import portable, session_config, slim, tf
from slimtune.terminal import say


@dataclasses.dataclass(frozen=True)
class Model:
    """A restored net. net: its record. inputs: how images reach it. class_names: by index of the logits.

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


def load(path, run, net_options, size, class_names, averages, labels_offset=0):
    """The Model that a checkpoint, a train folder or any file of a checkpoint names.

    run: its options.RunFile. net_options: options.Net. size: of the images, or None. class_names: by index of the
    logits; None to take what the folder says, else numbers. averages: an options.Averages.
    """
    saved = Checkpoint(path)
    net = nets_factory.get_net(net_options.model_name)
    inputs = inputs_of(net, net_options, size or run.image_size, run.channels or matching.channels_of(saved, net),
                       labels_offset)
    if not run.path:    # slim trained it, and slim's images were decoded so
        inputs = dataclasses.replace(inputs, dct_method=FAST)
    trained = run.classes
    if trained and class_names and trained != class_names:
        raise UserError('%s was trained on the classes %s, but these are %s' % (
            saved.prefix, ', '.join(trained[:12]), ', '.join(class_names[:12])))
    if averages is Averages.USE and not saved.has_averages:
        raise UserError('%s holds no moving averages: leave out --moving-average-decay' % saved.prefix)
    averages = averages is not Averages.IGNORE and saved.has_averages
    names = class_names or trained
    if not names:
        classes = matching.head_classes(saved, net)
        if classes is None:
            raise matching.explain(saved, net, list(net.head), 'lacks')
        names = ['class %d' % n for n in range(classes)]
    return Model(net, inputs, names, saved, averages)


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
        raise matching.explain(model.checkpoint, model.net, missing, 'lacks')
    if differing:
        classes = matching.head_classes(model.checkpoint, model.net)
        if classes not in (None, len(model.class_names)):
            raise UserError('%s has %d classes, but the labels name %d: give the labels it was trained with (--label-path)'
                            % (model.checkpoint.prefix, classes, len(model.class_names)))
        raise matching.explain(model.checkpoint, model.net, differing, 'has other shapes of')
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
