"""TensorFlow's version-1 API and tf_slim, the same on both runtimes: `from slimtune.runtime import tf, slim`.

The only module that imports TensorFlow, and the only one that knows of two versions: 1.14 on Python 3.7, and
2.21 on Python 3.11 to 3.13, there through `tensorflow.compat.v1` with version-2 behaviour disabled.
"""
import contextlib
import importlib
import os
import sys
import tempfile
import warnings

from slimtune import machine

#: --verbose sets the variable before this module is imported: everything that TensorFlow prints reaches the
#: terminal.
VERBOSE = os.environ.get('SLIMTUNE_VERBOSE') == '1'


@contextlib.contextmanager
def _quiet_stderr():
    """Holds back what native code writes to standard error in the block, and prints it only if the block
    fails.

    TensorFlow 2.21 prints information lines while it is imported, whatever TF_CPP_MIN_LOG_LEVEL is.
    """
    if VERBOSE:
        yield
        return
    with tempfile.TemporaryFile() as output:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(output.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                output.seek(0)
                os.write(2, output.read())


def _serve_old_names():
    """Puts the private names of TensorFlow that tf_slim 1.1.0 imports back to their old places; 2.16 and
    later moved them."""
    legacy = 'tf_keras.src.legacy_tf_layers'
    sys.modules['tf_keras.legacy_tf_layers'] = importlib.import_module(legacy)
    for name in ('base', 'convolutional', 'core', 'normalization', 'pooling'):
        sys.modules[f'tf_keras.legacy_tf_layers.{name}'] = importlib.import_module(f'{legacy}.{name}')
    moved = {                       # old module: {name: its module now}
        'framework.ops': {'Tensor': 'framework.tensor', 'IndexedSlices': 'framework.indexed_slices'},
        'ops.array_ops': {'stack': 'ops.array_ops_stack', 'unstack': 'ops.array_ops_stack'},
        'ops.control_flow_ops': {'cond': 'ops.cond', 'case': 'ops.control_flow_case',
                                 'while_loop': 'ops.while_loop', 'Assert': 'ops.control_flow_assert'},
    }
    for old, names in moved.items():
        module = importlib.import_module('tensorflow.python.' + old)
        for name, new in names.items():
            setattr(module, name, getattr(importlib.import_module('tensorflow.python.' + new), name))
    importlib.import_module('tensorflow.python.ops.variable_scope').variable = tf.Variable


with _quiet_stderr(), warnings.catch_warnings():
    if not VERBOSE:
        os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
        warnings.simplefilter('ignore')
    import tensorflow.compat.v1 as tf
    if not VERBOSE:
        tf.logging.set_verbosity(tf.logging.ERROR)
    VERSION = tf.__version__
    CURRENT = not VERSION.startswith('1.')
    if CURRENT:
        tf.disable_v2_behavior()
        _serve_old_names()
    import tf_slim as slim  # noqa: F401 (for `from slimtune.runtime import tf, slim`)
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # noqa: F401 (for `from slimtune.runtime import SavedModel`)
    if not VERBOSE:
        tf.logging.set_verbosity(tf.logging.ERROR)


def session_config(cpu_only=False, bfloat16=False, once=False, fed=False):
    """The ConfigProto of a session: soft placement, and a GPU's memory is allocated as needed.

    cpu_only: no GPU is used. bfloat16: matrix products and convolutions are computed in bfloat16 (see
    `trains_in_bfloat16`); variables stay float32. once: the graph is run a single time, which takes less time
    than optimizing it. fed: a tensor in the middle of the graph is fed.
    """
    config = tf.ConfigProto(allow_soft_placement=True, device_count={'GPU': 0} if cpu_only else {})
    config.gpu_options.allow_growth = True
    rewriting = config.graph_options.rewrite_options
    rewriting.disable_meta_optimizer = once
    if fed:
        # TensorFlow 2.21 folds the shape of a fed tensor into a constant with a control dependency on the
        # tensor's op, so that everything before it would run.
        rewriting.constant_folding = RewriterConfig.OFF
    if bfloat16:
        # Not auto_mixed_precision_cpu: TensorFlow 2.21 crashes with it.
        rewriting.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    return config


def next_of(dataset):
    """The tensors of a tf.data pipeline's next element.

    Without TensorFlow 2's autotuner: it has nothing to tune here, and closing a session can block for up to a
    minute until the autotuner's thread wakes.
    """
    if CURRENT:
        settings = tf.data.Options()
        settings.autotune.enabled = False
        dataset = dataset.with_options(settings)
    return tf.data.make_one_shot_iterator(dataset).get_next()


def trains_in_bfloat16():
    """Whether this TensorFlow (2.11 or later) and this CPU (AVX512-BF16 or AMX) can train in bfloat16."""
    if not CURRENT:
        return False
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            flags = f.read()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


def device(cpu_only=False):
    """The device that TensorFlow uses, as text for the user, such as 'CPU (2 cores)'. cpu_only: no GPU is
    used."""
    if not cpu_only:
        with _quiet_stderr():
            from tensorflow.python.client import device_lib
            gpus = [d for d in device_lib.list_local_devices(session_config()) if d.device_type == 'GPU']
        if gpus:
            return f'GPU ({gpus[0].physical_device_desc})'
    cores = machine.cores()
    return f'CPU ({cores} core{"s" if cores > 1 else ""})'


def portable(graph_def):
    """The GraphDef without attributes at their default values, which 1.14 may not know: both runtimes can
    read it."""
    from tensorflow.python.framework import meta_graph
    meta = tf.MetaGraphDef(graph_def=graph_def)
    meta_graph.strip_graph_default_valued_attrs(meta)
    return meta.graph_def


@tf.RegisterGradient('SlimtuneConv2D')
def _conv2d_gradient(op, gradient):
    """The gradients of a convolution, as matrix products where its kernel covers the whole map.

    Inception v3's auxiliary head has such a one, 5x5x128 to 768: at batch 32, TensorFlow 1.14's own gradient
    takes 250 ms, the matrix products 7.
    """
    images, weights = op.inputs
    kernel = weights.shape.as_list()
    if op.get_attr('padding') != b'VALID' or images.shape.as_list()[1:] != kernel[:3]:
        from tensorflow.python.ops import nn_grad
        return nn_grad._Conv2DGrad(op, gradient)
    flat = tf.reshape(gradient, [-1, kernel[3]])
    of_images = tf.matmul(flat, tf.reshape(weights, [-1, kernel[3]]), transpose_b=True)
    of_weights = tf.matmul(tf.reshape(images, [-1, kernel[0] * kernel[1] * kernel[2]]), flat,
                           transpose_a=True)
    return tf.reshape(of_images, tf.shape(images)), tf.reshape(of_weights, kernel)


def quick_gradients():
    """A context in which new convolutions get their gradients from `_conv2d_gradient`."""
    return tf.get_default_graph().gradient_override_map({'Conv2D': 'SlimtuneConv2D'})
