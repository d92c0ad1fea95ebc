"""What slimtune adds to TensorFlow, compared with TensorFlow itself."""
import contextlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from slimtune.runtime import CURRENT, next_of, quick_gradients, session_config, tf


@pytest.mark.parametrize('size, kernel, padding, strides', [
    (5, 5, 'VALID', 1), (5, 3, 'VALID', 1), (5, 5, 'SAME', 1), (7, 3, 'VALID', 2), (1, 1, 'VALID', 1)])
def test_quick_gradients_are_tensorflows_gradients(size, kernel, padding, strides):
    def gradients(context):
        with tf.Graph().as_default(), tf.Session() as session, context():
            random = np.random.RandomState(7)
            images = tf.placeholder(tf.float32, [None, size, size, 4])
            weights = tf.Variable(random.normal(size=[kernel, kernel, 4, 6]).astype(np.float32))
            answers = tf.nn.conv2d(images, weights, [1, strides, strides, 1], padding)
            found = tf.gradients(tf.reduce_sum(answers ** 3), [images, weights])
            session.run(tf.global_variables_initializer())
            operations = {op.type for op in tf.get_default_graph().get_operations()}
            return session.run(found, {images: random.normal(size=[3, size, size, 4])}), operations

    expected, plain = gradients(contextlib.suppress)
    got, operations = gradients(quick_gradients)
    for ours, theirs in zip(got, expected):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    whole = size == kernel and padding == 'VALID'
    assert ('Conv2DBackpropFilter' in operations) != whole and 'Conv2DBackpropFilter' in plain


def test_what_lies_before_a_fed_tensor_does_not_run():
    """The gradient of a convolution needs the shape of the fed tensor; computing it must not run what comes
    before."""
    with tf.Graph().as_default(), tf.Session(config=session_config(fed=True)) as session:
        sample_images = tf.placeholder(tf.float32, [None, 4, 4, 3])      # not fed: whatever needs it fails
        cut = tf.nn.relu(sample_images)
        weights = tf.Variable(np.ones([1, 1, 3, 2], np.float32))
        loss = tf.reduce_sum(tf.nn.conv2d(cut, weights, [1, 1, 1, 1], 'VALID'))
        step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        session.run(tf.global_variables_initializer())
        session.run(step, {cut: np.ones([2, 4, 4, 3])})
        assert (session.run(weights) == 1 - 0.5 * 32).all()


@pytest.mark.skipif(not CURRENT, reason='TensorFlow 1 has no autotuner')
def test_no_pipeline_has_an_autotuner(monkeypatch):
    """Closing a session sometimes waits for its thread (1 time in 4, for 4 seconds after 6 seconds of
    work)."""
    iterate, seen = tf.data.make_one_shot_iterator, []
    monkeypatch.setattr(tf.data, 'make_one_shot_iterator', lambda dataset: seen.append(dataset)
                        or iterate(dataset))
    with tf.Graph().as_default():
        next_of(tf.data.Dataset.range(3))
    assert seen[0].options().autotune.enabled is False


@pytest.mark.skipif(not shutil.which('taskset'), reason='needs taskset')
def test_the_device_line_counts_the_cores_that_the_process_may_use():
    core = str(min(os.sched_getaffinity(0)))
    process = subprocess.run(['taskset', '-c', core, sys.executable, '-c',
                              'from slimtune.runtime import device; print(device(cpu_only=True))'],
                             stdout=subprocess.PIPE, encoding='utf-8', check=True)
    assert process.stdout == 'CPU (1 core)\n'
