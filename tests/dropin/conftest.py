"""What slim's users bring: train folders that slim wrote, records without a manifest."""
import json
import os
import shutil

import pytest


@pytest.fixture(scope='session')
def flowers(real_data, slimtune_in, tmp_path_factory):
    """A folder of real flowers, flowers/train and flowers/validation, converted in the order of classes that slim had."""
    place = tmp_path_factory.mktemp('flowers')
    (place / 'flowers').mkdir()
    for split in ('train', 'validation'):
        os.symlink(os.path.join(real_data, 'flowers', split), str(place / 'flowers' / split))
    shutil.copy(os.path.join(real_data, 'slim_train_dirs', 'label.txt'), str(place / 'flowers'))
    slimtune_in(place)('convert', '-t', 'flowers', '--quiet')
    return place / 'flowers'


@pytest.fixture(scope='session')
def slims(real_data):
    """The folder with what slim's own train script left, and expected.json, what slim's net answers."""
    return os.path.join(real_data, 'slim_train_dirs')


@pytest.fixture(scope='session')
def expected(slims):
    """expected.json: {name of a run: {'correct', 'of', 'probabilities': {image: [by class]}}}."""
    with open(os.path.join(slims, 'expected.json'), encoding='utf-8') as f:
        return json.load(f)


@pytest.fixture(scope='session')
def grey_records(digits, tmp_path_factory):
    """A folder of records as slim's converters wrote them, no manifest: mine_train_*.tfrecord (48 handwritten digits in two
    shards), mine_validation_* (12 in one) and labels.txt, 0:zero to 2:two."""
    from slimtune.datasets import dataset_utils
    from slimtune.runtime import tf
    folder = tmp_path_factory.mktemp('records')
    names = ['zero', 'one', 'two']
    images = [(label, path) for label, name in enumerate(names) for path in sorted((digits / name).iterdir())]
    for shard, chosen in [('train_00000-of-00002', images[0::5] + images[1::5]),
                          ('train_00001-of-00002', images[2::5] + images[3::5]),
                          ('validation_00000-of-00001', images[4::5])]:
        with tf.python_io.TFRecordWriter(str(folder / ('mine_%s.tfrecord' % shard))) as writer:
            for label, path in chosen:
                example = dataset_utils.image_to_tfexample(path.read_bytes(), b'png', 28, 28, label)
                writer.write(example.SerializeToString())
    dataset_utils.write_label_file(dict(enumerate(names)), str(folder))
    return folder
