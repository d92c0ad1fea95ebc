"""Compares checkpoints with nets: which net one fits, how many classes it has, and why it does not fit."""
from slimtune.checkpoints.checkpoint import compare, within
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import slim, tf

_LISTED = 5     # variables in a message


def count_channels(checkpoint, net):
    """The channels (1 or 3) of the images that a checkpoint was trained on, or None where it does not tell.

    Read from its first kernel, [height, width, channels, depth].
    """
    kernels = [name for name, shape in checkpoint.shapes.items()
               if name.startswith(f'{net.scope}/conv1/') and len(shape) == 4]
    channels = checkpoint.shapes[min(kernels)][2] if kernels else None
    return channels if channels in (1, 3) else None


def count_classes(checkpoint, net):
    """The number of classes of a checkpoint's head, or None where it has no head of this net."""
    for name, shape in sorted(checkpoint.shapes.items()):
        if name.startswith(f'{net.head[0]}/') and name.endswith(('/biases', '/bias')) and len(shape) == 1:
            return shape[0]
    return None


def find_nets(checkpoint):
    """The names of the nets whose variables outside the head a checkpoint holds, in their shapes."""
    roots = {name.split('/')[0] for name in checkpoint.shapes}
    names = []
    for net in nets_factory.NETS.values():
        if net.scope and net.scope not in roots or net.video:
            continue
        if not net.scope and not any(within(name, net.head) for name in checkpoint.shapes):
            continue
        shapes = {name: shape for name, shape in compute_shapes(net).items() if not within(name, net.head)}
        if len(compare(checkpoint, shapes)[0]) == len(shapes):
            names.append(net.name)
    return names


def compute_shapes(net, num_classes=2):
    """{variable: shape} of a net (a record), by building it."""
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, net.image_size, net.image_size, net.channels])
        nets_factory.get_network_fn(net.name, num_classes)(images)
        return {v.op.name: v.shape.as_list() for v in slim.get_model_variables()}


def explain_mismatch(checkpoint, net, missing=(), differing=(), remedy='name another checkpoint'):
    """The UserError for a checkpoint that does not fit a net. It names the net that the checkpoint does fit.

    missing, differing: the variables that the checkpoint lacks, or has in another shape; one of the two.
    remedy: the next step where the checkpoint fits no other net.
    """
    fitting = find_nets(checkpoint)
    if fitting and net.name not in fitting:
        return UserError(f'{checkpoint.prefix} holds {fitting[0]}, not {net.name}: add --model {fitting[0]}')
    names = list(missing or differing)
    problem = 'lacks' if missing else 'has other shapes of'
    variables = '1 variable' if len(names) == 1 else f'{len(names)} variables'
    listed = ', '.join(names[:_LISTED]) + (', …' if len(names) > _LISTED else '')
    return UserError(f'{checkpoint.prefix} {problem} {variables} of {net.name}: {listed}: {remedy}')
