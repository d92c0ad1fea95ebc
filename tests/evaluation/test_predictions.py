"""The files of all predictions: they are written in batches and read whole."""
import numpy as np
import pytest

from slimtune.errors import UserError
from slimtune.evaluation import predictions


def test_all_probabilities_of_a_large_split_pass_through_little_memory(tmp_path):
    """20,000 images of 1,000 classes are 80 MB: written in batches, they take a tenth of it."""
    tracemalloc = pytest.importorskip('tracemalloc')
    path, parts = str(tmp_path / 'probabilities.npz'), []
    rows = np.random.RandomState(0).rand(100, 1000).astype(np.float32)
    tracemalloc.start()
    with predictions.probabilities_file(path, 20000, 1000) as file:
        for n in range(200):
            names = [b'class/image %d.jpg' % (100 * n + i) for i in range(100)]
            part, probabilities = predictions.decide(rows * (n + 1), np.arange(100), names, 5)
            file.append(probabilities)
            parts.append(part)
        together = predictions.join(parts)
        file.finish(together, [f'class {n}' for n in range(1000)], 'f' * 64, 7, 'train')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    kept = predictions.read_probabilities(path)
    assert kept.probabilities.shape == (20000, 1000) and kept.file_names[-1] == 'class/image 19999.jpg'
    np.testing.assert_array_equal(kept.probabilities[-100:], probabilities)
    assert np.array_equal(kept.probabilities.argmax(1), together.classes)
    assert (kept.step, kept.split) == (7, 'train')


def test_records_that_hold_fewer_images_than_counted_are_an_error(tmp_path):
    part, probabilities = predictions.decide(np.eye(3, dtype=np.float32), np.arange(3), [b'a'] * 3, 2)
    with pytest.raises(UserError, match='3 images were read from the records, but 4 were counted: convert'), \
            predictions.probabilities_file(str(tmp_path / 'p.npz'), 4, 3) as file:
        file.append(probabilities)
        file.finish(part, list('abc'), 'f' * 64, 7, 'train')


@pytest.mark.parametrize('contents', [b'', b'mine', b'PK\x05\x06' + bytes(18)])
def test_another_file_is_not_read_as_probabilities(contents, tmp_path):
    (tmp_path / 'p.npz').write_bytes(contents)
    with pytest.raises(UserError, match='p.npz is not what slimtune eval writes, or damaged .*: evaluate'):
        predictions.read_probabilities(str(tmp_path / 'p.npz'))
