"""Which engine computes the features: the fastest that is near enough float32, measured once."""
import dataclasses
import os

import pytest

from slimtune.features import engine_choice
from slimtune.features.engine_choice import choose_engine
from slimtune.inference import engines

BFLOAT16, FLOAT32 = ('openvino', 'bfloat16'), ('openvino', 'float32')


@pytest.fixture
def choose(part_of, tmp_path, monkeypatch):
    """choose({kind: relative error, or RuntimeError}) gives choose_engine's result and the kinds it measured.

    OpenVINO is TensorFlow with that error here: how far off it is, is the test's choice.
    """
    load, version = engines.load, ['1']

    def run(errors, wanted=BFLOAT16):
        measured = []

        class Wrong:
            def __init__(self, graph, *kind, **more):
                measured.append(kind)
                if isinstance(errors.get(kind), RuntimeError):
                    raise errors[kind]
                self._engine, self._factor = load(graph, **more), 1 + errors.get(kind, 0)

            def run(self, images):
                return tuple(output * self._factor for output in self._engine.run(images))

            def close(self):
                self._engine.close()

        monkeypatch.setattr(engine_choice.engines, 'load', Wrong)
        monkeypatch.setattr(engine_choice.engines, 'version', lambda engine: version[0])
        part = dataclasses.replace(part_of(), kind=wanted)
        return choose_engine(part, str(tmp_path)), [kind for kind in measured if kind != engines.EXACT]
    run.version = version
    return run


@pytest.mark.parametrize('errors, kind, line', [
    ({BFLOAT16: 0.02}, BFLOAT16, 'computed on openvino bfloat16, 2% from float32 on 16 images'),
    ({BFLOAT16: 0.04, FLOAT32: 0.001}, FLOAT32,
     'openvino bfloat16 is 4.0% from float32, '
     'computed on openvino float32, 0.1% from float32 on 16 images'),
    ({BFLOAT16: 0.5, FLOAT32: 0.5}, engines.EXACT,
     'openvino bfloat16 is 50.0% from float32, openvino float32 is 50.0% from float32, '
     'computed on tensorflow float32'),
    ({BFLOAT16: RuntimeError('no such op\nand more')}, FLOAT32,
     'openvino bfloat16 cannot run this net: no such op, '
     'computed on openvino float32, 0% from float32 on 16 images')])
def test_the_fastest_engine_that_is_near_enough_is_chosen(choose, errors, kind, line):
    assert choose(errors)[0] == (kind, line)


def test_it_is_measured_once_until_engine_or_record_change(choose, tmp_path):
    first, measured = choose({BFLOAT16: 0.02})
    assert measured == [BFLOAT16]
    assert choose({BFLOAT16: 0.5}) == (first, []), 'the record counts'
    choose.version[0] = '2'
    (kind, _), measured = choose({BFLOAT16: 0.5})
    assert kind == FLOAT32 and measured == [BFLOAT16, FLOAT32]
    for name in os.listdir(str(tmp_path / 'feature_engines')):
        (tmp_path / 'feature_engines' / name).write_text('{"kind": ["rm", "-rf"], "line": 7}')
    assert choose({BFLOAT16: 0.02}) == (first, [BFLOAT16])


def test_tensorflow_is_compared_with_nothing(choose, tmp_path):
    assert choose({}, wanted=engines.EXACT) == ((engines.EXACT, ''), [])
    assert not os.listdir(str(tmp_path))
