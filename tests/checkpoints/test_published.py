"""`slimtune download NET`: real checkpoints in archives like the published ones, from a real server."""
import os

import numpy as np
import pytest

from slimtune.checkpoints import published
from slimtune.checkpoints.checkpoint import Checkpoint
from slimtune.datasets import published_data
from slimtune.nets import nets_factory
from slimtune.options import Start
from slimtune.runtime import tf
from slimtune.storage import checksums
from slimtune.training.initial_weights import published_checkpoint

pytestmark = pytest.mark.usefixtures('cache')


@pytest.fixture
def saved(tmp_path):
    """saved(value, version) saves a checkpoint of one variable: {name: bytes}, names beginning model.ckpt."""
    def save(value, version=tf.train.SaverDef.V1):
        folder = tmp_path / f'saved {value}'
        folder.mkdir()
        with tf.Graph().as_default(), tf.Session() as session:
            variable = tf.get_variable('weights', initializer=np.float32([value] * 1000))
            session.run(variable.initializer)
            saver = tf.train.Saver([variable], write_version=version)
            saver.save(session, str(folder / 'model.ckpt'), write_state=False)
        return {path.name: path.read_bytes() for path in folder.iterdir()}
    return save


def value(prefix):
    return Checkpoint(prefix).value('weights')[0]


@pytest.fixture
def inception_v3(saved, tarred, mirror, monkeypatch):
    """The archive of 2016: one file of the old format. Served by the mirror."""
    monkeypatch.setenv('SLIMTUNE_MIRROR', mirror.url)
    mirror.files['inception_v3_2016_08_28.tar.gz'] = tarred({'inception_v3.ckpt': saved(3.0)['model.ckpt']})


def test_weights_of_2016_are_fetched_unpacked_and_found_again(download, inception_v3, mirror, cache):
    assert published.find_weights('inception_v3') is None
    printed = download('inception_v3')
    prefix = str(cache / 'weights' / 'inception_v3' / 'inception_v3.ckpt')
    assert published.find_weights('inception_v3') == prefix
    assert published.find_weights('inception_v3', str(cache / 'elsewhere')) is None
    assert value(prefix) == 3
    assert 'Nobody publishes a checksum of inception_v3_2016_08_28.tar.gz. Recorded' in printed
    assert printed.splitlines()[-1] == 'Next: slimtune train FOLDER --model inception_v3'
    assert 'was downloaded before' in download('inception-v3'.replace('-', '_')) and len(mirror.seen) == 1


def test_weights_count_as_used_where_training_starts_and_not_where_they_are_listed(
        download, inception_v3, cache):
    download('inception_v3')
    folder = str(cache / 'weights' / 'inception_v3')
    os.utime(folder, (1000, 1000))
    assert f'{folder}/inception_v3.ckpt' in download()
    assert os.stat(folder).st_mtime == 1000
    published_checkpoint('inception_v3', Start(), None)
    assert os.stat(folder).st_mtime > 1000


def test_weights_are_put_where_the_scripts_look_for_them(download, inception_v3, mirror, tmp_path):
    folder = tmp_path / 'checkpoints'
    download('inception_v3', '--output-dir', folder)
    assert [path.name for path in folder.iterdir()] == ['inception_v3.ckpt']
    assert value(str(folder / 'inception_v3.ckpt')) == 3
    printed = download('inception_v3', '--output-dir', folder, '--cache-dir', tmp_path / 'empty')
    assert f"is already in {folder / 'inception_v3.ckpt'}" in printed
    assert len(mirror.seen) == 1


def test_newer_archives_hold_a_checkpoint_of_several_files(download, saved, tarred, mirror, tmp_path):
    files = saved(2.0, tf.train.SaverDef.V2)
    mirror.files['mobilenet_v2_0.35_224.tgz'] = tarred(
        dict({'./' + name.replace('model', 'mobilenet_v2_0.35_224'): data for name, data in files.items()},
             **{'./mobilenet_v2_0.35_224_frozen.pb': b'not wanted'}))
    printed = download('mobilenet_v2_035', '--from', mirror.url)
    folder = os.path.dirname(published.find_weights('mobilenet_v2_035'))
    assert sorted(os.listdir(folder)) == [
        'mobilenet_v2_035.ckpt.data-00000-of-00001', 'mobilenet_v2_035.ckpt.index'], printed
    assert value(os.path.join(folder, 'mobilenet_v2_035.ckpt')) == 2


def test_of_two_checkpoints_the_moving_averages_are_taken(download, saved, tarred, tmp_path):
    contents = {}
    for folder, number in (('pristine', 1.0), ('ema', 4.0)):
        contents.update({'v3-large_224_1.0_float/%s/model-540000%s' % (folder, name[len('model.ckpt'):]): data
                         for name, data in saved(number, tf.train.SaverDef.V2).items()})
    (tmp_path / 'v3-large_224_1.0_float.tgz').write_bytes(tarred(contents))
    download('mobilenet_v3_large', '--from', tmp_path)
    assert value(published.find_weights('mobilenet_v3_large')) == 4


def test_an_archive_with_other_weights_is_refused_and_leaves_nothing(download, saved, tarred, mirror, cache):
    mirror.files['inception_v3_2016_08_28.tar.gz'] = tarred({'inception_v4.ckpt': saved(3.0)['model.ckpt']})
    assert 'should hold one checkpoint inception_v3.ckpt, but holds inception_v4.ckpt' in download(
        'inception_v3', '--from', mirror.url, code=1)
    assert published.find_weights('inception_v3') is None


def test_a_malicious_archive_is_refused_and_leaves_nothing(download, saved, tarred, mirror, cache, tmp_path):
    mirror.files['inception_v3_2016_08_28.tar.gz'] = tarred({'inception_v3.ckpt': saved(3.0)['model.ckpt'],
                                                              '../../../evil': b'evil'})
    printed = download('inception_v3', '--from', mirror.url, code=1)
    assert 'would land outside its folder, ../../../evil' in printed
    assert published.find_weights('inception_v3') is None and not list(tmp_path.rglob('evil'))


def test_an_archive_with_another_sum_than_the_published_one_is_refused(download, saved, tarred, tmp_path):
    archive = tmp_path / 'inception_v1_2016_08_28.tar.gz'
    archive.write_bytes(tarred({'inception_v1.ckpt': saved(1.0)['model.ckpt']}))
    printed = download('inception_v1', '--from', tmp_path, code=1)
    assert nets_factory.NETS['inception_v1'].weights.sha256 in printed
    assert archive.exists()


def test_a_net_without_published_weights_and_a_wrong_name_are_errors(download):
    assert 'nobody publishes weights of lenet' in download('lenet', code=1)
    assert 'did you mean inception_v3' in download('inception_v33', code=1)


def test_without_a_name_everything_that_can_be_downloaded_is_listed(download):
    printed = download()
    for name in list(published.all_weights()) + published_data.names():
        assert any(line.split()[:1] == [name] for line in printed.splitlines())


def test_the_one_command_that_gets_weights_is_printed(cache):
    line = published.how_to_get('inception_v3')
    assert line.startswith('slimtune download inception_v3 ') and '\n' not in line
    assert 'inception_v3_2016_08_28.tar.gz' in line and str(cache) in line
    assert published.how_to_get('lenet') == 'nobody publishes weights of lenet'


def test_a_record_names_an_archive_and_the_checkpoint_in_it():
    archives = [weights.archive for weights in published.all_weights().values()]
    assert len(archives) == len({archive.name for archive in archives}) == 32
    for archive in archives:
        assert archive.checkpoint and archive.address.startswith('https://')
        assert archive.sha256 is None or len(archive.sha256) == 64 and archive.size


def test_weights_for_another_image_size_are_fetched_by_their_archives_name(download, saved, tarred, tmp_path):
    archive, files = tmp_path / 'mobilenet_v1_0.25_128.tgz', saved(5.0, tf.train.SaverDef.V2)
    archive.write_bytes(tarred({name.replace('model', archive.stem): files[name] for name in files}))
    (tmp_path / 'sums').write_text(f'{checksums.sha256(str(archive))}  {archive.name}\n')
    printed = download('mobilenet_v1_0.25_128', '--from', tmp_path, '--checksums', tmp_path / 'sums')
    prefix = published.find_weights('mobilenet_v1_0.25_128')
    assert value(prefix) == 5
    assert printed.splitlines()[-1] == (
        'Next: slimtune train FOLDER --model mobilenet_v1_025 --train-image-size 128 '
        f'--checkpoint-path {prefix}')


def test_weights_that_no_folder_would_keep_are_not_downloaded(download, mirror, monkeypatch, tmp_path):
    monkeypatch.setattr('slimtune.storage.cache._fallback', [])
    printed = download('inception_v3', '--from', mirror.url, '--cache-dir', '/proc/x', code=1)
    assert 'no folder keeps the weights of inception_v3: add --cache-dir FOLDER or --output-dir' in printed
    assert not mirror.seen
