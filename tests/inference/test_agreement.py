"""Agreement: measured on this machine, kept in the cache, and predictions that follow float32."""
import dataclasses
import glob
import json
import os

import numpy as np
import pytest

from slimtune import options, terminal
from slimtune.checkpoints import restored_model
from slimtune.images.model_input import Input
from slimtune.images.prepare import image_reader
from slimtune.inference import agreement, engines
from slimtune.inference.agreement import (
    Agreement,
    CheckedEngine,
    FrozenNet,
    Images,
    measure_agreement,
    open_engine,
)
from slimtune.nets.nets_factory import get_net

needs_openvino = pytest.mark.skipif(engines.openvino() is None, reason='OpenVINO is not installed')
in_bfloat16 = pytest.mark.skipif(
    engines.openvino() is None or engines.choose('openvino', 'auto')[1] != 'bfloat16',
    reason='this CPU does not compute in bfloat16')
WEIGHTS = [('mobilenet_v1_025', 'mobilenet_v1_0.25_128', 128),
           ('mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal', 224),
           ('mobilenet_v2', 'mobilenet_v2_1.0_224_dequant_bncal', 224)]


class Shaken:
    """An engine whose two best logits are off by `error`, in the direction that hurts; other logits are
    right."""

    name = 'openvino bfloat16'

    def __init__(self, exact, error):
        self._exact, self._error = exact, error

    def run(self, images):
        logits, probabilities = self._exact.run(images)
        order = np.argsort(-logits, 1)
        rows = np.arange(len(logits))
        logits[rows, order[:, 0]] -= self._error
        logits[rows, order[:, 1]] += self._error
        return logits, probabilities

    def compile(self, num_images, shape):
        pass

    def close(self):
        pass


class Fixed:
    """An engine with these logits, whatever the images."""

    name = 'fixed'

    def __init__(self, logits):
        self._logits = np.array(logits, np.float32)

    def run(self, images):
        return self._logits[:len(images)].copy(), self._logits[:len(images)].copy()


def halved_gaps(graph_def, images):
    """Half of the median distance of the two best logits: an error of it changes about half of the
    predictions."""
    logits = engines.load(graph_def).run(images)[0]
    return float(np.median(np.diff(np.sort(logits, 1)[:, -2:], axis=1))) / 2


def test_predictions_within_the_margin_are_computed_again_in_float32(graph):
    """The margin comes from a measurement on some of the images; the others follow float32 as well."""
    graph_def, images = graph
    exact = engines.load(graph_def)
    truth = exact.run(images)[0].argmax(1)
    shaken = Shaken(exact, halved_gaps(graph_def, images))
    assert (shaken.run(images)[0].argmax(1) != truth).sum() >= len(images) // 3
    measured = measure_agreement(shaken, exact, images[:64], len(images))
    assert measured.num_changed >= 64 // 3
    checked = CheckedEngine(shaken, lambda: engines.load(graph_def), measured.margin(len(images)))
    assert (checked.run(images)[0].argmax(1) == truth).all()
    assert len(images) // 3 <= checked.num_rechecked <= len(images)


def test_what_moves_all_logits_alike_changes_no_prediction():
    measured = measure_agreement(Fixed([[1.5, 2.5, 3.75], [0, 1, 2]]), Fixed([[1, 2, 3], [0, 1, 2]]), [0, 0])
    assert (measured.error, measured.difference_error, measured.num_changed) == (0.75, 0.25, 0)
    assert measured.margin(2) == agreement.SAFETY * 0.25


def test_the_margin_grows_with_the_images_and_shrinks_with_the_sample():
    on_64, on_32 = (Agreement('a', 'b', count, count, 1.0, 9.0, 1.0, 0) for count in (64, 32))
    margins = [on_64.margin(count) for count in (10, 64, 800, 100000)]
    assert margins[0] == margins[1] == agreement.SAFETY and margins == sorted(margins)
    assert margins[3] == pytest.approx(agreement.SAFETY * np.log(100000) / np.log(64))
    assert on_32.margin(800) > on_64.margin(800)


def test_the_estimated_margin_holds_for_nearly_all_samples():
    """The largest of 800 normal errors, estimated from 64 of them: the factor of before was exceeded in 17%
    of the draws."""
    rng = np.random.RandomState(0)
    exceeded, constant = 0, 0
    for _ in range(300):
        errors = np.abs(rng.standard_normal(800))
        measured = Agreement('a', 'b', 64, 800, 1.0, 9.0, float(errors[:64].max()), 0)
        exceeded += errors.max() > measured.margin(800)
        constant += errors.max() > measured.margin(64)
    assert exceeded <= 0.02 * 300 < 0.1 * 300 <= constant


def test_of_the_k_best_only_the_place_of_the_label_matters_where_it_is_known():
    near = [[9, 5, 1.05, 1]] * 4 + [[9, 8.95, 1, 0]]

    def rechecked(labels):
        checked = CheckedEngine(Fixed(near), lambda: Fixed(near), 0.1, 3)
        checked.run(np.zeros(len(near)), labels)
        return checked.num_rechecked

    no_number = CheckedEngine(Fixed([[np.nan, 1]]))
    assert no_number.run(np.zeros(1))[0].shape == (1, 2), 'nothing to compute again'
    assert rechecked(None) == 5
    # The labels 2 and 3 are close, and the best class of the last.
    assert rechecked(np.array([0, 1, 2, 3, 0])) == 3


# Opening an engine

@pytest.fixture
def opened(graph, monkeypatch, capsys):
    """opened(number=…, kind=…, choice=…, reference=…): opens an engine for the lenet; gives it, what was
    printed, and how many samples were taken for a measurement."""
    graph_def, images = graph
    samples = []

    def open_one(number=100, kind='images', choice=('openvino', 'auto'), cache_dir=None, size=28, **net):
        terminal.setup()
        capsys.readouterr()
        samples.clear()

        def sample(count):
            samples.append(count)
            return images[:min(count, number)]
        frozen = FrozenNet(lambda engine: graph_def, Input('lenet', size, 1), lambda: 'digest', **net)
        engine = open_engine(frozen, choice, Images(kind, number, 64, sample), cache_dir=cache_dir)
        return engine, capsys.readouterr().out, len(samples)
    return open_one


def make_openvino_wrong(monkeypatch, graph_def, error):
    """From here on OpenVINO's bfloat16 is off by `error`."""
    real = engines.load

    def load(graph, engine='tensorflow', precision='float32', **options):
        if (engine, precision) == ('openvino', 'bfloat16'):
            return Shaken(real(graph_def), error)
        return real(graph, engine, precision, **options)
    monkeypatch.setattr(engines, 'load', load)
    monkeypatch.setattr(engines, 'choose', lambda engine, precision, few_images=False: (
        ('openvino', 'float32' if few_images or precision == 'float32' else 'bfloat16')))


@needs_openvino
def test_an_engine_that_is_wrong_gives_float32s_predictions(graph, opened, monkeypatch, tmp_path):
    graph_def, images = graph
    truth = engines.load(graph_def).run(images)[0].argmax(1)
    monkeypatch.setattr(agreement, 'LARGEST_ERROR', 10.0)       # however wrong, it is used
    make_openvino_wrong(monkeypatch, graph_def, halved_gaps(graph_def, images))
    engine, printed, _ = opened(cache_dir=str(tmp_path))
    assert 'openvino bfloat16 compared with tensorflow float32 on 64 images' in printed
    assert (engine.run(images)[0].argmax(1) == truth).all() and engine.num_rechecked >= 33


@needs_openvino
def test_an_engine_that_is_far_off_gives_way_to_the_next(graph, opened, monkeypatch, tmp_path):
    graph_def, images = graph
    make_openvino_wrong(monkeypatch, graph_def, 100.0)
    engine, printed, _ = opened(cache_dir=str(tmp_path))
    assert 'too far from float32. Using openvino float32 instead' in printed
    assert 'openvino float32 compared with tensorflow float32' in printed
    assert np.allclose(engine.run(images)[0], engines.load(graph_def).run(images)[0], atol=1e-3)
    monkeypatch.setattr(agreement, 'LARGEST_ERROR', -1.0)
    engine, printed, _ = opened(cache_dir=str(tmp_path))
    assert 'Using tensorflow float32 instead' in printed
    assert np.array_equal(engine.run(images)[0], engines.load(graph_def).run(images)[0])


@needs_openvino
def test_float32_of_openvino_is_decided_by_tensorflow_never_by_itself(graph, opened, monkeypatch, tmp_path):
    graph_def, images = graph
    engine, _, taken = opened(choice=('openvino', 'float32'), cache_dir=str(tmp_path))
    assert taken == 1
    engine._margin = 1e9        # every image is close
    engine.run(images[:4])
    assert engine.num_rechecked == 4 and isinstance(engine._decider, engines.TensorFlow)


@needs_openvino
def test_float32_of_an_export_is_not_compared_with_itself(opened, tmp_path):
    in_float32 = ('openvino', 'float32')
    engine, printed, taken = opened(choice=in_float32, reference=in_float32, cache_dir=str(tmp_path))
    assert (printed, taken, engine._open_decider) == ('', 0, None)


@in_bfloat16
@pytest.mark.parametrize('number', [1, 5, 63])
def test_a_few_images_are_computed_in_float32_whatever_was_typed(number, graph, opened, tmp_path):
    engine, printed, taken = opened(number, cache_dir=str(tmp_path))
    assert (printed, taken, engine._fast.name) == ('', 0, 'openvino float32')
    engine, printed, taken = opened(number, choice=('openvino', 'bfloat16'), cache_dir=str(tmp_path))
    assert f'bfloat16 is measured on 64 images, and there are {number}: using float32' in printed
    assert engine._fast.name == 'openvino float32'


@in_bfloat16
def test_bfloat16_that_was_typed_is_measured_too(opened, tmp_path):
    engine, printed, taken = opened(choice=('openvino', 'bfloat16'), cache_dir=str(tmp_path))
    assert taken == 1 and 'openvino bfloat16 compared with' in printed and engine._open_decider


@in_bfloat16
def test_a_measurement_is_used_again_where_nothing_changed(opened, tmp_path):
    cache = str(tmp_path)
    assert opened(cache_dir=cache)[2] == 1
    engine, printed, taken = opened(cache_dir=cache)
    assert taken == 0 and 'compared with' in printed and engine._margin > 0
    assert opened(number=80, cache_dir=cache)[2] == 0, 'fewer images than it was drawn from'


@in_bfloat16
@pytest.mark.parametrize('change', [
    'more images', 'other images', 'another CPU', 'another version', 'another preparation',
    'a damaged record', 'a record of a later version'])
def test_another_machine_more_images_or_other_ones_are_measured_anew(change, opened, monkeypatch, tmp_path):
    cache, other = str(tmp_path), {}
    assert opened(cache_dir=cache)[2] == 1
    path, = (tmp_path / 'agreement').iterdir()
    if change == 'more images':
        other = {'number': 100000}
    elif change == 'other images':
        other = {'kind': 'other images'}
    elif change == 'another CPU':
        monkeypatch.setattr(agreement, 'cpu', lambda: 'x86_64 avx2')
    elif change == 'another version':
        monkeypatch.setattr(engines, 'version', lambda engine: '1')
    elif change == 'another preparation':
        other = {'size': 29}
    elif change == 'a damaged record':
        path.write_text(json.dumps(dict(json.loads(path.read_text()), difference_error='0')))
    else:
        path.write_text(json.dumps(dict(json.loads(path.read_text()), quantile=0.5)))
    assert opened(cache_dir=cache, **other)[2] == (change != 'a record of a later version')


def test_the_cpu_is_named_by_what_changes_numbers():
    named = agreement.cpu().split()
    assert named and not {'lm', 'ht', 'syscall'} & set(named)
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            assert ('avx2' in named) == (' avx2 ' in f.read())


@needs_openvino
@pytest.mark.parametrize('net, weights, size', WEIGHTS)
def test_all_flowers_get_the_predictions_of_float32(real_data, net, weights, size, tmp_path):
    paths = sorted(glob.glob(os.path.join(real_data, 'flowers', '*', '*', '*.jpg')))
    assert len(paths) == 800
    loaded = restored_model.load(os.path.join(real_data, 'weights', weights + '.ckpt'),
                                 options.Net(model_name=net), image_size=size)
    frozen = dataclasses.replace(agreement.frozen_net(loaded), inputs=Input(get_net(net).preprocessing, size))
    with image_reader(frozen.inputs) as read:
        prepared = np.stack([read(path)[0] for path in paths])
    exact = engines.load(frozen.graph('tensorflow'))
    flowers = Images('flowers', 800, 64, lambda count: prepared[::800 // count][:count])
    fast = open_engine(frozen, ('openvino', 'auto'), flowers, 5, str(tmp_path))
    assert not isinstance(fast._fast, engines.TensorFlow)
    for begin in range(0, len(paths), 64):
        images = prepared[begin:begin + 64]
        expected, found = exact.run(images)[0], fast.run(images)[0]
        assert (expected.argmax(1) == found.argmax(1)).all()
        assert (np.sort(np.argsort(-expected, 1)[:, :5], 1) == np.sort(np.argsort(-found, 1)[:, :5], 1)).all()
