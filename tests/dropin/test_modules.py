"""The user's own data set module, written for slim as the tutorial says, from training to the exported
bundle."""
import json

import pytest
from slims_module import DIALECTS, module_text

from slimtune.runtime import CURRENT

NET = ['--model_name=lenet', '--preprocessing_name=lenet']


@pytest.fixture
def write(tmp_path):
    """write(dialect, **other) writes the module my_set.py of the grey records and returns the flag that names
    it."""
    def module(dialect='2020', **other):
        (tmp_path / 'my_set.py').write_text(module_text({'train': 48, 'validation': 12}, 3, dialect, **other))
        return ['--dataset-module', 'my_set.py']
    return module


@pytest.mark.parametrize('dialect', ['2020'] if CURRENT else list(DIALECTS))
def test_a_module_written_for_slim_goes_the_whole_way_unchanged(dialect, write, grey_records, here, tmp_path):
    data = write(dialect) + ['--dataset_dir=%s' % grey_records]
    printed = here('train', '--train_dir=train_dir', '--max_number_of_steps=3', '--batch_size=8',
                   *(data + NET))
    assert '48 images, 3 classes' in printed and 'note:' not in printed
    printed = here('eval', '--checkpoint_path=train_dir', '--eval_dir=eval_dir',
                   '--dataset_split_name=validation', *(data + NET))
    assert 'of 12 images' in printed
    with open(str(tmp_path / 'eval_dir' / 'metrics.json')) as f:
        assert json.load(f)['classes'] == ['zero', 'one', 'two']
    printed = here('export', '--checkpoint_path=train_dir', '--output_dir=export', *(data + NET))
    assert 'Replayed on 12 images of validation' in printed
    assert (tmp_path / 'export' / 'labels.txt').read_text() == '0:zero\n1:one\n2:two\n'


@pytest.mark.parametrize('other, message', [
    ({'label': 'image/class/defect'}, 'reads the label from the feature image/class/defect, slimtune from '
                                      'image/class/label'),
    ({'image': '"image/raw", "image/format"'}, 'reads the image from the feature image/raw, slimtune from '
                                               'image/encoded'),
])
def test_a_decoder_of_other_features_is_refused_before_training(other, message, write, grey_records, here):
    printed = here('train', *(write(**other) + ['--dataset_dir=%s' % grey_records] + NET), code=1)
    assert message in printed


def test_a_name_that_nobody_registered_works_where_its_records_lie(grey_records, here):
    data = ['--dataset_name=mine', '--dataset_dir=%s' % grey_records]
    here('train', '--train_dir=train_dir', '--max_number_of_steps=1', '--batch_size=8', *(data + NET))
    printed = here('eval', '--checkpoint_path=train_dir', '--eval_dir=eval_dir',
                   '--dataset_split_name=validation', *(data + NET))
    assert 'of 12 images' in printed


def test_imagenet_without_its_background_has_a_thousand_classes(grey_records, here, tmp_path, values):
    """labels 1 to 1000 of 1001, `%s-*`; VGG and ResNet v1 are trained with --labels_offset=1."""
    from slimtune.runtime import tf
    with tf.python_io.TFRecordWriter(str(tmp_path / 'train-00000-of-00001')) as writer:
        shard = str(grey_records / 'mine_train_00000-of-00002.tfrecord')
        for record in tf.python_io.tf_record_iterator(shard):
            example = tf.train.Example.FromString(record)
            example.features.feature['image/class/label'].int64_list.value[0] += 1
            writer.write(example.SerializeToString())
    printed = here('train', '--train_dir=train_dir', '--dataset_dir=.', '--labels_offset=1',
                   '--max_number_of_steps=1', '--batch_size=8', *NET)
    assert '24 images, 1000 classes' in printed
    assert values(tmp_path / 'train_dir')['LeNet/fc4/biases'].shape == (1000,)
    assert "of 24 images" in here('eval', 'train_dir', '--dataset_split_name=train')
