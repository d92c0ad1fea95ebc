"""slim's scripts as clients of slimtune's libraries, their import lines changed and nothing else.

slim's eval_image_classifier.py and export_inference_graph.py themselves are not part of this project: the two
scripts below are our own, but call what those call, in the same order and with the same arguments.
"""
import os
import subprocess
import sys

import pytest

from slimtune.nets import nets_factory
from slimtune.runtime import tf

IMPORTS = '''
import math
from slimtune.datasets import dataset_factory
from slimtune.nets import nets_factory
from slimtune.preprocessing import preprocessing_factory
from slimtune.runtime import slim, tf

FLAGS = tf.app.flags.FLAGS
tf.app.flags.DEFINE_string('checkpoint_path', '', '')
tf.app.flags.DEFINE_string('eval_dir', 'eval_dir', '')
tf.app.flags.DEFINE_string('output_file', '', '')
tf.app.flags.DEFINE_string('dataset_name', 'imagenet', '')
tf.app.flags.DEFINE_string('dataset_split_name', 'validation', '')
tf.app.flags.DEFINE_string('dataset_dir', '', '')
tf.app.flags.DEFINE_string('model_name', 'inception_v3', '')
tf.app.flags.DEFINE_string('preprocessing_name', None, '')
tf.app.flags.DEFINE_integer('image_size', None, '')
tf.app.flags.DEFINE_integer('batch_size', None, '')
tf.app.flags.DEFINE_integer('labels_offset', 0, '')
tf.app.flags.DEFINE_float('moving_average_decay', None, '')
tf.app.flags.DEFINE_bool('use_grayscale', False, '')
'''
EVALUATES = IMPORTS + '''
def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  with tf.Graph().as_default():
    step = tf.train.get_or_create_global_step()
    dataset = dataset_factory.get_dataset(FLAGS.dataset_name, FLAGS.dataset_split_name, FLAGS.dataset_dir)
    network_fn = nets_factory.get_network_fn(
        FLAGS.model_name, num_classes=(dataset.num_classes - FLAGS.labels_offset), is_training=False)
    provider = slim.dataset_data_provider.DatasetDataProvider(
        dataset, shuffle=False, common_queue_capacity=2 * FLAGS.batch_size, common_queue_min=FLAGS.batch_size)
    [image, label] = provider.get(['image', 'label'])
    label -= FLAGS.labels_offset
    prepare = preprocessing_factory.get_preprocessing(
        FLAGS.preprocessing_name or FLAGS.model_name, is_training=False, use_grayscale=FLAGS.use_grayscale)
    size = FLAGS.image_size or network_fn.default_image_size
    image = prepare(image, size, size)
    images, labels = tf.train.batch(
        # One thread: with more, images overtake others and the last batch has some of them twice.
        [image, label], batch_size=FLAGS.batch_size, num_threads=1, capacity=5 * FLAGS.batch_size)
    logits, _ = network_fn(images)
    if FLAGS.moving_average_decay:
      averages = tf.train.ExponentialMovingAverage(FLAGS.moving_average_decay, step)
      to_restore = averages.variables_to_restore(slim.get_model_variables())
      to_restore[step.op.name] = step
    else:
      to_restore = slim.get_variables_to_restore()
    predictions = tf.argmax(logits, 1)
    labels = tf.squeeze(labels)
    values, updates = slim.metrics.aggregate_metric_map({
        'Accuracy': slim.metrics.streaming_accuracy(predictions, labels),
        'Recall_2': slim.metrics.streaming_recall_at_k(logits, labels, 2),
    })
    for name, value in values.items():
      op = tf.summary.scalar('eval/%s' % name, value, collections=[])
      op = tf.Print(op, [value], name)
      tf.add_to_collection(tf.GraphKeys.SUMMARIES, op)
    path = FLAGS.checkpoint_path
    if tf.gfile.IsDirectory(path):
      path = tf.train.latest_checkpoint(path)
    metrics = slim.evaluation.evaluate_once(
        master='', checkpoint_path=path, logdir=FLAGS.eval_dir,
        num_evals=int(math.ceil(dataset.num_samples / float(FLAGS.batch_size))),
        eval_op=list(updates.values()), final_op=values, variables_to_restore=to_restore)
    print('Accuracy %.6f of %d' % (metrics['Accuracy'], dataset.num_samples))


if __name__ == '__main__':
  tf.app.run()
'''
EXPORTS = IMPORTS + '''
def main(_):
  with tf.Graph().as_default() as graph:
    dataset = dataset_factory.get_dataset(FLAGS.dataset_name, 'train', FLAGS.dataset_dir)
    network_fn = nets_factory.get_network_fn(
        FLAGS.model_name, num_classes=(dataset.num_classes - FLAGS.labels_offset), is_training=False)
    size = FLAGS.image_size or network_fn.default_image_size
    channels = 1 if FLAGS.use_grayscale else 3
    placeholder = tf.placeholder(
        name='input', dtype=tf.float32, shape=[FLAGS.batch_size, size, size, channels])
    network_fn(placeholder)
    with tf.gfile.GFile(FLAGS.output_file, 'wb') as f:
      f.write(graph.as_graph_def().SerializeToString())


if __name__ == '__main__':
  tf.app.run()
'''


@pytest.fixture
def python(tmp_path):
    """python(script, *flags): what the script prints, run as a user runs it."""
    def run(script, *flags):
        (tmp_path / 'script.py').write_text(script)
        process = subprocess.run([sys.executable, 'script.py'] + list(flags), cwd=str(tmp_path),
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, encoding='utf-8', timeout=300)
        assert process.returncode == 0, process.stdout
        return process.stdout
    return run


def accuracy(output):
    """(accuracy, images) of what EVALUATES printed."""
    words = output[output.rindex('Accuracy '):].split()
    return float(words[1]), int(words[3])


@pytest.mark.parametrize('folder, flags, correct', [
    ('head_rmsprop', [], 140), ('all_momentum_ema', ['--moving_average_decay=0.95'], 71)])
def test_slims_eval_script_finds_what_it_always_found(folder, flags, correct, python, flowers, slims):
    found, images = accuracy(python(
        EVALUATES, '--checkpoint_path=%s' % os.path.join(slims, folder,
                                                         'model.ckpt-%d' % (600 if correct == 140 else 200)),
        '--dataset_name=flowers', '--dataset_dir=%s' % flowers, '--model_name=mobilenet_v1_025',
        '--image_size=128', '--preprocessing_name=inception_v1', '--batch_size=100', *flags))
    assert images == 200 and abs(found * 200 - correct) <= 1.01


def test_slims_eval_script_agrees_with_ours_on_what_slimtune_trained(python, trained, here, tmp_path):
    printed = here('eval', trained / 'pic_lenet', '--eval_dir', tmp_path / 'ours')
    ours = float(printed[printed.index('Accuracy'):].split()[1].rstrip('%'))
    images = int(printed[printed.index('Accuracy'):].split()[3])
    found = python(EVALUATES, '--checkpoint_path=%s' % (trained / 'pic_lenet'), '--dataset_name=pic',
                   '--model_name=lenet', '--dataset_dir=%s' % (trained / 'pic'), '--batch_size=%d' % images)
    assert accuracy(found) == (pytest.approx(ours / 100, abs=6e-4), images)


@pytest.mark.parametrize('net, flags, classes', [
    # imagenet and no folder, as slim's README has it
    ('mobilenet_v1_025', [], 1001),
    pytest.param('resnet_v1_50', ['--labels_offset=1', '--image_size=64'], 1000, marks=pytest.mark.slow),
    ('cifarnet', ['--dataset_name=cifar10', '--batch_size=1'], 10)])
def test_slims_export_script_writes_what_slimtune_export_writes(net, flags, classes, python, here, tmp_path):
    python(EXPORTS, '--output_file=theirs.pb', '--model_name=' + net, *flags)
    here('export', '--output_file=ours.pb', '--model_name=' + net, *flags)
    files = [tmp_path / 'theirs.pb', tmp_path / 'ours.pb']
    theirs, ours = (tf.GraphDef.FromString(file.read_bytes()) for file in files)
    assert {(node.name, node.op) for node in ours.node} == {(node.name, node.op) for node in theirs.node}
    with tf.Graph().as_default():
        output, = tf.import_graph_def(theirs, return_elements=[nets_factory.NETS[net].output + ':0'])
        assert output.shape.as_list()[-1] == classes
