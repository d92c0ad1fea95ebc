"""A net with its classes and its preparation of images: restored from a checkpoint, frozen for inference."""
import dataclasses
from typing import List

from slimtune.checkpoints import matching
from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint, compare, restore
from slimtune.errors import UserError
from slimtune.images.model_input import FAST, Input, inputs_of
from slimtune.nets import nets_factory
from slimtune.options import Averages, RunFile
from slimtune.runtime import portable, session_config, slim, tf
from slimtune.terminal import say

_LISTED = 12    # classes in a message


@dataclasses.dataclass(frozen=True)
class Model:
    """A restored net. net: its record. inputs: how images reach it. class_names: by index of the logits.

    checkpoint: where its weights come from. averages: whether they are the moving averages.
    """
    net: nets_factory.Net
    inputs: Input
    class_names: List[str]
    checkpoint: Checkpoint
    averages: bool = False

    def report_averages(self):
        """Prints a line where the weights are the moving averages."""
        if self.averages:
            say(f'With the moving averages of {self.checkpoint.prefix}')


def load(path, net_options, run=None, image_size=None, class_names=None, averages=Averages.IGNORE):
    """The Model of a checkpoint, which `path` names: a train folder, a prefix, or any file of a checkpoint.

    net_options: options.Net. run: the RunFile beside the checkpoint, None without. image_size: pixels; None
    for the one it was trained with, else the net's. class_names: by index of the logits; None for those of
    run.json, else numbers. Raises UserError where there is no such checkpoint, where it is damaged, was
    trained on other classes, has no head of this net, or lacks averages that must be used. Whether all
    variables fit is checked in `names_in_checkpoint`.
    """
    run = run or RunFile({})
    checkpoint = Checkpoint(path)
    net = nets_factory.get_net(net_options.model_name)
    inputs = inputs_of(net, net_options, image_size or run.image_size,
                       run.channels or matching.count_channels(checkpoint, net))
    if not run.path:    # slim trained it, on images that slim decoded
        inputs = dataclasses.replace(inputs, dct_method=FAST)
    if run.classes and class_names and run.classes != class_names:
        raise UserError(f'{checkpoint.prefix} was trained on the classes {_listed(run.classes)}, but these '
                        f'are {_listed(class_names)}: give the data set or labels that it was trained with')
    if averages is Averages.USE and not checkpoint.has_averages:
        raise UserError(f'{checkpoint.prefix} holds no moving averages: leave out --moving-average-decay')
    return Model(net, inputs, class_names or run.classes or _numbered(checkpoint, net), checkpoint,
                 averages is not Averages.IGNORE and checkpoint.has_averages)


def _numbered(checkpoint, net):
    """Names for the classes of a checkpoint that nobody named: 'class 0' and so on."""
    num_classes = matching.count_classes(checkpoint, net)
    if num_classes is None:
        raise matching.explain_mismatch(checkpoint, net, missing=net.head)
    return [f'class {n}' for n in range(num_classes)]


def _listed(names):
    return ', '.join(names[:_LISTED]) + (', …' if len(names) > _LISTED else '')


def build(model):
    """Adds a model's evaluation graph to the default one: (images, logits, end_points).

    images: the placeholder `input`, float32 [batch, size, size, channels].
    """
    inputs = model.inputs
    images = tf.placeholder(tf.float32, [None, inputs.size, inputs.size, inputs.channels], name='input')
    logits, end_points = nets_factory.get_network_fn(model.net.name, len(model.class_names))(images)
    return images, logits, end_points


def names_in_checkpoint(model):
    """{variable of the default graph: its name in the model's checkpoint}.

    The names are those of the averages where the model uses them. Raises UserError where the checkpoint lacks
    a variable, or has another shape of it.
    """
    names = {v: v.op.name for v in slim.get_model_variables()}
    if model.averages:
        saved = model.checkpoint.shapes
        names = {v: name + AVERAGE if name + AVERAGE in saved else name for v, name in names.items()}
    _, missing, differing = compare(model.checkpoint, {name: v.shape.as_list() for v, name in names.items()})
    if missing:
        raise matching.explain_mismatch(model.checkpoint, model.net, missing=missing)
    if differing:
        num_classes = matching.count_classes(model.checkpoint, model.net)
        if num_classes not in (None, len(model.class_names)):
            raise UserError(f'{model.checkpoint.prefix} has {num_classes} classes, but the labels name '
                            f'{len(model.class_names)}: give the labels it was trained with (--label-path)')
        raise matching.explain_mismatch(model.checkpoint, model.net, differing=differing)
    return names


def freeze(model, extra_outputs=()):
    """The model's graph with its weights as constants, a GraphDef that both runtimes read.

    Its tensors are `input:0`, `logits:0`, `probabilities:0` and the net's own output; for each end point in
    `extra_outputs` (such as 'Mixed_7c', see `build`) also `end_points/NAME:0`. Raises ValueError for another
    end point.
    """
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        _, logits, end_points = build(model)
        outputs = {'logits': logits}
        for name in extra_outputs:
            if name not in end_points:
                known = ', '.join(end_points)
                raise ValueError(f'{model.net.name} has no end point {name}: there are {known}')
            outputs[f'end_points/{name}'] = end_points[name]
        keep = [tf.identity(tensor, name).op.name for name, tensor in outputs.items()]
        keep += [tf.nn.softmax(logits, name='probabilities').op.name, model.net.output]
        restore(session, model.checkpoint, names_in_checkpoint(model))
        graph = tf.get_default_graph().as_graph_def()
        frozen = tf.graph_util.convert_variables_to_constants(session, graph, keep)
    return portable(frozen)
