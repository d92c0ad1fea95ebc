"""A net's graph without weights, as slim's export_inference_graph.py writes it."""
import os

from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.runtime import portable, tf
from slimtune.storage import atomic
from slimtune.terminal import say


def export_bare(exported, data_options, net_options):
    """Writes a net's graph without weights, as slim's export_inference_graph.py does."""
    net = nets_factory.get_net(net_options.model_name)
    size = exported.image_size or exported.eval_image_size or net.image_size
    nets_factory.check_image_size(net, size)
    classes = number_of_classes(data_options) - data_options.labels_offset
    shape = [exported.batch_size, size, size, 1 if net_options.use_grayscale else 3]
    if exported.is_video_model:
        shape.insert(1, exported.num_frames)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, shape, name='input')
        build = nets_factory.get_network_fn(net.name, classes, is_training=exported.is_training)
        _, end_points = build(images)
        graph_def = graph.as_graph_def()
        if exported.final_endpoint:
            if exported.final_endpoint not in end_points:
                raise UserError(f'{net.name} has no end point {exported.final_endpoint}: there are '
                                + ', '.join(end_points))
            last = end_points[exported.final_endpoint].op.name
            graph_def = tf.graph_util.extract_sub_graph(graph_def, [last])
    graph_def = portable(graph_def)
    folder = os.path.dirname(exported.output_file)
    os.makedirs(folder or '.', exist_ok=True)
    if exported.write_text_graphdef:
        atomic.write_text(exported.output_file, str(graph_def))
    else:
        atomic.write_bytes(exported.output_file, graph_def.SerializeToString())
    say(f'{exported.output_file}: the graph of {net.name}, {classes} classes, without weights; input:0, '
        f'{net.output}:0')


def number_of_classes(data_options):
    """The classes of the data set: its folder's where that is given, else its module's."""
    if data_options.dataset_dir:
        names = dataset_factory.class_names(data_options.dataset_name, data_options.dataset_dir)
        if names:
            return len(names)
    return dataset_factory.num_classes(data_options.dataset_name)
