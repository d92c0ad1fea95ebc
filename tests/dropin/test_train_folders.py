"""Train folders both ways: what slim wrote is tested, shipped and trained on; what slimtune writes loads in
slim's graph."""
import glob
import json
import os
import shutil

import numpy as np
import pytest

from slimtune.inference import engines, graph_file
from slimtune.nets import nets_factory
from slimtune.preprocessing import preprocessing_factory
from slimtune.runtime import slim, tf

# As slim was told.
NET = ['--model_name=mobilenet_v1_025', '--preprocessing_name=inception_v1']
SIZE = ['--eval_image_size=128']
AVERAGES = ['--moving_average_decay=0.95']
RUNS = [('head_rmsprop', 'head_rmsprop', [], 140),
        ('all_momentum_ema', 'all_momentum_ema without averages', [], 79),
        ('all_momentum_ema', 'all_momentum_ema with --moving_average_decay=0.95', AVERAGES, 71)]
each_run = pytest.mark.parametrize('folder, name, flags, correct', RUNS, ids=['head', 'all', 'averages'])
each_engine = pytest.mark.parametrize('running', ['tensorflow', 'openvino'])
PIXELS = 128


@pytest.fixture
def running(request):
    """The name of an engine that is installed; skips where it is not."""
    if request.param == 'openvino' and not engines.openvino():
        pytest.skip('OpenVINO is not installed')
    return request.param


def dataset(flowers):
    return ['--dataset_name=flowers', '--dataset_dir=%s' % flowers]


@pytest.fixture
def copied(slims, tmp_path):
    """copied('head_rmsprop'): a copy of one of slim's train folders, to train on."""
    def copy(name):
        shutil.copytree(os.path.join(slims, name), str(tmp_path / name))
        return tmp_path / name
    return copy


@pytest.fixture
def evaluated(here, flowers, tmp_path):
    """evaluated(checkpoint, *flags): what `slimtune eval` with slim's flags makes of it, metrics.json."""
    def run(path, *flags):
        here('eval', '--checkpoint_path=%s' % path, '--eval_dir=eval', '--dataset_split_name=validation', *(
            dataset(flowers) + NET + SIZE + list(flags)))
        with open(str(tmp_path / 'eval' / 'metrics.json'), encoding='utf-8') as f:
            return json.load(f)
    return run


def largest_difference(predictions, expected):
    """Between {image: probabilities} and expected.json's, over all 200 images."""
    assert set(predictions) == set(expected) and len(expected) == 200
    return max(np.abs(np.array(predictions[sample_image]) - expected[sample_image]).max()
               for sample_image in expected)


# What slim's net predicts

@pytest.mark.parametrize('running', ['tensorflow', 'openvino'], indirect=True)
@each_run
def test_eval_counts_as_many_correct_as_slim_did(running, folder, name, flags, correct, evaluated, slims,
                                              expected):
    metrics = evaluated(os.path.join(slims, folder), '--engine', running, *flags)
    assert expected[name]['correct'] == correct
    assert (metrics['n'], metrics['averages']) == (200, bool(flags))
    assert abs(metrics['accuracy'] * 200 - correct) <= 1.01


@pytest.mark.parametrize('running', ['tensorflow', 'openvino'], indirect=True)
@each_run
def test_predict_gives_slims_probabilities(running, folder, name, flags, correct, here, flowers, slims,
                                           expected):
    printed = here('predict', os.path.join(slims, folder), flowers / 'validation', '--json', '--engine',
                   running, '--label-path', os.path.join(slims, 'label.txt'),
                   flags[0] if flags else '--moving_average_decay=0', *(NET + SIZE))
    with open(os.path.join(slims, 'label.txt')) as f:
        classes = f.read().split()
    predictions = {}
    for row in [json.loads(line) for line in printed.splitlines() if line.startswith('{')]:
        named = {one['class']: one['probability'] for one in row['predictions']}
        predictions['/'.join(row['file'].split('/')[-2:])] = [named[one] for one in classes]
    assert largest_difference(predictions, expected[name]['probabilities']) <= 0.02


def decoded_as_slim_does(paths):
    """Images as slim fed them to this net: TensorFlow's default JPEG decoding, Inception's evaluation
    preprocessing."""
    preprocess = preprocessing_factory.get_preprocessing('inception_v1', is_training=False)
    with tf.Graph().as_default(), tf.Session() as session:
        encoded = tf.placeholder(tf.string, [])
        image = preprocess(tf.image.decode_jpeg(encoded, channels=3), PIXELS, PIXELS)
        return np.stack([session.run(image, {encoded: read(path)}) for path in paths])


def read(path):
    with open(path, 'rb') as f:
        return f.read()


@each_run
def test_the_exported_bundle_gives_slims_probabilities(folder, name, flags, correct, here, flowers, slims,
                                                       expected, tmp_path):
    here('export', '--checkpoint_path=%s' % os.path.join(slims, folder), '--output-dir=bundle',
         '--image_size=128',
         '--label-path', os.path.join(slims, 'label.txt'), *(dataset(flowers) + NET + flags))
    paths = {sample_image: str(flowers / 'validation' / sample_image)
             for sample_image in expected[name]['probabilities']}
    bundle = tmp_path / 'bundle'

    engine = engines.load(graph_file.read_graph(str(bundle / 'frozen.pb')))
    frozen = engine.run(decoded_as_slim_does(list(paths.values())))[1]
    assert largest_difference(dict(zip(paths, frozen)), expected[name]['probabilities']) <= 0.001

    sample_images = [read(path) for path in paths.values()]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_file.read_graph(str(bundle / 'frozen_encoded.pb')), name='')
        encoded = session.run('probabilities:0', {'encoded:0': sample_images})
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.loader.load(session, ['serve'], str(bundle / 'saved_model'))
        signature = loaded.signature_def['serving_default']
        served = session.run(signature.outputs['probabilities'].name,
                             {signature.inputs['image_bytes'].name: sample_images})
    for predictions in (encoded, served):
        assert largest_difference(dict(zip(paths, predictions)), expected[name]['probabilities']) <= 0.02


@pytest.mark.parametrize('running', ['tensorflow', 'openvino'], indirect=True)
def test_the_single_file_checkpoint_of_2016_is_the_same_net(running, evaluated, slims):
    metrics = evaluated(os.path.join(slims, 'head_rmsprop_v1_format.ckpt'), '--engine', running)
    assert abs(metrics['accuracy'] * 200 - 140) <= 1.01


def test_the_folder_form_uses_averages_where_there_are_any_and_says_so(here, flowers, slims, tmp_path):
    """slim's form uses them with --moving_average_decay alone: RUNS above."""
    folder, labels = os.path.join(slims, 'all_momentum_ema'), os.path.join(slims, 'label.txt')
    printed = here('eval', folder, '--eval_dir=eval', *(dataset(flowers) + NET + SIZE))
    assert 'model.ckpt-200, step 200, moving averages' in printed and 'Accuracy 35.5% of 200' in printed
    sample_image = sorted((flowers / 'validation' / 'tulips').iterdir())[0]
    assert 'moving averages of %s' % folder in here('predict', folder, sample_image, '--label-path', labels,
                                                    *(NET + SIZE))
    printed = here('export', folder, '--output-dir=bundle', '--image_size=128', '--label-path', labels,
                   *(dataset(flowers) + NET))
    assert 'moving averages of %s' % folder in printed


def test_labels_of_another_order_or_number_are_refused(here, flowers, slims, copied, tmp_path):
    """slim's folders do not say what their classes are called: the records do, and label files are compared
    with them."""
    folder, sorted_names = os.path.join(slims, 'head_rmsprop'), ['daisy', 'dandelion', 'roses', 'sunflowers',
                                                                 'tulips']
    (tmp_path / 'label.txt').write_text('\n'.join(sorted_names))
    printed = here('eval', '--checkpoint_path=%s' % folder, '--dataset_split_name=validation',
                   '--label_path=label.txt', *(dataset(flowers) + NET + SIZE), code=1)
    assert 'label.txt names other classes than the records of flowers' in printed
    (tmp_path / 'label.txt').write_text('\n'.join(sorted_names[:4]))
    printed = here('predict', folder, flowers / 'validation', '--label_path=label.txt', *(NET + SIZE), code=1)
    assert 'model.ckpt-600 has 5 classes, but the labels name 4' in printed


def test_a_train_folder_of_other_classes_is_refused(here, grey_records, copied):
    printed = here('train', '--train_dir=%s' % copied('head_rmsprop'), '--dataset_name=mine',
                   '--dataset_dir=%s' % grey_records,
                   '--train_image_size=128', '--max_number_of_steps=700', *NET, code=1)
    assert 'model.ckpt-600 has 5 classes, but the data has 3' in printed


# Folders as they are found on disks

def without_checkpoint_file(folder):
    (folder / 'checkpoint').unlink()


def moved(folder):
    (folder / 'checkpoint').write_text('model_checkpoint_path: "/home/zhang/train_dir/model.ckpt-600"\n'
                                       'all_model_checkpoint_paths: "/home/zhang/train_dir/model.ckpt-0"\n'
                                       'all_model_checkpoint_paths: "/home/zhang/train_dir/model.ckpt-600"\n')


def without_meta(folder):
    assert not list(folder.glob('*.meta'))


@pytest.mark.parametrize('disturb', [without_checkpoint_file, moved, without_meta])
def test_a_folder_without_its_checkpoint_file_or_moved_or_without_meta_is_tested_and_resumed(
        disturb, copied, evaluated, here, flowers):
    folder = copied('head_rmsprop')
    disturb(folder)
    assert abs(evaluated(folder)['accuracy'] * 200 - 140) <= 1.01
    printed = here('train', '--train_dir=%s' % folder, '--max_number_of_steps=600', *(dataset(flowers) + NET))
    assert 'step 600' in printed and os.path.join(str(folder), 'model.ckpt-600') in printed


# Training goes on

def go_on(here, flowers, folder, steps, *flags):
    return here('train', '--train_dir=%s' % folder, '--dataset_split_name=train', '--train_image_size=128',
                '--batch_size=8',
                '--max_number_of_steps=%d' % steps, '--log_every_n_steps=1', '--seed=1',
                *(dataset(flowers) + NET + list(flags)))


HEAD = ['--checkpoint_exclude_scopes=MobilenetV1/Logits', '--trainable_scopes=MobilenetV1/Logits',
        '--optimizer=rmsprop', '--learning_rate=0.01', '--feature-cache=off']


def test_training_goes_on_with_slims_steps_and_slots(copied, here, flowers, values, save_variables, tmp_path):
    folder = copied('head_rmsprop')
    before = values(folder)
    printed = go_on(here, flowers, folder, 602, *HEAD)
    assert 'Resuming from %s/model.ckpt-600, step 600' % folder in printed and 'initialized' not in printed
    assert 'global step 601: loss' in printed and 'global step 602: loss' in printed
    after = values(folder)
    assert set(after) == set(before) and after['global_step'] == 602
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if name == 'global_step' or '/Logits/Conv2d_1c_1x1/' in name}

    # The slots act: with the same weights and slots initialized, the same batches lead elsewhere.
    without = tmp_path / 'without'
    without.mkdir()
    save_variables({name: value for name, value in before.items() if 'RMSProp' not in name},
                   without / 'model.ckpt-600')
    assert 'initialized' in go_on(here, flowers, without, 602, *HEAD)
    weights = 'MobilenetV1/Logits/Conv2d_1c_1x1/weights'
    assert not np.allclose(values(without)[weights], after[weights], atol=1e-6)


def test_training_goes_on_with_slims_averages(copied, here, flowers, values):
    folder = copied('all_momentum_ema')
    before = values(folder)
    printed = go_on(here, flowers, folder, 201, '--optimizer=momentum', '--label_smoothing=0.1',
                    '--learning_rate=0.01', '--batch-norm=update', *AVERAGES)
    assert 'initialized' not in printed
    after = values(folder)
    assert set(after) == set(before) and after['global_step'] == 201
    for name in ('MobilenetV1/Logits/Conv2d_1c_1x1/weights', 'MobilenetV1/Conv2d_0/BatchNorm/moving_mean'):
        average = name + '/ExponentialMovingAverage'
        np.testing.assert_allclose(after[average], 0.95 * before[average] + 0.05 * after[name], atol=1e-5)


def test_training_starts_from_the_single_file_of_2016(slims, here, flowers, values, tmp_path):
    single_file = os.path.join(slims, 'head_rmsprop_v1_format.ckpt')
    go_on(here, flowers, tmp_path / 'new', 1, '--checkpoint_path=%s' % single_file,
          '--trainable_scopes=MobilenetV1/Logits', '--learning_rate=0.0001')
    theirs, ours = values(single_file), values(tmp_path / 'new')
    assert ours['global_step'] == 1
    for name in theirs:
        same = np.array_equal(theirs[name], ours[name])
        assert same != ('/Logits/' in name), name


def test_what_slimtune_trains_loads_in_slims_own_graph(copied, here, flowers, slims):
    """A graph as slim's eval script builds it, and a plain Saver on it: every variable is found, slots and
    averages too."""
    folder = copied('all_momentum_ema')
    go_on(here, flowers, folder, 201, '--optimizer=momentum', '--batch-norm=update', *AVERAGES)
    theirs = glob.glob(os.path.join(slims, 'all_momentum_ema', 'model.ckpt-200.index'))[0][:-len('.index')]
    names = {prefix: {name for name, _ in tf.train.list_variables(prefix)}
             for prefix in (theirs, tf.train.latest_checkpoint(str(folder)))}
    assert names[theirs] == names[str(folder / 'model.ckpt-201')]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, PIXELS, PIXELS, 3])
        logits, _ = nets_factory.get_network_fn('mobilenet_v1_025', 5, is_training=False)(images)
        step = tf.train.get_or_create_global_step()
        averages = tf.train.ExponentialMovingAverage(0.95, step)
        restored = averages.variables_to_restore(slim.get_model_variables())
        restored[step.op.name] = step
        tf.train.Saver(restored).restore(session, tf.train.latest_checkpoint(str(folder)))
        assert session.run(step) == 201
        assert np.isfinite(session.run(logits, {images: np.zeros([1, PIXELS, PIXELS, 3])})).all()
