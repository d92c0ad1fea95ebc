"""Training on the records that people have: made by any script, in every image format, damaged."""
import os
import shutil

import numpy as np
import pytest
from data_folders import stored
from PIL import Image

from slimtune.datasets import dataset_utils
from slimtune.runtime import tf

LENET = ['train', '--train_dir=run', '--dataset_dir=data', '--dataset_name=mine', '--model_name=lenet',
         '--batch_size=4', '--max_number_of_steps=3', '--seed=1']


def encoded(number, mode='RGB', form='JPEG', size=(40, 30)):
    """An image of noise as the bytes of a file; another `number` gives another image. size: width, height."""
    noise = np.random.RandomState(number).randint(0, 256, (size[1], size[0], 4), np.uint8)
    if mode == 'RGBA':
        return stored(Image.fromarray(noise, mode), form)
    return stored(Image.fromarray(noise[:, :, :3].copy()).convert(mode), form)


#: An object in the middle of an image, as fractions of its sides.
BOX = {'ymin': 0.25, 'xmin': 0.25, 'ymax': 0.75, 'xmax': 0.75}


@pytest.fixture
def write_records(tmp_path):
    """write_records([(bytes, label), ...], count=1, box=None, names=...) writes slim's records and label.txt.

    count: shards. box: of every image. names: of the classes. Returns the folder, tmp_path / 'data'.
    """
    folder = tmp_path / 'data'

    def write(images, count=1, box=None, names=('a', 'b', 'c')):
        folder.mkdir(exist_ok=True)
        (folder / 'label.txt').write_text('\n'.join(names))
        for shard in range(count):
            path = folder / f'mine_train_{shard:05}-of-{count:05}.tfrecord'
            with tf.python_io.TFRecordWriter(str(path)) as writer:
                for data, label in images[shard::count]:
                    example = dataset_utils.image_to_tfexample(data, b'jpg', 30, 40, label)
                    for side, value in (box or {}).items():
                        example.features.feature[f'image/object/bbox/{side}'].float_list.value.append(value)
                    writer.write(example.SerializeToString())
        return folder
    return write


def noise_images(count=6):
    """So many images of noise, labelled 0, 1, 2, 0, ...: [(bytes, label), ...]."""
    return [(encoded(n), n % 3) for n in range(count)]


def test_the_folder_form_trains_on_records_moved_by_hand_without_a_manifest(here, trained, tmp_path):
    data = tmp_path / 'data'
    data.mkdir()
    for path in (trained / 'pic').glob('pic_train*'):
        shutil.copyfile(str(path), str(data / path.name.replace('pic', 'mine')))
    shutil.copyfile(str(trained / 'pic/label.txt'), str(data / 'label.txt'))
    assert '49 images, 3 classes' in here('train', 'data', '--model', 'lenet', '--max-number', 1)


@pytest.mark.parametrize('box', [None, BOX], ids=['without', 'with'])
def test_records_with_and_without_boxes_train_with_inceptions_crops(here, write_records, box):
    write_records(noise_images(), count=2, box=box)
    assert 'Saved step 3' in here(*LENET, '--preprocessing_name=inception', '--train_image_size=32')


@pytest.mark.parametrize('preprocessing', ['inception', 'vgg', 'lenet'])
def test_images_of_every_mode_and_format_in_one_shard_are_all_trained_on(here, write_records, preprocessing):
    kinds = [('L', 'JPEG'), ('RGB', 'JPEG'), ('CMYK', 'JPEG'), ('RGBA', 'PNG'), ('L', 'PNG'), ('LA', 'PNG'),
             ('P', 'PNG'), ('P', 'GIF')]
    write_records([(encoded(n, *kind), n % 3) for n, kind in enumerate(kinds)])
    for flags in ([], ['--use_grayscale', '--train_dir=grey']):
        printed = here(*LENET, *flags, '--batch_size=8', '--train_image_size=32',
                       f'--preprocessing_name={preprocessing}')
        assert '8 images' in printed and 'Saved step 3' in printed


def test_use_grayscale_and_train_image_size_shape_the_net(here, write_records, values):
    write_records(noise_images())
    here(*LENET, '--use_grayscale', '--model_name=cifarnet')
    assert values('run')['CifarNet/conv1/weights'].shape == (5, 5, 1, 64)
    here(*LENET, '--train_dir=colour', '--train_image_size=20')
    assert values('colour')['LeNet/conv1/weights'].shape[2] == 3
    assert values('colour')['LeNet/fc3/weights'].shape[0] == 5 * 5 * 64


@pytest.mark.slow
def test_a_damaged_image_in_the_records_ends_training_with_one_line(slimtune, write_records):
    write_records(noise_images() + [(encoded(9)[:200], 1), (b'no image', 2)])
    for flags in ([], ['--preprocessing_name=inception', '--train_dir=other']):
        printed = slimtune(*LENET, *flags, '--max_number_of_steps=50', code=1).stderr
        # libjpeg prints its own warnings first.
        last = printed.splitlines()[-1]
        assert last.startswith('slimtune: a record holds no image that can be decoded (')
        assert last.endswith('): convert the images again')


def test_a_damaged_record_ends_training_with_one_line(here, write_records):
    shard = write_records(noise_images(), count=3) / 'mine_train_00001-of-00003.tfrecord'
    whole = shard.read_bytes()
    shard.write_bytes(whole[:300] + bytes(40) + whole[340:])
    assert 'damaged' in here(*LENET, '--max_number_of_steps=20', code=1)
    assert not os.path.exists('run/model.ckpt-20.index')


def test_labels_offset_leaves_the_background_class_out(here, write_records, values, tmp_path):
    write_records([(encoded(n), n % 2 + 1) for n in range(6)], names=('background', 'a', 'b'))
    here(*LENET, '--labels_offset=1')
    assert values('run')['LeNet/fc4/biases'].shape == (2,)
    assert (tmp_path / 'run/labels.txt').read_text() == '0:a\n1:b\n'
    write_records(noise_images())
    assert '2 images of mine have such a label: use 0' in here(*LENET, '--labels_offset=1', code=1)


def test_three_images_are_trained_on_in_batches_of_sixteen(here, write_records, values):
    write_records(noise_images(3))
    printed = here(*LENET, '--batch_size=16', '--num_epochs_per_decay=1', '--log_every_n_steps=1',
                   '--learning_rate=0.001')
    assert 'global step 3: loss = ' in printed
    assert all(np.isfinite(value).all() for value in values('run').values())


def test_a_mistake_in_the_command_leaves_no_train_folder(here, write_records):
    write_records(noise_images())
    printed = here(*LENET, '--preprocessing_name=incepton', code=1)
    assert 'no preprocessing is called incepton: try inception' in printed
    assert 'lenets' in here(*LENET, '--model_name=lenets', code=1)
    assert 'no folder gone' in here(*LENET, '--dataset_dir=gone', code=1)
    assert 'which images?' in here('train', code=1)
    write_records([(encoded(n), n % 3 + 1) for n in range(6)])
    assert 'labels are 1 to 3 in the records' in here(*LENET, code=1)
    assert not os.path.exists('run')
