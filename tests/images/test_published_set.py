"""`slimtune download DATA_SET`: archives in the published formats become records that slim reads too."""
import gzip
import io
import json
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from slimtune.datasets import cifar10, dataset_factory, manifest
from slimtune.runtime import slim, tf

pytestmark = pytest.mark.usefixtures('cache')


def records(folder, name, split):
    """A split's records: [{feature: values}]."""
    found = []
    for path in dataset_factory.get_dataset(name, split, str(folder)).data_sources:
        for record in tf.python_io.tf_record_iterator(path):
            features = tf.train.Example.FromString(record).features.feature
            found.append({key: list(getattr(value, value.WhichOneof('kind')).value)
                          for key, value in features.items()})
    return found


def box_of(record):
    """An image's first box: (xmin, ymin, xmax, ymax), as fractions."""
    return [record[f'image/object/bbox/{side}'][0] for side in ('xmin', 'ymin', 'xmax', 'ymax')]


def pixels(record):
    return np.asarray(Image.open(io.BytesIO(record['image/encoded'][0])))


# MNIST

def test_mnist_becomes_slims_two_files_and_slim_reads_them(
        download, mirror, mnist_digits, pinned, tmp_path, monkeypatch):
    files, truth = mnist_digits
    mirror.files.update(files)
    pinned(files)
    monkeypatch.setenv('SLIMTUNE_MIRROR', mirror.url)
    folder = tmp_path / 'mnist'
    said = download('--dataset_name=mnist', '--dataset_dir=%s' % folder)
    assert sorted(os.listdir(str(folder))) == [
        'dataset.json', 'label.txt', 'labels.txt', 'mnist_test.tfrecord', 'mnist_train.tfrecord']
    assert said.splitlines()[-1] == 'Next: slimtune train %s --model lenet' % folder
    for split, (images, labels) in truth.items():
        found = records(folder, 'mnist', split)
        assert [record['image/class/label'][0] for record in found] == labels.tolist()
        for n in range(0, len(found), 97):
            assert found[n]['image/format'] == [b'png']
            np.testing.assert_array_equal(pixels(found[n]), images[n])      # grey: no third dimension
    with tf.Graph().as_default():
        dataset = dataset_factory.get_dataset('mnist', 'train', str(folder))
        assert (dataset.num_samples, dataset.channels, dataset.class_names[7]) == (1400, 1, 'seven')
        provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False, num_readers=1)
        image, label = provider.get(['image', 'label'])
        with tf.Session() as session, slim.queues.QueueRunners(session):
            first, number = session.run([image, label])
    np.testing.assert_array_equal(first[..., 0], truth['train'][0][0])
    assert number == truth['train'][1][0]
    assert 'mnist was downloaded before: 1400 train, 397 test' in download('mnist', '--dataset-dir', folder)


def test_fashion_in_mnists_format_is_not_taken_for_mnist(download, mirror, mnist_digits, tmp_path):
    mirror.files.update(mnist_digits[0])
    said = download('mnist', '--dataset-dir', tmp_path / 'mnist', '--from', mirror.url, code=1)
    assert 'is not train-images-idx3-ubyte.gz: %d bytes long instead of 9912422' % len(
        mnist_digits[0]['train-images-idx3-ubyte.gz']) in said
    assert not (tmp_path / 'mnist').exists()


@pytest.mark.parametrize('damage', [
    lambda images: images[:-1],
    lambda images: struct.pack('>4I', 0x801, *struct.unpack('>3I', images[4:16])) + images[16:],
    lambda images: b''], ids=['cut short', 'of another kind', 'empty'])
def test_a_file_that_is_no_idx_is_refused(download, mnist_digits, pinned, tmp_path, damage):
    files = dict(mnist_digits[0])
    name = 't10k-images-idx3-ubyte.gz'
    files[name] = gzip.compress(damage(gzip.decompress(files[name])))
    for each, data in files.items():
        (tmp_path / each).write_bytes(data)
    pinned(files)
    message = download('mnist', '--dataset-dir', tmp_path / 'mnist', '--from', tmp_path, code=1)
    assert f'{name} is no whole IDX file' in message
    assert not (tmp_path / 'mnist').exists()


# CIFAR-10

class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: byte strings, where today's Python has two kinds."""
    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        short = len(data) < 256
        self.write((b'U' + bytes([len(data)]) if short else b'T' + struct.pack('<i', len(data))) + data)
        self.memoize(text)
    dispatch[str] = dispatch[bytes] = save_string


def cifar_batch(rows, labels):
    stream = io.BytesIO()
    Python2Pickler(stream, 2).dump({'batch_label': 'a batch', 'labels': labels, 'data': rows,
                                    'filenames': ['%d.png' % n for n in labels]})
    return stream.getvalue()


@pytest.fixture
def cifar():
    """CIFAR-10's images by batch: {name: (uint8 [n, 3072], labels)}."""
    rng = np.random.RandomState(0)
    names = ['data_batch_%d' % n for n in range(1, 6)] + ['test_batch']
    return {name: (rng.randint(0, 256, (12, 3072)).astype(np.uint8), [int(n) for n in rng.randint(0, 10, 12)])
            for name in names}


def test_cifar10_becomes_slims_two_files(download, cifar, tarred, pinned, tmp_path):
    contents = {'cifar-10-batches-py/' + name: cifar_batch(*batch) for name, batch in cifar.items()}
    files = {'cifar-10-python.tar.gz': tarred(dict(contents, **{'cifar-10-batches-py/readme.html': b'...'}))}
    (tmp_path / 'cifar-10-python.tar.gz').write_bytes(files['cifar-10-python.tar.gz'])
    pinned(files)
    folder = tmp_path / 'cifar10'
    download('cifar10', '--dataset-dir', folder, '--from', tmp_path / 'cifar-10-python.tar.gz')
    assert sorted(os.listdir(str(folder))) == [
        'cifar10_test.tfrecord', 'cifar10_train.tfrecord', 'dataset.json', 'label.txt', 'labels.txt']
    train, test = records(folder, 'cifar10', 'train'), records(folder, 'cifar10', 'test')
    assert (len(train), len(test)) == (60, 12)
    rows, labels = cifar['data_batch_2']
    for n in range(12):
        np.testing.assert_array_equal(pixels(train[12 + n]), rows[n].reshape(3, 32, 32).transpose(1, 2, 0))
        assert train[12 + n]['image/class/label'] == [labels[n]] and train[12 + n]['image/format'] == [b'png']
        assert train[12 + n]['image/class/text'] == [cifar10.CLASS_NAMES[labels[n]].encode()]


@pytest.mark.parametrize('batch, said', [
    (pickle.dumps(os.getcwd), 'asks for .*getcwd: only arrays'),
    (cifar_batch(np.zeros([3, 100], np.uint8), [1, 2, 3]), 'is no batch of CIFAR-10'),
    (cifar_batch(np.zeros([1, 3072], np.uint8), [10]), 'is no batch of CIFAR-10'),
    (pickle.dumps([1]), 'is no batch of CIFAR-10')], ids=['code', 'wrong shape', 'wrong label', 'a list'])
def test_a_batch_that_is_none_is_refused(download, cifar, tarred, pinned, tmp_path, batch, said):
    contents = {'c/' + name: cifar_batch(*sample_images) for name, sample_images in cifar.items()}
    contents['c/data_batch_3'] = batch
    archive = tarred(contents)
    (tmp_path / 'cifar-10-python.tar.gz').write_bytes(archive)
    pinned({'cifar-10-python.tar.gz': archive})
    line = download('cifar10', '--dataset-dir', tmp_path / 'cifar10', '--from', tmp_path, code=1)
    assert 'data_batch_3' in line and re.search(said, line)
    assert not (tmp_path / 'cifar10').exists()


# Flowers

@pytest.fixture
def flowers(jpeg, tarred, pinned, tmp_path):
    """flower_photos.tgz with 8 photographs of each kind, one truncated; in a folder, its checksum pinned."""
    kinds = ['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips']
    contents = {f'flower_photos/{kind}/{n}.jpg': jpeg(100 * k + n)
                for k, kind in enumerate(kinds) for n in range(8)}
    contents['flower_photos/roses/3.jpg'] = contents['flower_photos/roses/3.jpg'][:200]
    contents['flower_photos/LICENSE.txt'] = b'CC-BY'
    archive = tarred(contents)
    (tmp_path / 'flower_photos.tgz').write_bytes(archive)
    pinned({'flower_photos.tgz': archive})
    return contents


def test_flowers_become_slims_files_split_the_same_way_every_time(download, flowers, tmp_path):
    for name in ('one', 'two'):
        download('flowers', '--dataset-dir', tmp_path / name, '--from', tmp_path)
    folder = tmp_path / 'one'
    expected = [f'flowers_{split}_{n:05d}-of-{total:05d}.tfrecord'
                for split, total in (('train', 5), ('validation', 4)) for n in range(total)]
    assert sorted(os.listdir(str(folder))) == sorted(expected + ['dataset.json', 'label.txt', 'labels.txt'])
    for name in expected:
        assert (folder / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()
    train, validation = records(folder, 'flowers', 'train'), records(folder, 'flowers', 'validation')
    assert (len(train), len(validation)) == (35, 4), 'one is truncated'
    for record in train + validation:
        assert record['image/encoded'] == [flowers['flower_photos/' + record['image/filename'][0].decode()]]
        assert record['image/filename'][0].startswith(record['image/class/text'][0] + b'/')
    written = manifest.load(str(folder))
    assert [one.file for one in written.left_out] == ['roses/3.jpg']
    assert (folder / 'labels.txt').read_text().splitlines()[2] == '2:roses'


def test_a_folder_of_another_data_set_is_left_alone(download, flowers, tmp_path):
    download('flowers', '--dataset-dir', tmp_path / 'data', '--from', tmp_path)
    message = download('mnist', '--dataset-dir', tmp_path / 'data', code=1)
    assert 'holds the data set flowers: choose another' in message
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'label.txt').write_text('good\nbad\n')
    message = download('flowers', '--dataset-dir', tmp_path / 'mine', '--from', tmp_path, code=1)
    assert 'names other classes (good' in message


def test_a_downloaded_data_set_that_lost_a_shard_is_downloaded_again(download, flowers, tmp_path, said_by):
    folder = tmp_path / 'my flowers'
    words = ['flowers', '--dataset-dir', folder, '--from', tmp_path]
    download(*words)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / 'flowers_train_00001-of-00005.tfrecord').unlink()
    (folder / 'flowers_validation_00002-of-00004.tfrecord').write_bytes(b'')
    (folder / 'thesis.txt').write_text('mine')
    message = said_by('train', folder, '--model', 'lenet', code=1)
    assert message == (f"slimtune: {folder}/flowers_train_00001-of-00005.tfrecord is gone: "
                       f"slimtune download flowers --dataset-dir '{folder}' downloads it again\n")
    assert 'has lost records of flowers: downloading it again' in download(*words)
    whole['thesis.txt'] = b'mine'
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_downloading_again_removes_no_file_but_its_own(download, flowers, tmp_path):
    folder = tmp_path / 'data'
    words = ['flowers', '--dataset-dir', folder, '--from', tmp_path]
    download(*words)
    content = json.loads((folder / 'dataset.json').read_text())
    (folder / 'thesis.txt').write_text('mine')
    content['splits']['train']['shards'].append({'name': 'thesis.txt', 'bytes': 9, 'records': 0})
    (folder / 'dataset.json').write_text(json.dumps(content))
    download(*words)
    assert (folder / 'thesis.txt').read_text() == 'mine'
    content['source'] = '.'     # images of the user, converted in a folder called flowers
    (folder / 'dataset.json').write_text(json.dumps(content))
    assert 'convert the images again' in download(*words, code=1)


def test_slims_own_records_are_left_as_they_are(download, tmp_path):
    for split in ('train', 'test'):
        (tmp_path / ('mnist_%s.tfrecord' % split)).write_bytes(b'slim wrote this')
    assert 'left as they are' in download('mnist', '--dataset-dir', tmp_path)
    assert (tmp_path / 'mnist_train.tfrecord').read_bytes() == b'slim wrote this'


# What the user brings

def test_imagenet_becomes_slims_files_and_labels(download, jpeg, tarred, tmp_path):
    synsets = ['n%08d' % (7 * n + 1) for n in range(1000)]
    small = jpeg(0, (16, 12))
    training = {f'{synset}.tar': tarred({f'{synset}_1.JPEG': small if n else jpeg(1)}, 'w')
                for n, synset in enumerate(synsets)}
    own = tmp_path / 'own'
    own.mkdir()
    (own / 'ILSVRC2012_img_train.tar').write_bytes(tarred(dict(reversed(list(training.items()))), 'w'))
    validation = {'ILSVRC2012_val_%08d.JPEG' % n: jpeg(1000 + n) for n in range(1, 21)}
    (own / 'ILSVRC2012_img_val.tar').write_bytes(tarred(validation, 'w'))
    assert 'lists 0 synsets for 20 validation images' in download(
        'imagenet', '--from', own, '--dataset-dir', tmp_path / 'imagenet', code=1)
    of_validation = ''.join(f'{synsets[-n]}\n' for n in range(1, 21))
    (own / 'imagenet_2012_validation_synset_labels.txt').write_text(of_validation)
    (own / 'imagenet_metadata.txt').write_text('%s\ttench, Tinca tinca\n' % synsets[0])
    (own / 'imagenet_2012_bounding_boxes.csv').write_text('%s_1.JPEG,0.1,0.2,0.3,0.4\n' % synsets[0])
    folder = tmp_path / 'imagenet'
    download('imagenet', '--from', own, '--dataset-dir', folder)
    assert {'train-00000-of-01000', 'validation-00019-of-00020'} <= set(os.listdir(str(folder)))
    train = {record['image/filename'][0].decode(): record for record in records(folder, 'imagenet', 'train')}
    assert {name: record['image/class/label'][0] for name, record in train.items()} == {
        '%s/%s_1.JPEG' % (synset, synset): label for label, synset in enumerate(synsets, 1)}
    first = train['%s/%s_1.JPEG' % (synsets[0], synsets[0])]
    assert first['image/class/text'] == [b'tench, Tinca tinca'] and first['image/encoded'] == [jpeg(1)]
    assert first['image/class/synset'] == [synsets[0].encode()]
    assert box_of(first) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    for record in records(folder, 'imagenet', 'validation'):
        name = record['image/filename'][0].decode()
        assert record['image/encoded'] == [validation[name]]
        assert record['image/class/label'] == [1001 - int(name[-13:-5])]


def test_imagenet_without_its_archives_says_what_to_bring(download, tmp_path):
    message = download('imagenet', code=1)
    assert 'cannot be downloaded by everybody: add --from FOLDER, a folder with ILSVRC2012' in message
    assert 'no ILSVRC2012_img_train.tar in' in download('imagenet', '--from', tmp_path, code=1)


def coco(split, areas, size=(40, 32)):
    """A COCO file. areas: of the persons in each image, as shares."""
    images = [{'id': n, 'file_name': f'COCO_{split}2014_{n:012d}.jpg', 'width': size[0],
               'height': size[1]} for n in range(len(areas))]
    annotations = [{'image_id': n, 'category_id': 1, 'area': share * size[0] * size[1],
                    'bbox': [4, 8, 20, 16]} for n, shares in enumerate(areas) for share in shares]
    annotations += [{'image_id': n, 'category_id': 18, 'area': 900.0, 'bbox': [0, 0, 30, 30]}
                    for n in range(len(areas))]
    return {'images': images, 'annotations': annotations,
            'categories': [{'id': 1, 'name': 'person'}, {'id': 18, 'name': 'dog'}]}


@pytest.mark.parametrize('packed', [True, False], ids=['zips', 'folders'])
def test_visual_wake_words_are_persons_larger_than_half_a_percent(download, jpeg, tmp_path, packed):
    files = {'annotations_trainval2014.zip': {}}
    areas = {'train': [[], [0.006], [0.004, 0.004], [0.005], [0.2, 0.001]], 'val': [[0.5], []]}
    for split, shares in areas.items():
        labelled = coco(split, shares)
        name = f'annotations/instances_{split}2014.json'
        files['annotations_trainval2014.zip'][name] = json.dumps(labelled).encode()
        files[f'{split}2014.zip'] = {f'{split}2014/{image["file_name"]}': jpeg(image['id'])
                                     for image in labelled['images']}
    own = tmp_path / 'coco'
    own.mkdir()
    for archive, contents in files.items():
        with zipfile.ZipFile(str(own / archive), 'w') as zipped:
            for name, data in contents.items():
                zipped.writestr(name, data)
        if not packed:
            with zipfile.ZipFile(str(own / archive)) as zipped:
                zipped.extractall(str(own))
            (own / archive).unlink()
    folder = tmp_path / 'vww'
    download('visualwakewords', '--from', own, '--dataset-dir', folder)
    names = os.listdir(str(folder))
    assert 'train.record-00000-of-00005' in names and 'val.record-00001-of-00002' in names
    train = records(folder, 'visualwakewords', 'train')
    assert [record['image/class/label'][0] for record in train] == [0, 1, 0, 0, 1]
    assert [record['image/class/label'][0] for record in records(folder, 'visualwakewords', 'val')] == [1, 0]
    assert len(train[4]['image/object/bbox/xmin']) == 1, 'the small person has no box'
    assert box_of(train[1]) == pytest.approx([0.1, 0.25, 0.6, 0.75])
    assert (folder / 'labels.txt').read_text() == '0:background\n1:person\n'
