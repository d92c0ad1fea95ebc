"""What training makes of the data that people have: shards of slim's or somebody's own script, moved, cut, mislabelled."""
import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from slimtune.datasets import dataset_utils
from slimtune.runtime import tf

LENET = ['train', '--train_dir=there', '--dataset_dir=data', '--dataset_name=mine', '--model_name=lenet', '--batch_size=4',
         '--max_number_of_steps=3', '--seed=1']


def encoded(number, mode='RGB', format='JPEG', size=(40, 30)):
    """An image of noise that no other number gives, as bytes."""
    noise = np.random.RandomState(number).randint(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(noise, 'RGBA') if mode == 'RGBA' else Image.fromarray(noise[:, :, :3].copy()).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def shards(tmp_path):
    """shards([(image, label), ...], count=1, boxes=False): writes slim's records, and the label file of three classes."""
    def write(sample_images, count=1, split='train', boxes=False, names='a\nb\nc\n', folder='data'):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / 'label.txt').write_text(names)
        for shard in range(count):
            path = tmp_path / folder / ('mine_%s_%05d-of-%05d.tfrecord' % (split, shard, count))
            with tf.python_io.TFRecordWriter(str(path)) as writer:
                for sample_image, label in sample_images[shard::count]:
                    example = dataset_utils.image_to_tfexample(sample_image, b'jpg', 30, 40, label)
                    for side, value in (('ymin', 0.25), ('xmin', 0.25), ('ymax', 0.75), ('xmax', 0.75)) if boxes else ():
                        example.features.feature['image/object/bbox/' + side].float_list.value.append(value)
                    writer.write(example.SerializeToString())
        return tmp_path / folder
    return write


def some(count=6, **kind):
    """So many images, labelled 0, 1, 2, 0, ..."""
    return [(encoded(n, **kind), n % 3) for n in range(count)]


def test_shards_and_label_file_moved_by_hand_without_a_manifest_are_enough(here, trained, tmp_path):
    data = tmp_path / 'data'
    data.mkdir()
    for path in (trained / 'pic').glob('pic_train*'):
        shutil.copyfile(str(path), str(data / path.name.replace('pic', 'mine')))
    shutil.copyfile(str(trained / 'pic/label.txt'), str(data / 'label.txt'))
    assert '49 images, 3 classes' in here(*LENET)
    assert '49 images, 3 classes' in here('train', 'data', '--model', 'lenet', '--max-number', 1)


@pytest.mark.parametrize('boxes', [False, True])
def test_records_with_and_without_boxes_train_with_inceptions_crops(here, shards, boxes):
    shards(some(), count=2, boxes=boxes)
    assert 'Saved step 3' in here(*LENET + ['--preprocessing_name=inception', '--train_image_size=32'])


@pytest.mark.parametrize('preprocessing', ['inception', 'vgg', 'lenet'])
def test_grey_alpha_cmyk_and_png_images_in_one_file_are_all_trained_on(here, shards, preprocessing):
    kinds = [('L', 'JPEG'), ('RGB', 'JPEG'), ('CMYK', 'JPEG'), ('RGBA', 'PNG'), ('L', 'PNG'), ('LA', 'PNG'), ('P', 'PNG'),
             ('P', 'GIF')]
    shards([(encoded(n, *kind), n % 3) for n, kind in enumerate(kinds)])
    for flags in ([], ['--use_grayscale', '--train_dir=grey']):
        said = here(*LENET + flags + ['--batch_size=8', '--train_image_size=32', '--preprocessing_name=' + preprocessing])
        assert '8 images' in said and 'Saved step 3' in said


def test_grey_training_has_one_channel(here, shards, values):
    shards(some())
    here(*LENET + ['--use_grayscale', '--model_name=cifarnet'])
    assert values('there')['CifarNet/conv1/weights'].shape == (5, 5, 1, 64)
    here(*LENET + ['--train_dir=colour', '--train_image_size=20'])
    assert values('colour')['LeNet/conv1/weights'].shape[2] == 3
    assert values('colour')['LeNet/fc3/weights'].shape[0] == 5 * 5 * 64


@pytest.mark.slow
def test_a_broken_image_in_the_records_ends_training_with_one_line(slimtune, shards):
    shards(some() + [(encoded(9)[:200], 1), (b'no image', 2)])
    for flags in ([], ['--preprocessing_name=inception', '--train_dir=other']):
        said = slimtune(*LENET + flags + ['--max_number_of_steps=50'], code=1).stderr
        # libjpeg has its say before
        assert said.splitlines()[-1].startswith('slimtune: an image in the records cannot be decoded: convert the images')


def test_an_empty_a_missing_and_a_cut_shard_are_named(here, shards):
    data = shards(some(), count=3)
    second = data / 'mine_train_00001-of-00003.tfrecord'
    whole = second.read_bytes()
    second.write_bytes(b'')
    assert 'mine_train_00001-of-00003.tfrecord is empty' in here(*LENET, code=1)
    second.write_bytes(whole[:-20])
    assert 'mine_train_00001-of-00003.tfrecord is cut short' in here(*LENET, code=1)
    second.unlink()
    assert 'mine_train_00001-of-00003.tfrecord is missing' in here(*LENET, code=1)
    second.write_bytes(whole[:300] + bytes(40) + whole[340:])       # as long as it was, but other bytes
    assert 'damaged' in here(*LENET + ['--max_number_of_steps=20'], code=1)
    assert not os.path.exists('there/model.ckpt-20.index')


def test_a_split_that_is_not_there_is_answered_with_those_that_are(here, shards):
    shards(some())
    shards(some(), split='validation')
    said = here(*LENET + ['--dataset_split_name=test'], code=1)
    assert 'mine has no split test: choose from train, validation' in said


def test_labels_out_of_range_are_refused_before_training(here, shards):
    shards([(encoded(n), n % 3 + 1) for n in range(6)])
    said = here(*LENET, code=1)
    assert 'labels are 1 to 3 in the records, but with 3 classes they must be 0 to 2: number them from 0 on' in said
    shards([(encoded(n), n) for n in range(6)])
    assert 'put every class into label.txt' in here(*LENET, code=1)
    assert not os.path.exists('there')


def test_labels_offset_leaves_the_background_class_out(here, shards, values, tmp_path):
    shards([(encoded(n), n % 2 + 1) for n in range(6)], names='background\na\nb\n')
    here(*LENET + ['--labels_offset=1'])
    assert values('there')['LeNet/fc4/biases'].shape == (2,)
    assert (tmp_path / 'there/labels.txt').read_text() == '0:a\n1:b\n'
    shards(some())
    assert '2 images of mine have such a label: use 0' in here(*LENET + ['--labels_offset=1'], code=1)


def test_fewer_images_than_a_batch_train_and_the_rate_is_a_number(here, shards, values):
    shards(some(3))
    said = here(*LENET + ['--batch_size=16', '--num_epochs_per_decay=1', '--log_every_n_steps=1', '--learning_rate=0.001'])
    assert 'global step 3: loss = ' in said
    assert all(np.isfinite(value).all() for value in values('there').values())


def test_wrong_sizes_and_names_are_answered(here, shards):
    shards(some())
    assert 'no preprocessing is called incepton: try inception' in here(*LENET + ['--preprocessing_name=incepton'], code=1)
    assert 'lenets' in here(*LENET + ['--model_name=lenets'], code=1)
    assert 'no folder gone' in here(*LENET + ['--dataset_dir=gone'], code=1)
    assert 'which images?' in here('train', code=1)
    assert 'did you mean' in here('train', 'data', '--dataset_nam=mine', '--learnin_rte=1', code=2)
    assert not os.path.exists('there')
    for flag in ('--batch_size=0', '--batch_size=-1', '--train_image_size=0', '--max_number_of_steps=-1',
                 '--labels_offset=-1'):
        assert 'must be' in here(*LENET + [flag], code=2)
