"""Engines: the same numbers from TensorFlow and OpenVINO, and which of them is chosen."""
import importlib.util
import os
import sys
import types

import numpy as np
import pytest

from slimtune import terminal
from slimtune.errors import UserError
from slimtune.inference import engines
from slimtune.runtime import tf

needs_openvino = pytest.mark.skipif(engines.openvino() is None, reason='OpenVINO is not installed')


@needs_openvino
def test_openvino_computes_what_tensorflow_computes_for_any_number_of_images(graph):
    graph_def, images = graph
    exact, fast = engines.load(graph_def), engines.load(graph_def, 'openvino')
    for count in (16, 37, 1, 16):
        expected, found = exact.run(images[:count]), fast.run(images[:count])
        for ours, theirs in zip(found, expected):
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_a_batch_too_large_for_the_memory_is_halved_and_this_is_reported(graph, capsys):
    graph_def, images = graph
    engine = engines.load(graph_def)
    real = engine._session

    class Small:
        def run(self, outputs, feed):
            if len(next(iter(feed.values()))) > 10:
                raise tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor')
            return real.run(outputs, feed)

    engine._session = Small()
    terminal.setup()
    assert np.allclose(engine.run(images[:37])[0], engines.load(graph_def).run(images[:37])[0], atol=1e-4)
    assert 'continuing with 9' in capsys.readouterr().out


def test_an_engine_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(engines, 'openvino', lambda: None)
    assert engines.choose('auto', 'auto') == ('tensorflow', 'float32')
    with pytest.raises(UserError, match='--engine tensorflow'):
        engines.choose('openvino', 'auto')
    with pytest.raises(UserError, match='--precision float32'):
        engines.choose('auto', 'bfloat16')


def test_a_broken_openvino_is_reported_and_tensorflow_used(monkeypatch, capsys):
    """As after an upgrade that was cut short: the package is there, its library is not."""
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, 'openvino', types.ModuleType('openvino'))
    engines._core.cache_clear()
    terminal.setup()
    try:
        assert engines.choose('auto', 'auto') == engines.EXACT
        assert 'OpenVINO is installed but cannot be loaded' in capsys.readouterr().out
        with pytest.raises(UserError, match='loaded .*Core.*: reinstall it .*or use --engine tensorflow'):
            engines.choose('openvino', 'auto')
    finally:
        engines._core.cache_clear()


@needs_openvino
def test_openvino_is_started_once_in_a_process():
    assert engines.openvino() is engines.openvino()


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """gpu(cuda=True, cudnn=True): a machine with a GPU's device, and a TensorFlow built with CUDA or
    without."""
    def make(cuda=True, cudnn=True):
        (tmp_path / 'nvidia0').touch()
        package = tmp_path / 'site-packages' / 'tensorflow'
        (package / 'python' / 'platform').mkdir(parents=True)
        (package / 'python' / 'platform' / 'build_info.py').write_text('is_cuda_build = %s\n' % cuda)
        if cudnn:
            (tmp_path / 'site-packages' / 'nvidia' / 'cudnn').mkdir(parents=True)
        monkeypatch.setattr(engines, '_GPU_DEVICES', (str(tmp_path / 'nvidia[0-9]*'),))
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        monkeypatch.syspath_prepend(str(tmp_path / 'site-packages'))
    return make


def test_auto_takes_tensorflow_where_it_has_a_gpu(gpu):
    gpu()
    assert engines.choose('auto', 'auto') == engines.choose('auto', 'float32') == engines.EXACT


@needs_openvino
def test_what_was_typed_and_a_few_images_stay_off_the_gpu(gpu):
    gpu()
    assert engines.choose('openvino', 'float32') == ('openvino', 'float32')
    assert engines.choose('auto', 'auto', few_images=True) == ('openvino', 'float32')


@needs_openvino
@pytest.mark.parametrize('hidden', ['', '-1', 'NoDevFiles'])
def test_a_gpu_that_is_hidden_is_not_used(hidden, gpu, monkeypatch):
    gpu()
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', hidden)
    assert engines.choose('auto', 'float32') == ('openvino', 'float32')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', 'GPU-8932f937,1')
    assert engines.choose('auto', 'float32') == engines.EXACT


@needs_openvino
def test_a_tensorflow_without_cuda_does_not_count_as_a_gpu(gpu):
    gpu(cuda=False)
    assert engines.choose('auto', 'float32') == ('openvino', 'float32')


@needs_openvino
def test_a_tensorflow_without_cudnn_does_not_count_as_a_gpu(gpu, monkeypatch):
    import ctypes.util
    gpu(cudnn=False)
    monkeypatch.setattr(ctypes.util, 'find_library', lambda name: None)
    assert engines.choose('auto', 'float32') == ('openvino', 'float32')
    monkeypatch.setattr(ctypes.util, 'find_library', lambda name: 'libcudnn.so.9')
    assert engines.choose('auto', 'float32') == engines.EXACT


@pytest.mark.parametrize('line, built', [
    ('is_cuda_build = False', False), ('is_cuda_build = True', True),                       # TensorFlow 1.14
    ("build_info = OrderedDict([('cuda_version', '12'), ('is_cuda_build', True)])", True),  # TensorFlow 2.21
    ("build_info = OrderedDict([('is_cuda_build', False), ('is_rocm_build', True)])", False)])
def test_both_versions_of_tensorflow_say_how_they_were_built(line, built):
    assert bool(engines._BUILT_WITH_CUDA.search(line)) == built


def test_the_installed_tensorflow_has_the_file_that_says_it():
    paths = [os.path.join(folder, engines._BUILD_INFO) for folder in sys.path]
    with open(next(filter(os.path.exists, paths)), encoding='utf-8') as f:
        assert 'is_cuda_build' in f.read()
