"""`slimtune eval`: every image once, and figures that can be believed."""
import collections
import csv
import glob
import json
import shutil

import numpy as np
import pytest

from slimtune.evaluation.metrics import measure, report
from slimtune.inference import engines
from slimtune.runtime import tf

CLASSES = ['one', 'two', 'zero']


def metrics_of(folder):
    with open(str(folder / 'metrics.json'), encoding='utf-8') as f:
        return json.load(f)


def held_out(place):
    """The validation images as dataset.json counts them: {class: images}."""
    with open(str(place / 'pic' / 'dataset.json'), encoding='utf-8') as f:
        manifest = json.load(f)
    return dict(zip(manifest['classes'], manifest['splits']['validation']['per_class']))


@pytest.fixture(scope='module')
def tested(trained, slimtune_in, tmp_path_factory):
    """`slimtune eval pic_lenet` in a copy of `trained`: (that folder, the process)."""
    place = tmp_path_factory.mktemp('tested')
    shutil.copytree(str(trained / 'pic_lenet'), str(place / 'pic_lenet'))
    return place, slimtune_in(place)('eval', 'pic_lenet')


def test_a_train_folder_is_all_it_needs_and_every_image_is_tested_once(tested, trained):
    place, process = tested
    metrics, there = metrics_of(place / 'pic_lenet' / 'eval'), held_out(trained)
    assert metrics['split'] == 'validation' and metrics['classes'] == CLASSES and metrics['step'] == 60
    assert metrics['n'] == sum(there.values()) > 3
    assert {name: row['n'] for name, row in metrics['per_class'].items()} == there
    with open(str(place / 'pic_lenet' / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len({row['file'] for row in rows}) == metrics['n']
    assert process.stderr == ''
    assert 'Accuracy %.1f%% of %d images' % (100 * metrics['accuracy'], metrics['n']) in process.stdout
    assert 'slimtune export pic_lenet' in process.stdout.splitlines()[-1]


def test_metrics_agree_with_the_predictions_of_every_image(tested):
    place, _ = tested
    metrics = metrics_of(place / 'pic_lenet' / 'eval')
    with open(str(place / 'pic_lenet' / 'eval' / 'predictions.csv'), encoding='utf-8') as f:
        rows = list(csv.DictReader(f))
    pairs = collections.Counter((row['class'], row['answer']) for row in rows)
    assert metrics['confusion_matrix'] == [[pairs[a, b] for b in CLASSES] for a in CLASSES]
    assert metrics['accuracy'] == pytest.approx(sum(pairs[a, a] for a in CLASSES) / len(rows))
    for name, row in metrics['per_class'].items():
        called = sum(pairs[a, name] for a in CLASSES)
        assert row['recall'] == pytest.approx(pairs[name, name] / row['n'])
        assert row['precision'] == (pytest.approx(pairs[name, name] / called) if called else None)
    assert all(row['file'].startswith(row['class'] + '/') for row in rows)


def test_tensorboard_gets_slims_tags_at_the_checkpoints_step(tested):
    place, _ = tested
    metrics = metrics_of(place / 'pic_lenet' / 'eval')
    events, = glob.glob(str(place / 'pic_lenet' / 'eval' / 'events.out.tfevents.*'))
    values = {(value.tag, event.step): value.simple_value
              for event in tf.train.summary_iterator(events) for value in event.summary.value}
    assert values == {('eval/Accuracy', 60): pytest.approx(metrics['accuracy']),
                      ('eval/Recall_2', 60): pytest.approx(metrics['top_k']['2'])}


@pytest.mark.parametrize('batch_size', [1, 4, 1000])
def test_slims_flags_give_the_same_with_any_batch_size(batch_size, tested, trained, here, tmp_path):
    here('eval', '--checkpoint_path=%s' % (trained / 'pic_lenet'), '--eval_dir=slim', '--dataset_name=pic',
         '--dataset_split_name=validation', '--dataset_dir=%s' % (trained / 'pic'), '--model_name=lenet',
         '--batch_size=%d' % batch_size)
    expected, metrics = metrics_of(tested[0] / 'pic_lenet' / 'eval'), metrics_of(tmp_path / 'slim')
    assert {name: metrics[name] for name in metrics if name != 'checkpoint'} == {
        name: expected[name] for name in expected if name != 'checkpoint'}


def test_the_number_of_batches_can_be_limited(trained, here, tmp_path):
    said = here('eval', trained / 'pic_lenet', '--eval-dir', 'few', '--batch-size', 3, '--max-num-batches', 2)
    assert metrics_of(tmp_path / 'few')['n'] == 6 and 'of 6 images' in said


def test_another_split_can_be_tested(trained, here, tmp_path):
    here('eval', trained / 'pic_lenet', '--eval-dir', 'train', '--dataset_split_name', 'train')
    metrics = metrics_of(tmp_path / 'train')
    assert metrics['split'] == 'train' and metrics['n'] == 60 - sum(held_out(trained).values())


def test_moving_averages_are_tested_where_there_are_any(trained, here, tmp_path):
    here('train', trained / 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps', 3, '--batch-size', 4,
         '--moving-average-decay', 0.9, '--trainable-scopes', 'all')
    assert ', moving averages,' in here('eval', 'net')
    assert metrics_of(tmp_path / 'net' / 'eval')['averages'] is True
    assert ', moving averages,' not in here('eval', 'net', '--moving-average-decay', 0)
    assert 'holds no moving averages' in here(
        'eval', trained / 'pic_lenet', '--moving-average-decay', 0.9, '--eval-dir', 'none', code=1)


def test_the_moving_averages_are_what_answers(trained, here, tmp_path):
    from slimtune import options
    from slimtune.checkpoints import restored_model
    from slimtune.checkpoints.checkpoint import AVERAGE, Checkpoint
    here('train', trained / 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps', 2, '--batch-size', 4,
         '--moving-average-decay', 0.9)
    saved, name = Checkpoint(str(tmp_path / 'net')), 'LeNet/fc4/biases'
    for averages, variable in ((options.Averages.USE, name + AVERAGE), (options.Averages.IGNORE, name)):
        loaded = restored_model.load(str(tmp_path / 'net'), options.RunFile({}), options.Net('lenet'), None, CLASSES, averages)
        constants = {node.name: node for node in restored_model.freeze(loaded).node}
        np.testing.assert_array_equal(tf.make_ndarray(constants[name].attr['value'].tensor), saved.value(variable))
    assert np.abs(saved.value(name) - saved.value(name + AVERAGE)).max() > 0


def test_labels_can_be_shifted_and_named_by_a_file(trained, here, tmp_path):
    """As ResNet v1 on ImageNet: the records have a class 0 without images that the net does not know."""
    (tmp_path / 'data').mkdir()
    for folder in CLASSES:
        shutil.copytree(str(trained / 'pic' / folder), str(tmp_path / 'data' / folder))
    (tmp_path / 'data' / 'label.txt').write_text('background\n' + ''.join(name + '\n' for name in CLASSES))
    (tmp_path / 'data' / 'background').mkdir()
    here('convert', '-t', 'data')
    words = ['eval', '--checkpoint_path', trained / 'pic_lenet' / 'model.ckpt-60', '--model_name=lenet', '--dataset_name=data',
             '--dataset_dir=data', '--dataset_split_name=validation', '--eval_dir=shifted', '--label_path=data/label.txt']
    here(*words + ['--labels_offset=1'])
    assert metrics_of(tmp_path / 'shifted')['classes'] == CLASSES
    assert 'was trained on the classes one, two, zero, but these are background, one' in here(*words, code=1)


@pytest.mark.parametrize('words, message', [
    (['empty'], 'no checkpoint in empty: train first'),
    (['nowhere'], 'no checkpoint at nowhere'),
    (['--checkpoint_path=nowhere', '--dataset_dir=PIC'], 'no checkpoint at nowhere'),
    (['NET', '--dataset-dir', 'nowhere'], 'no folder nowhere'),
    (['NET', '--dataset-split-name', 'test'], 'pic has no split test: choose from train, validation'),
    (['NET', '--dataset-name', 'flowers'], 'holds the data set pic, not flowers: add --dataset-name pic'),
    (['NET', '--model-name', 'cifarnet'], 'is a lenet checkpoint: --model-name lenet'),
    (['NET', '--model-name', 'lennet'], 'lenet'),
    (['NET', '--label-path', 'other.txt'], 'other.txt names other classes than the records of pic'),
    (['NET', '--label-path', 'nowhere.txt'], 'nowhere.txt')])
def test_what_cannot_be_tested_is_one_line_and_exit_code_1(words, message, trained, here, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'other.txt').write_text('one\ntwo\nthree\n')
    places = {'NET': trained / 'pic_lenet', 'PIC': trained / 'pic'}
    assert message in here('eval', '--eval-dir', 'eval', *[places.get(word, word) for word in words], code=1)
    assert not (tmp_path / 'eval').exists()


def test_another_list_of_classes_is_refused(trained, digits, here, tmp_path):
    for folder in ('one', 'two'):
        shutil.copytree(str(digits / folder), str(tmp_path / 'pair' / folder))
    here('convert', '-t', 'pair')
    said = here('eval', trained / 'pic_lenet', '--dataset-dir', 'pair', '--dataset-name', 'pair', '--eval-dir', 'eval', code=1)
    assert 'was trained on the classes one, two, zero, but these are one, two' in said


def test_it_needs_no_run_json_and_a_net_without_one_is_tested_by_its_flags(trained, here, tmp_path):
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'bare'))
    (tmp_path / 'bare' / 'run.json').unlink()
    said = here('eval', '--checkpoint_path=bare/model.ckpt-60.index', '--model_name=lenet', '--dataset_name=pic',
                '--dataset_split_name=validation', '--dataset_dir=%s' % (trained / 'pic'), '--eval_dir=eval')
    assert said.splitlines()[-1] == \
        'Next: slimtune export bare/model.ckpt-60.index --model-name lenet --label-path LABELS'


# The figures

def test_k_is_less_than_the_number_of_classes():
    logits, truth = np.array([[3., 2, 1], [1, 2, 3], [2, 3, 1]]), np.array([1, 0, 1])
    metrics = measure(logits, truth, ['a', 'b', 'c'], 5)
    assert metrics['top_k'] == {'2': pytest.approx(2 / 3)}
    assert metrics['accuracy'] == pytest.approx(1 / 3)
    assert measure(logits[:, :2], truth, ['a', 'b'], 5)['top_k'] == {}
    assert measure(logits[:, :1], np.zeros(3, int), ['a'], 5)['accuracy'] == 1
    assert list(measure(np.eye(8), np.arange(8), list('abcdefgh'), 5)['top_k']) == ['5']


def test_a_class_never_seen_or_never_said_has_no_figure():
    metrics = measure(np.array([[1., 0, 0], [1, 0, 0]]), np.array([0, 1]), ['a', 'b', 'c'], 5)
    assert metrics['per_class'] == {'a': {'n': 1, 'precision': 0.5, 'recall': 1.0},
                                    'b': {'n': 1, 'precision': None, 'recall': 0.0},
                                    'c': {'n': 0, 'precision': None, 'recall': None}}
    assert 'Most often confused: b called a (1)' in report(metrics)


def test_two_classes_of_one_name_are_kept_apart():
    """ImageNet has two kinds of crane."""
    metrics = measure(np.eye(3), np.arange(3), ['crane', 'owl', 'crane'], 5)
    assert list(metrics['per_class']) == ['crane (label 0)', 'owl', 'crane (label 2)']
    assert 'crane (label 2)' in '\n'.join(report(metrics))


def test_a_thousand_classes_do_not_fill_the_screen():
    names = ['class %d' % n for n in range(1000)]
    logits = np.zeros([3, 1000])
    logits[[0, 1, 2], [5, 6, 7]] = 1
    text = '\n'.join(report(measure(logits, np.array([5, 6, 8]), names, 5)))
    assert text.count('\n') < 12 and 'class 8 called class 7 (1)' in text and 'class 9 ' not in text


def test_the_batch_is_halved_where_memory_is_short():
    """TensorFlow says so here through an op that raises MemoryError for more than two images."""
    asked = []

    def short(images):
        asked.append(len(images))
        if len(images) > 2:
            raise MemoryError('OOM when allocating tensor')
        return images.reshape(len(images), -1)

    with tf.Graph().as_default() as graph:
        logits = tf.py_func(short, [tf.placeholder(tf.float32, [None, 4, 4, 1], name='input')], tf.float32)
        tf.nn.softmax(tf.identity(logits, name='logits'), name='probabilities')
    answering = engines.load(graph.as_graph_def())
    images = np.random.RandomState(0).rand(5, 4, 4, 1).astype(np.float32)
    answered, _ = answering.run(images)
    np.testing.assert_array_equal(answered, images.reshape(5, 16))
    answering.run(images)
    assert asked == [5, 2, 2, 1, 2, 2, 1]
