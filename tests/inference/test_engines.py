"""Engines agree: OpenVINO with TensorFlow, bfloat16's decisions with float32's."""
import glob
import os

import numpy as np
import pytest

from slimtune import options
from slimtune.checkpoints import restored_model
from slimtune.errors import UserError
from slimtune.images.model_input import Input
from slimtune.images.prepare import image_reader
from slimtune.inference import agreement, engines
from slimtune.nets.nets_factory import get_net
from slimtune.runtime import tf

needs_openvino = pytest.mark.skipif(engines.openvino() is None, reason='OpenVINO is not installed')
WEIGHTS = [('mobilenet_v1_025', 'mobilenet_v1_0.25_128', 128), ('mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal', 224),
           ('mobilenet_v2', 'mobilenet_v2_1.0_224_dequant_bncal', 224)]


@pytest.fixture(scope='module')
def graph(trained):
    """The frozen lenet of `trained`, and images for it."""
    run = options.load_run(str(trained / 'pic_lenet'))
    loaded = restored_model.load(str(trained / 'pic_lenet'), options.Net(model_name='lenet'), run)
    images = np.random.RandomState(1).uniform(-1, 1, [37, 28, 28, 1]).astype(np.float32)
    return restored_model.freeze(loaded), images


@needs_openvino
def test_openvino_answers_as_tensorflow_does_for_any_number_of_images(graph):
    graph_def, images = graph
    exact, fast = engines.load(graph_def), engines.load(graph_def, 'openvino')
    for count in (16, 37, 1, 16):
        expected, got = exact.run(images[:count]), fast.run(images[:count])
        for ours, theirs in zip(got, expected):
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


class Shaken:
    """An engine whose logits are off by as much as was proved, in whatever direction hurts."""

    name = 'shaken'

    def __init__(self, exact, error):
        self._exact, self._error = exact, error

    def run(self, images):
        logits, probabilities = self._exact.run(images)
        order = np.argsort(-logits, 1)
        rows = np.arange(len(logits))
        logits[rows, order[:, 0]] -= self._error
        logits[rows, order[:, 1]] += self._error
        return logits, probabilities

    def close(self):
        pass


class Given:
    """An engine with these logits, whatever the images."""

    name = 'given'

    def __init__(self, logits):
        self._logits = np.array(logits, np.float32)

    def run(self, images):
        return self._logits[:len(images)].copy(), self._logits[:len(images)].copy()


def test_decisions_within_the_proven_error_are_made_again_in_float32(graph):
    graph_def, images = graph
    exact = engines.load(graph_def)
    truth = exact.run(images)[0].argmax(1)
    margins = np.diff(np.sort(exact.run(images)[0], 1)[:, -2:], axis=1)[:, 0]
    error = float(np.median(margins)) / 2       # half of the images change their class
    shaken = Shaken(exact, error)
    assert (shaken.run(images)[0].argmax(1) != truth).sum() >= len(images) // 3
    margin = agreement.Proof('shaken', 37, error, 1.0, 0, 2 * error).margin
    checked = agreement.Checked(shaken, lambda: engines.load(graph_def), margin)
    assert (checked.run(images)[0].argmax(1) == truth).all()
    assert len(images) // 3 <= checked.again <= len(images)


def test_what_moves_all_logits_alike_decides_nothing():
    """A proof of before, which does not tell one from the other, counts with the worst."""
    proof = agreement.prove(Given([[1.5, 2.5, 3.75], [0, 1, 2]]), Given([[1, 2, 3], [0, 1, 2]]), [0, 0])
    assert (proof.error, proof.apart, proof.changed) == (0.75, 0.25, 0)
    assert proof.margin == agreement.SAFETY * 0.25
    assert agreement.Proof('old', 2, 0.75, 3.0, 0).margin == agreement.SAFETY * 1.5


def test_of_the_k_best_only_that_of_the_label_is_decided_where_it_is_known():
    near = [[9, 5, 1.05, 1]] * 4 + [[9, 8.95, 1, 0]]

    def again(labels):
        checked = agreement.Checked(Given(near), lambda: Given(near), 0.1, 3)
        checked.run(np.zeros(len(near)), labels)
        return checked.again

    assert agreement.Checked(Given([[np.nan, 1]])).run(np.zeros(1))[0].shape == (1, 2), 'no number: nothing to ask again'
    assert again(None) == 5
    assert again(np.array([0, 1, 2, 3, 0])) == 3, 'the labels 2 and 3 are close, and the answer of the last'


def test_what_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(engines, 'openvino', lambda: None)
    assert engines.choose('auto', 'auto') == ('tensorflow', 'float32')
    with pytest.raises(UserError, match='--engine tensorflow'):
        engines.choose('openvino', 'auto')
    with pytest.raises(UserError, match='--precision float32'):
        engines.choose('auto', 'bfloat16')


@needs_openvino
def test_an_engine_that_is_far_off_gives_way(graph, monkeypatch):
    graph_def, images = graph
    monkeypatch.setattr(agreement, 'LARGEST_ERROR', -1.0)
    running, said, proofs = agreement.answering(graph_def, ('openvino', 'auto'), images)
    assert 'on TensorFlow' in said and 'openvino float32' in proofs
    assert np.array_equal(running.run(images)[0], engines.load(graph_def).run(images)[0])


@needs_openvino
@pytest.mark.parametrize('net, weights, size', WEIGHTS)
def test_all_flowers_get_the_decisions_of_float32(real_data, net, weights, size):
    paths = sorted(glob.glob(os.path.join(real_data, 'flowers', '*', '*', '*.jpg')))
    assert len(paths) == 800
    loaded = restored_model.load(os.path.join(real_data, 'weights', weights + '.ckpt'), options.Net(model_name=net),
                                 image_size=size)
    graph_def = restored_model.freeze(loaded)
    inputs = Input(get_net(net).preprocessing, size)
    exact, fast = engines.load(graph_def), None
    with image_reader(inputs) as read:
        prepared = np.stack([read(path)[0] for path in paths])
    for begin in range(0, len(paths), 64):
        images = prepared[begin:begin + 64]
        if fast is None:
            fast, _, proofs = agreement.answering(graph_def, ('openvino', 'auto'), images, None, 5)
            assert proofs
        expected, got = exact.run(images)[0], fast.run(images)[0]
        assert (expected.argmax(1) == got.argmax(1)).all()
        assert (np.sort(np.argsort(-expected, 1)[:, :5], 1) == np.sort(np.argsort(-got, 1)[:, :5], 1)).all()
    assert isinstance(exact, engines.TensorFlow)


def test_a_batch_too_large_for_the_memory_is_halved_and_said(graph, capsys):
    from slimtune import terminal
    graph_def, images = graph
    running, real = engines.load(graph_def), None
    real = running._session

    class Small:
        def run(self, outputs, feed):
            if len(next(iter(feed.values()))) > 10:
                raise tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor')
            return real.run(outputs, feed)

    running._session = Small()
    terminal.setup()
    assert np.allclose(running.run(images)[0], engines.load(graph_def).run(images)[0], atol=1e-4)
    assert 'going on with 9' in capsys.readouterr().out
