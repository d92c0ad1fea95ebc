"""Where the frozen part of a net ends and the trained part begins: the tensors that can be cached."""
from slimtune.runtime import portable, tf

IMAGES = 'images'           # the op that the cut's graph begins with


def is_random(op):
    """Whether an op returns other values each time it is run."""
    return 'Random' in op.type or op.type in ('TruncatedNormal', 'Multinomial')


def find_cut(images, target, trained):
    """The tensors to cache: the last ones computed from the images without a trained variable or a random op.

    images: the net's input. target: the tensor that is computed from it in the end (the loss, or logits).
    trained: variables. Returns a list of float tensors, empty where nothing lies between images and training.
    """
    needed = _before([target.op])
    from_images = _after([images.op]) & needed
    varying = _after([v.op for v in trained] + [op for op in needed if is_random(op)]) & needed
    while True:
        # A varying op may read an image's shape, which is no float: that is computed from the cut instead.
        shapes = {tensor.op for op in varying for tensor in op.inputs
                  if tensor.op in from_images - varying and not tensor.dtype.is_floating}
        if not shapes:
            break
        varying |= shapes
    cut = {tensor for op in varying for tensor in op.inputs if tensor.op in from_images - varying}
    return [] if images in cut else sorted(cut, key=lambda tensor: tensor.name)


def _after(ops):
    return _reach(ops, lambda op: [consumer for output in op.outputs for consumer in output.consumers()])


def _before(ops):
    return _reach(ops, lambda op: [tensor.op for tensor in op.inputs] + list(op.control_inputs))


def _reach(ops, neighbours):
    """All ops that can be reached, the first ones included."""
    found, waiting = set(ops), list(ops)
    while waiting:
        for op in neighbours(waiting.pop()):
            if op not in found:
                found.add(op)
                waiting.append(op)
    return found


def depends_on(tensor, variables):
    """Whether the tensor is computed from any of the variables."""
    return bool(_before([tensor.op]) & {v.op for v in variables})


def frozen_graph(session, images, cut):
    """The graph from the placeholder IMAGES to `cut_0`, `cut_1`, …: a GraphDef with its weights."""
    outputs = [tensor.op.name for tensor in cut]
    graph = tf.graph_util.convert_variables_to_constants(session, images.graph.as_graph_def(), outputs)
    nodes = [node for node in graph.node if node.name != images.op.name]
    begin = tf.NodeDef(name=images.op.name, op='Placeholder')
    begin.attr['dtype'].type = images.dtype.as_datatype_enum
    begin.attr['shape'].shape.CopyFrom(images.shape.as_proto())
    # One tensor may be computed from another: engines return ops that nothing reads, so that each gets one of
    # its own.
    ends = [tf.NodeDef(name=f'cut_{n}', op='Identity', input=[tensor.name]) for n, tensor in enumerate(cut)]
    for end, tensor in zip(ends, cut):
        end.attr['T'].type = tensor.dtype.as_datatype_enum
    graph = tf.GraphDef(versions=graph.versions, node=[begin] + nodes + ends)
    return portable(tf.graph_util.extract_sub_graph(graph, [end.name for end in ends]))
