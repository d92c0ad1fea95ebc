"""`slimtune eval`: every image once, and figures that can be believed."""
import collections
import csv
import glob
import json
import os
import re
import shutil

import numpy as np
import pytest

from slimtune.checkpoints import checkpoint
from slimtune.evaluation import predictions
from slimtune.images import input_pipeline
from slimtune.inference import engines
from slimtune.runtime import tf

CLASSES = ['one', 'two', 'zero']


def metrics_of(folder):
    with open(str(folder / 'metrics.json'), encoding='utf-8') as f:
        return json.load(f)


def predictions_of(folder):
    with open(str(folder / 'predictions.csv'), encoding='utf-8', newline='') as f:
        return list(csv.DictReader(f))


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
    rows = predictions_of(place / 'pic_lenet' / 'eval')
    assert len(rows) == len({row['file'] for row in rows}) == metrics['n']
    assert process.stderr == ''
    assert 'Accuracy %.1f%% of %d images' % (100 * metrics['accuracy'], metrics['n']) in process.stdout
    assert 'slimtune export pic_lenet' in process.stdout.splitlines()[-1]


def test_metrics_agree_with_the_predictions_of_every_image(tested):
    place, _ = tested
    metrics = metrics_of(place / 'pic_lenet' / 'eval')
    rows = predictions_of(place / 'pic_lenet' / 'eval')
    assert list(rows[0]) == ['file', 'label', 'prediction', 'probability', 'correct']
    pairs = collections.Counter((row['label'], row['prediction']) for row in rows)
    assert metrics['confusion_matrix'] == [[pairs[a, b] for b in CLASSES] for a in CLASSES]
    assert metrics['accuracy'] == pytest.approx(sum(pairs[a, a] for a in CLASSES) / len(rows))
    for name, row in metrics['per_class'].items():
        predicted = sum(pairs[a, name] for a in CLASSES)
        assert row['recall'] == pytest.approx(pairs[name, name] / row['n'])
        assert row['precision'] == (pytest.approx(pairs[name, name] / predicted) if predicted else None)
    assert all(row['file'].startswith(row['label'] + '/') for row in rows)
    assert all(row['correct'] == str(int(row['label'] == row['prediction'])) for row in rows)


def test_the_probabilities_of_every_class_are_kept_for_later_reports(tested):
    folder = tested[0] / 'pic_lenet' / 'eval'
    metrics, rows = metrics_of(folder), predictions_of(folder)
    kept = predictions.read_probabilities(str(folder / 'probabilities.npz'))
    assert kept.probabilities.dtype == np.float32 and kept.probabilities.shape == (metrics['n'], 3)
    np.testing.assert_allclose(kept.probabilities.sum(1), 1, rtol=1e-5)
    assert kept.class_names == CLASSES and (kept.step, kept.split) == (60, 'validation')
    expected = checkpoint.sha256(str(tested[0] / metrics['checkpoint']))
    assert kept.checkpoint_sha256 == metrics['checkpoint_sha256'] == expected
    by_file = {row['file']: row for row in rows}
    for file, label, row in zip(kept.file_names, kept.labels, kept.probabilities):
        assert by_file[file]['label'] == CLASSES[label]
        assert by_file[file]['prediction'] == CLASSES[row.argmax()]
        assert float(by_file[file]['probability']) == pytest.approx(row.max(), abs=1e-6)


def test_mistakes_stand_first_the_most_probable_ones_at_the_top(tested):
    rows = predictions_of(tested[0] / 'pic_lenet' / 'eval')
    order = [(row['correct'], -float(row['probability'])) for row in rows]
    assert order == sorted(order)


@pytest.fixture(scope='module')
def always_two(trained, tmp_path_factory, values, save_variables):
    """A folder `net`: the trained lenet, changed so that it predicts `two` for every image."""
    net = tmp_path_factory.mktemp('always') / 'net'
    shutil.copytree(str(trained / 'pic_lenet'), str(net))
    variables = values(net)
    variables['LeNet/fc4/weights'] = np.zeros_like(variables['LeNet/fc4/weights'])
    variables['LeNet/fc4/biases'] = np.float32([0, 9, 0])
    save_variables(variables, net / 'model.ckpt-60')
    return net


def test_rows_are_the_true_classes_in_every_file_and_on_the_screen(always_two, here, tmp_path, trained):
    printed = here('eval', always_two, '--eval-dir', 'eval')
    metrics, rows = metrics_of(tmp_path / 'eval'), predictions_of(tmp_path / 'eval')
    counts = held_out(trained)
    assert metrics['confusion_matrix_rows'] == 'true class'
    assert metrics['confusion_matrix_columns'] == 'predicted class'
    assert metrics['confusion_matrix'] == [[0, counts[name], 0] for name in CLASSES]
    assert {(row['label'], row['prediction']) for row in rows} == {(name, 'two') for name in CLASSES}
    kept = predictions.read_probabilities(str(tmp_path / 'eval' / 'probabilities.npz'))
    assert set(kept.probabilities.argmax(1)) == {1} and sorted(set(kept.labels)) == [0, 1, 2]
    assert re.search(r'true \\ predicted +one +two +zero', printed)
    assert re.search(rf"\n *zero +0 +{counts['zero']} +0 *\n", printed)
    assert f"zero predicted as two ({counts['zero']})" in printed and 'two predicted as' not in printed
    assert f"Accuracy {100 * counts['two'] / metrics['n']:.1f}% of {metrics['n']} images" in printed


def test_an_evaluation_replaces_the_one_before_and_nothing_else(always_two, tested, here, tmp_path):
    shutil.copytree(str(tested[0] / 'pic_lenet' / 'eval'), str(tmp_path / 'eval'))
    (tmp_path / 'eval' / 'notes.txt').write_text('my notes')
    here('eval', always_two, '--eval-dir', 'eval')
    assert {row['prediction'] for row in predictions_of(tmp_path / 'eval')} == {'two'}
    assert (tmp_path / 'eval' / 'notes.txt').read_text() == 'my notes'
    assert len(list((tmp_path / 'eval').glob('events.out.*'))) == 2


@pytest.mark.parametrize('name, contents', [
    ('metrics.json', b'{"accuracy": 1}'), ('metrics.json', b'mine'), ('predictions.csv', b'name,price\n'),
    ('probabilities.npz', b'mine')])
def test_a_file_of_the_users_own_is_not_replaced(name, contents, trained, here, tmp_path):
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own' / name).write_bytes(contents)
    printed = here('eval', trained / 'pic_lenet', '--eval-dir', 'own', code=1)
    assert f'own/{name}' in printed
    assert 'does not replace it: choose another folder with --eval-dir' in printed
    assert os.listdir('own') == [name]
    assert (tmp_path / 'own' / name).read_bytes() == contents


def test_a_folder_that_cannot_be_written_is_named_before_the_work(trained, here, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setattr(input_pipeline, 'read', None)       # the work
    printed = here('eval', trained / 'pic_lenet', '--eval-dir', 'file/eval', code=1)
    assert 'file/eval cannot be written (Not a directory): choose another folder with --eval-dir' in printed


def test_a_disk_too_small_is_named_before_the_work(trained, here, monkeypatch):
    monkeypatch.setattr(input_pipeline, 'read', None)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: collections.namedtuple('usage', 'free')(10))
    printed = here('eval', trained / 'pic_lenet', '--eval-dir', 'eval', code=1)
    assert 'eval needs room for the probabilities, 0.0 GB, but 0.0 GB are free: choose another' in printed
    assert not os.path.exists('eval')


def test_a_disk_that_fills_leaves_the_results_of_before(tested, here, tmp_path):
    """What fills is this process's limit on the size of a file."""
    resource = pytest.importorskip('resource')
    shutil.copytree(str(tested[0] / 'pic_lenet'), str(tmp_path / 'net'))
    contents = {path.name: path.read_bytes() for path in (tmp_path / 'net' / 'eval').iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
    try:
        printed = here('eval', 'net', code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 'net/eval cannot be written (File too large): make room, or choose another folder' in printed
    assert {path.name: path.read_bytes() for path in (tmp_path / 'net' / 'eval').iterdir()} == contents


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
         f'--batch_size={batch_size}')
    expected, metrics = metrics_of(tested[0] / 'pic_lenet' / 'eval'), metrics_of(tmp_path / 'slim')
    assert {name: metrics[name] for name in metrics if name != 'checkpoint'} == {
        name: expected[name] for name in expected if name != 'checkpoint'}


def test_the_number_of_batches_can_be_limited(trained, here, tmp_path):
    printed = here('eval', trained / 'pic_lenet', '--eval-dir', 'few', '--batch-size', 3,
                   '--max-num-batches', 2)
    assert metrics_of(tmp_path / 'few')['n'] == 6 and 'of 6 images' in printed


def test_another_split_can_be_tested(trained, here, tmp_path):
    here('eval', trained / 'pic_lenet', '--eval-dir', 'train', '--dataset_split_name', 'train')
    metrics = metrics_of(tmp_path / 'train')
    assert metrics['split'] == 'train' and metrics['n'] == 60 - sum(held_out(trained).values())


def test_the_split_that_was_trained_on_is_not_tested_unless_it_is_named(trained, here, tmp_path):
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    here('train', 'pic', '--model', 'lenet', '--dataset-split-name', 'validation', '--max-number', 1)
    printed = here('eval', 'pic_lenet', code=1)
    assert 'trained on the split validation of pic' in printed and '(train or validation)' in printed
    assert 'Accuracy' in here('eval', 'pic_lenet', '--dataset-split-name', 'validation')
    here('eval', 'pic_lenet', '--dataset-split-name', 'train')
    assert metrics_of(tmp_path / 'pic_lenet' / 'eval')['split'] == 'train'
    # A split of the same name in another folder
    here('eval', 'pic_lenet', '--dataset-dir', trained / 'pic')
    assert metrics_of(tmp_path / 'pic_lenet' / 'eval')['split'] == 'validation'


def test_moving_averages_are_tested_where_there_are_any(trained, here, tmp_path):
    here('train', trained / 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps', 3,
         '--batch-size', 4, '--moving-average-decay', 0.9, '--trainable-scopes', 'all')
    assert ', moving averages,' in here('eval', 'net')
    assert metrics_of(tmp_path / 'net' / 'eval')['averages'] is True
    assert ', moving averages,' not in here('eval', 'net', '--moving-average-decay', 0)
    assert 'holds no moving averages' in here(
        'eval', trained / 'pic_lenet', '--moving-average-decay', 0.9, '--eval-dir', 'none', code=1)


def test_labels_can_be_shifted_and_named_by_a_file(trained, here, tmp_path):
    """As ResNet v1 on ImageNet: the records have a class 0 without images that the net does not know."""
    (tmp_path / 'data').mkdir()
    for folder in CLASSES:
        shutil.copytree(str(trained / 'pic' / folder), str(tmp_path / 'data' / folder))
    (tmp_path / 'data' / 'label.txt').write_text('background\n' + ''.join(name + '\n' for name in CLASSES))
    (tmp_path / 'data' / 'background').mkdir()
    here('convert', '-t', 'data')
    words = ['eval', '--checkpoint_path', trained / 'pic_lenet' / 'model.ckpt-60', '--model_name=lenet',
             '--dataset_name=data', '--dataset_dir=data',
             '--dataset_split_name=validation', '--eval_dir=shifted', '--label_path=data/label.txt']
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
    (['NET', '--model-name', 'cifarnet'], 'holds lenet, not cifarnet: add --model lenet'),
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
    printed = here('eval', trained / 'pic_lenet', '--dataset-dir', 'pair', '--dataset-name', 'pair',
                '--eval-dir', 'eval', code=1)
    assert 'was trained on the classes one, two, zero, but these are one, two' in printed


def test_it_needs_no_run_json_and_a_net_without_one_is_tested_by_its_flags(trained, here, tmp_path):
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'bare'))
    (tmp_path / 'bare' / 'run.json').unlink()
    printed = here('eval', '--checkpoint_path=bare/model.ckpt-60.index', '--model_name=lenet',
                '--dataset_name=pic', '--dataset_split_name=validation',
                f"--dataset_dir={trained / 'pic'}", '--eval_dir=eval')
    assert printed.splitlines()[-1] == \
        'Next: slimtune export bare/model.ckpt-60.index --model-name lenet --label-path LABELS'


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
