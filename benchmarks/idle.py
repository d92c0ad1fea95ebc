"""How long a step that trains all of inception_v3 waits for its images.

`python -m benchmarks.idle FOLDER` prints the part of a step, and the images per second of the input pipeline
alone. FOLDER holds the data set `flowers`.
"""
import sys
import time

from slimtune import options
from slimtune.datasets import dataset_factory
from slimtune.images import input_pipeline
from slimtune.images.model_input import inputs_of
from slimtune.nets import nets_factory
from slimtune.runtime import session_config, tf, trains_in_bfloat16
from slimtune.training import losses, schedule, train

BATCH, BEFORE, STEPS, BATCHES = 32, 3, 5, 30


def main(folder):
    """Traces STEPS steps."""
    dataset = dataset_factory.get_dataset('flowers', 'train', folder)
    inputs = inputs_of(nets_factory.get_net('inception_v3'), options.Net(), None, dataset.channels)
    with tf.Graph().as_default():
        global_step = tf.train.create_global_step()
        images, labels = input_pipeline.training_batches(dataset, inputs, BATCH, 0, 0)
        network_fn = nets_factory.get_network_fn('inception_v3', len(dataset.class_names), 0.00004, True)
        logits, end_points = network_fn(images)
        loss = tf.add_n(losses.losses(logits, end_points, labels, len(dataset.class_names), 0.0)
                        + tf.losses.get_regularization_losses())
        optimizer = schedule.optimizer(options.Optimizer(), tf.constant(0.001))
        step = train.training_step(optimizer, loss, tf.trainable_variables(), global_step, None)
        with tf.Session(config=session_config(bfloat16=trains_in_bfloat16())) as session:
            session.run(tf.global_variables_initializer())
            for _ in range(BEFORE):
                session.run(step)
            share = sum(waiting(session, step) for _ in range(STEPS)) / STEPS
            session.run(images.op)
            begun = time.time()
            for _ in range(BATCHES):
                session.run(images.op)
            print(share, BATCHES * BATCH / (time.time() - begun))


def waiting(session, step):
    """The part of a step's time in which it waits for its images."""
    traced = tf.RunMetadata()
    begun = time.time()
    session.run(step, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=traced)
    seconds = time.time() - begun
    return sum(node.all_end_rel_micros for device in traced.step_stats.dev_stats for node in device.node_stats
               if 'IteratorGetNext' in node.node_name) / 1e6 / seconds


if __name__ == '__main__':
    main(sys.argv[1])
