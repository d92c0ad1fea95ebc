"""The user's own data set module, written for slim as the tutorial says, from training to the exported bundle."""
import json

import pytest

from slimtune.runtime import CURRENT

# What the tutorial has people write: flowers.py with other names and numbers.
MODULE = '''
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os
%(imports)s

from datasets import dataset_utils

%(slim)s

_FILE_PATTERN = 'mine_%%s_*.tfrecord'

SPLITS_TO_SIZES = {'train': 48, 'validation': %(validation)d}

_NUM_CLASSES = 3

_ITEMS_TO_DESCRIPTIONS = {
    'image': 'An image of a digit.',
    'label': 'A single integer between 0 and 2',
}


def get_split(split_name, dataset_dir, file_pattern=None, reader=None):
  if split_name not in SPLITS_TO_SIZES:
    raise ValueError('no split %%s.' %% split_name)
  file_pattern = os.path.join(dataset_dir, (file_pattern or _FILE_PATTERN) %% split_name)
  keys_to_features = {
      'image/encoded': tf.FixedLenFeature((), tf.string, default_value=''),
      'image/format': tf.FixedLenFeature((), tf.string, default_value='png'),
      %(label)r: tf.FixedLenFeature([], tf.int64, default_value=tf.zeros([], dtype=tf.int64)),
  }
  items_to_handlers = {
      'image': slim.tfexample_decoder.Image(%(image)s),
      'label': slim.tfexample_decoder.Tensor(%(label)r),
  }
  labels_to_names = None
  if dataset_utils.has_labels(dataset_dir):
    labels_to_names = dataset_utils.read_label_file(dataset_dir)
  return slim.dataset.Dataset(
      data_sources=file_pattern,
      reader=reader or tf.TFRecordReader,
      decoder=slim.tfexample_decoder.TFExampleDecoder(keys_to_features, items_to_handlers),
      num_samples=SPLITS_TO_SIZES[split_name],
      items_to_descriptions=_ITEMS_TO_DESCRIPTIONS,
      num_classes=_NUM_CLASSES,
      labels_to_names=labels_to_names)
'''
SLIMS = dict(image='', label='image/class/label', validation=12)
DIALECTS = {
    'contrib': dict(SLIMS, imports='import tensorflow as tf', slim='slim = tf.contrib.slim'),
    'tf_slim': dict(SLIMS, imports='import tensorflow.compat.v1 as tf\nimport tf_slim as slim', slim=''),
}
NET = ['--model_name=lenet', '--preprocessing_name=lenet']


@pytest.fixture
def write(tmp_path):
    """write(dialect, **other) puts the module my_set.py into the user's folder."""
    def module(dialect, **other):
        (tmp_path / 'my_set.py').write_text(MODULE % dict(DIALECTS[dialect], **other))
        return ['--dataset-module', 'my_set.py']
    return module


@pytest.mark.parametrize('dialect', ['tf_slim'] if CURRENT else list(DIALECTS))
def test_a_module_written_for_slim_goes_the_whole_way_unchanged(dialect, write, grey_records, here, tmp_path):
    data = write(dialect) + ['--dataset_dir=%s' % grey_records]
    said = here('train', '--train_dir=train_dir', '--max_number_of_steps=3', '--batch_size=8', *(data + NET))
    assert '48 images, 3 classes' in said and 'note:' not in said
    said = here('eval', '--checkpoint_path=train_dir', '--eval_dir=eval_dir', '--dataset_split_name=validation', *(data + NET))
    assert 'of 12 images' in said
    with open(str(tmp_path / 'eval_dir' / 'metrics.json')) as f:
        assert json.load(f)['classes'] == ['zero', 'one', 'two']
    said = here('export', '--checkpoint_path=train_dir', '--output_dir=export', *(data + NET))
    assert 'Replayed on 12 images of validation' in said
    assert (tmp_path / 'export' / 'labels.txt').read_text() == '0:zero\n1:one\n2:two\n'


def test_eval_and_export_remember_the_module(write, grey_records, here):
    data = write('tf_slim') + ['--dataset_dir=%s' % grey_records]
    here('train', '--train_dir=train_dir', '--max_number_of_steps=1', '--batch_size=8', *(data + NET))
    assert 'of 12 images' in here('eval', 'train_dir')
    assert 'Replayed on 12 images of validation' in here('export', 'train_dir')


def test_wrong_sizes_are_said_and_every_image_is_tested_all_the_same(write, grey_records, here):
    data = write('tf_slim', validation=350) + ['--dataset_dir=%s' % grey_records]
    here('train', '--train_dir=train_dir', '--max_number_of_steps=1', '--batch_size=8', *(data + NET))
    said = here('eval', '--checkpoint_path=train_dir', '--eval_dir=eval_dir', '--dataset_split_name=validation', *(data + NET))
    assert 'validation has 350 images, but its records hold 12: using 12' in said and 'of 12 images' in said


@pytest.mark.skipif(not CURRENT, reason='TensorFlow 1 has tf.contrib')
def test_on_current_tensorflow_the_command_says_what_to_write_for_contrib(write, grey_records, here):
    said = here('train', *(write('contrib') + ['--dataset_dir=%s' % grey_records] + NET), code=1)
    assert 'my_set.py, line 11: tf.contrib is gone' in said and '`import tf_slim as slim`' in said


def test_a_modules_syntax_error_is_shown_with_its_own_line(grey_records, here, tmp_path):
    (tmp_path / 'my_set.py').write_text('import os\n\nSPLITS_TO_SIZES = {"train": 48\n\ndef get_split(:\n')
    said = here('train', '--dataset-module', 'my_set.py', '--dataset_dir=%s' % grey_records, *NET, code=1)
    assert 'my_set.py, line ' in said and ('SPLITS_TO_SIZES' in said or 'def get_split(:' in said)


@pytest.mark.parametrize('other, message', [
    ({'label': 'image/class/defect'}, 'reads the label from the feature image/class/defect, slimtune from image/class/label'),
    ({'image': '"image/raw", "image/format"'}, 'reads the image from the feature image/raw, slimtune from image/encoded'),
])
def test_a_decoder_of_other_features_is_refused_before_it_teaches_nothing(other, message, write, grey_records, here):
    said = here('train', *(write('tf_slim', **other) + ['--dataset_dir=%s' % grey_records] + NET), code=1)
    assert message in said


def test_a_name_that_nobody_registered_works_where_its_records_lie(grey_records, here):
    data = ['--dataset_name=mine', '--dataset_dir=%s' % grey_records]
    here('train', '--train_dir=train_dir', '--max_number_of_steps=1', '--batch_size=8', *(data + NET))
    said = here('eval', '--checkpoint_path=train_dir', '--eval_dir=eval_dir', '--dataset_split_name=validation', *(data + NET))
    assert 'of 12 images' in said


def test_imagenet_without_its_background_has_a_thousand_classes(grey_records, here, tmp_path, values):
    """labels 1 to 1000 of 1001, `%s-*`; VGG and ResNet v1 are trained with --labels_offset=1."""
    from slimtune.runtime import tf
    with tf.python_io.TFRecordWriter(str(tmp_path / 'train-00000-of-00001')) as writer:
        for record in tf.python_io.tf_record_iterator(str(grey_records / 'mine_train_00000-of-00002.tfrecord')):
            example = tf.train.Example.FromString(record)
            example.features.feature['image/class/label'].int64_list.value[0] += 1
            writer.write(example.SerializeToString())
    said = here('train', '--train_dir=train_dir', '--dataset_dir=.', '--labels_offset=1', '--max_number_of_steps=1',
                '--batch_size=8', *NET)
    assert '24 images, 1000 classes' in said
    assert values(tmp_path / 'train_dir')['LeNet/fc4/biases'].shape == (1000,)
    assert "of 24 images" in here('eval', 'train_dir', '--dataset_split_name=train')
