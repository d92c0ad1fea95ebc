"""Which net a checkpoint fits, how many classes it has, and why it does not fit another."""
from slimtune.checkpoints.checkpoint import compare, within
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import slim, tf


def channels_of(saved, net):
    """The channels of the images a checkpoint was trained on: those of its first kernel [height, width, channels, depth]."""
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
