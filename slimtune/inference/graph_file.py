"""Files of TensorFlow graphs that others may have written: read only where every operation is one that
computes a net.

A GraphDef can hold operations that read and write files, run Python or open connections. Those that
slimtune's nets and exports use are listed here; a graph with any other is refused before TensorFlow sees it.
"""
import os

from slimtune.errors import UserError


class DamagedFile(UserError):
    """A file of a net that is missing or not what was exported; another engine's file may be whole."""


# All 41 nets, frozen, as the two runtimes build them.
_NETS = '''
    Add AddV2 AvgPool AvgPool3D BiasAdd ConcatV2 Const Conv2D Conv3D DepthwiseConv2dNative
    FusedBatchNorm FusedBatchNormV3 Identity LRN MatMul MaxPool MaxPool3D Mean Mul Pack Pad Placeholder
    RealDiv Relu Relu6 Reshape Rsqrt Shape Sigmoid Softmax Squeeze StridedSlice Sub'''
# Decoding and preparing images one after the other (map_fn), in frozen_encoded.pb and saved_model/.
_ENCODED = '''
    All ArgMax Assert Cast DecodeJpeg EnsureShape Enter Exit ExpandDims FloorDiv GatherV2 Greater
    GreaterEqual Less LogicalAnd LoopCond Max Maximum Merge Min Minimum Neg NextIteration NoOp Prod
    Range ResizeBilinear Rint Slice Sqrt Square Switch TensorArrayGatherV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArrayV3 TensorArrayWriteV3 Transpose Unpack'''
OPS = frozenset((_NETS + _ENCODED).split())


def read_graph(path):
    """Returns the GraphDef in a file.

    Raises UserError for a damaged file, and for one with an operation that no net and no export of slimtune
    has.
    """
    from slimtune.runtime import tf
    graph_def = _parsed(tf.GraphDef(), path)
    check_ops(graph_def, path)
    return graph_def


def check_saved_model(folder):
    """Checks the graphs of a SavedModel as `read_graph` does. Raises UserError."""
    from slimtune.runtime import SavedModel
    path = os.path.join(folder, 'saved_model.pb')
    for meta_graph in _parsed(SavedModel(), path).meta_graphs:
        check_ops(meta_graph.graph_def, path)


def check_ops(graph_def, path):
    """Raises UserError naming an operation that OPS lacks, also in the functions of the graph's library."""
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    for node in nodes:
        if node.op not in OPS:
            raise UserError(f'{path} holds the operation {node.op} ({node.name}), which no net needs: not '
                            'loaded, because it could read and write your files. Export the net again')


def _parsed(message, path):
    from google.protobuf.message import DecodeError
    try:
        with open(path, 'rb') as f:
            message.ParseFromString(f.read())
    except DecodeError:
        raise DamagedFile(f'{path} is damaged: export again')
    return message
