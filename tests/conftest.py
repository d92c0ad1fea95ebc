"""What all tests share: the command as a user runs it, real images, real folders."""
import os
import subprocess
import sys

import pytest

pytest_plugins = ['http_mirror']       # of tests/fixtures

BIN = os.path.dirname(sys.executable)
SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'scripts')
DIGITS = 20         # images of each class in the `images` fixture


def pytest_collection_modifyitems(items):
    """Marks every test that uses real images and weights as real: `make test` leaves those out."""
    for item in items:
        if 'real_data' in getattr(item, 'fixturenames', ()):
            item.add_marker('real')


@pytest.fixture(scope='session', autouse=True)
def own_cache(tmp_path_factory):
    """Features and downloads of the tests are kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SLIMTUNE_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(autouse=True)
def own_data_sets(monkeypatch):
    """What a test registers is forgotten after it."""
    from slimtune.datasets import dataset_factory
    monkeypatch.setattr(dataset_factory, '_registered', dict(dataset_factory.registered()))


@pytest.fixture
def slimtune(tmp_path):
    """slimtune(*words, code=0, **environment) runs the installed command in tmp_path; returns the process.

    Fails for another exit code and for any traceback. `output` is what it printed on both streams.
    """
    return runner(tmp_path)


def runner(folder):
    """The function that the `slimtune` fixture is, running in `folder`."""
    def run(*words, code=0, **environment):
        process = subprocess.run(
            [os.path.join(BIN, 'slimtune')] + [str(word) for word in words], cwd=str(folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
            timeout=600, env=dict(os.environ, PYTHONIOENCODING='utf-8', **environment))
        process.output = process.stdout + process.stderr
        assert 'Traceback' not in process.output, process.output
        assert process.returncode == code, process.output
        return process
    return run


@pytest.fixture(scope='session')
def slimtune_in():
    """slimtune_in(folder) is the `slimtune` fixture for another folder."""
    return runner


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A folder of real images, zero/*.png to two/*.png: DIGITS handwritten digits each, 28 pixels square."""
    pytest.importorskip('sklearn')
    folder = tmp_path_factory.mktemp('digits') / 'all'
    words = [sys.executable, os.path.join(SCRIPTS, 'digits.py'), str(folder), '0', '1', '2']
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    for place in folder.iterdir():
        for surplus in sorted(place.iterdir())[DIGITS:]:
            surplus.unlink()
    return folder


@pytest.fixture(scope='session')
def trained(digits, tmp_path_factory):
    """A folder: `pic` has the digits, converted, and `pic_lenet` a lenet trained on them for 60 steps.

    Shared: a test that changes anything copies it first.
    """
    import shutil
    place = tmp_path_factory.mktemp('trained')
    shutil.copytree(str(digits), str(place / 'pic'))
    runner(place)('train', 'pic', '--model', 'lenet', '--max-number-of-steps', 60, '--quiet')
    return place


@pytest.fixture(scope='session')
def exported(trained, tmp_path_factory):
    """What `slimtune export` makes of the `trained` net: its folder."""
    place = tmp_path_factory.mktemp('exported')
    runner(place)('export', trained / 'pic_lenet', '--output-dir', 'export', '--quiet')
    return place / 'export'


@pytest.fixture(scope='session')
def grey_records(digits, tmp_path_factory):
    """A folder of records as slim's converters wrote them, without a manifest: mine_train_*.tfrecord (48
    digits in two shards), mine_validation_* (12 in one) and labels.txt, 0:zero to 2:two."""
    from slimtune.datasets import dataset_utils
    from slimtune.runtime import tf
    folder = tmp_path_factory.mktemp('records')
    names = ['zero', 'one', 'two']
    images = [(label, path) for label, name in enumerate(names) for path in sorted((digits / name).iterdir())]
    for shard, chosen in [('train_00000-of-00002', images[0::5] + images[1::5]),
                          ('train_00001-of-00002', images[2::5] + images[3::5]),
                          ('validation_00000-of-00001', images[4::5])]:
        with tf.python_io.TFRecordWriter(str(folder / (f'mine_{shard}.tfrecord'))) as writer:
            for label, path in chosen:
                example = dataset_utils.image_to_tfexample(path.read_bytes(), b'png', 28, 28, label)
                writer.write(example.SerializeToString())
    dataset_utils.write_label_file(dict(enumerate(names)), str(folder))
    return folder


@pytest.fixture(scope='session')
def real_data():
    """The folder of real images and weights that SLIMTUNE_TEST_DATA names; skips without."""
    folder = os.environ.get('SLIMTUNE_TEST_DATA')
    if not folder:
        pytest.skip('needs real images and weights: set SLIMTUNE_TEST_DATA to their folder')
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, capfd):
    """here(*words, code=0): as `slimtune`, but in this process, where TensorFlow is loaded.

    Returns the output of both streams. A failure must be one line on standard error.
    """
    from slimtune import cli
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        capfd.readouterr()
        ended = cli.main([str(word) for word in words])
        said = capfd.readouterr()
        assert ended == code, said.out + said.err
        if code in (1, 2):
            assert said.err.count('\n') == 1 and said.err.startswith('slimtune: '), said.err
        return said.out + said.err
    return run


@pytest.fixture
def said_by(capsys):
    """said_by(command, *words, code=0) runs a command that needs no TensorFlow here; returns its output."""
    from slimtune import cli

    def run(command, *words, code=0):
        ended = cli.main([command] + [str(word) for word in words])
        said = capsys.readouterr()
        assert ended == code, said
        if code:
            assert said.err.count('\n') == 1 and said.err.startswith('slimtune: '), said.err
        return said.err if code else said.out
    return run


@pytest.fixture(scope='session')
def values():
    """values(path): {name: array} of a checkpoint, of the latest one where `path` is a folder."""
    from slimtune.checkpoints.checkpoint import Checkpoint

    def read(path):
        saved = Checkpoint(str(path))
        return {name: saved.value(name) for name in saved.shapes}
    return read


@pytest.fixture(scope='session')
def save_variables():
    """save_variables({name: array}, path, v1=False) writes a checkpoint; v1: one file, the format of 2016."""
    from slimtune.runtime import tf

    def save(variables, path, v1=False):
        with tf.Graph().as_default(), tf.Session() as session:
            for name, value in variables.items():
                tf.get_variable(name, initializer=value)
            session.run(tf.global_variables_initializer())
            saver = tf.train.Saver(write_version=tf.train.SaverDef.V1 if v1 else tf.train.SaverDef.V2)
            return saver.save(session, str(path), write_meta_graph=False, write_state=False)
    return save


@pytest.fixture(scope='session')
def weights_of():
    """weights_of(net, num_classes): {name: array} of random weights and statistics for a net."""
    import numpy as np

    from slimtune.checkpoints import matching
    from slimtune.nets import nets_factory
    around = {'moving_variance': 1, 'gamma': 1}

    def draw(net, num_classes):
        rng = np.random.RandomState(0)
        shapes = matching.compute_shapes(nets_factory.get_net(net), num_classes)

        def value(name, shape):
            if len(shape) == 1:
                return rng.normal(around.get(name.split('/')[-1], 0), 0.01, shape)
            inputs = np.prod(shape[:2 if 'depthwise' in name else -1])
            return rng.normal(0, np.sqrt(2 / inputs), shape)    # He et al. 2015
        return {name: value(name, shape).astype(np.float32) for name, shape in shapes.items()}
    return draw
