"""Graphs that others wrote: only the operations of nets and exports are read, whatever else a graph could do
is refused."""
import json
import shutil

import pytest
from PIL import Image

from slimtune.errors import UserError
from slimtune.images import prepare
from slimtune.images.model_input import Input
from slimtune.inference import export_folder
from slimtune.inference.graph_file import OPS, DamagedFile, check_ops, check_saved_model, read_graph
from slimtune.nets import nets_factory
from slimtune.preprocessing import preprocessing_factory
from slimtune.runtime import tf

VARIABLES = {'VariableV2', 'VarHandleOp', 'ReadVariableOp'}      # constants, once a net is frozen


def with_writer(path, target, secret):
    """frozen.pb as a stranger may hand it on: its `probabilities` also read one file and write it into
    another."""
    graph_def = tf.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        probabilities, = tf.import_graph_def(graph_def, name='', return_elements=['probabilities:0'])
        with tf.control_dependencies([tf.io.write_file(str(target), tf.io.read_file(str(secret)))]):
            tf.identity(probabilities, 'stolen')
        changed = graph.as_graph_def()
    for node in changed.node:
        node.name = {'probabilities': 'inner', 'stolen': 'probabilities'}.get(node.name, node.name)
        for n, name in enumerate(node.input):
            node.input[n] = {'probabilities': 'inner'}.get(name, name)
    path.write_bytes(changed.SerializeToString())


@pytest.fixture
def received(exported, tmp_path):
    """An export from somebody else: a graph that reads and writes files, its checksum as it should be, no
    model.xml."""
    shutil.copytree(str(exported), str(tmp_path / 'received'))
    (tmp_path / 'secret').write_text('mine')
    with_writer(tmp_path / 'received' / 'frozen.pb', tmp_path / 'stolen', tmp_path / 'secret')
    for name in ('model.xml', 'model.bin'):
        if (tmp_path / 'received' / name).exists():
            (tmp_path / 'received' / name).unlink()
    metadata = json.loads((tmp_path / 'received' / 'model.json').read_text(encoding='utf-8'))
    metadata['files'] = export_folder.checksums(str(tmp_path / 'received'))
    (tmp_path / 'received' / 'model.json').write_text(json.dumps(metadata), encoding='utf-8')
    return tmp_path / 'received'


@pytest.mark.parametrize('engine', ['auto', 'tensorflow', 'openvino'])
def test_a_received_graph_that_reads_and_writes_files_is_refused(engine, received, digits, here, tmp_path):
    image = sorted((digits / 'one').iterdir())[0]
    printed = here('predict', received, image, '--engine', engine, code=1)
    assert 'WriteFile' in printed or 'ReadFile' in printed
    assert not (tmp_path / 'stolen').exists()


def test_the_graph_would_have_written_the_file(received, tmp_path):
    """What the test above relies on."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((received / 'frozen.pb').read_bytes()), name='')
        import numpy as np
        session.run('probabilities:0', {'input:0': np.zeros([1, 28, 28, 1])})
    assert (tmp_path / 'stolen').read_text() == 'mine'


def test_an_operation_in_a_function_of_the_graph_is_found(tmp_path):
    graph_def = tf.GraphDef()
    graph_def.node.add(name='input', op='Placeholder')
    graph_def.library.function.add().node_def.add(name='hidden', op='WriteFile')
    (tmp_path / 'graph.pb').write_bytes(graph_def.SerializeToString())
    with pytest.raises(UserError, match='holds the operation WriteFile'):
        read_graph(str(tmp_path / 'graph.pb'))


def test_a_saved_model_is_checked_like_a_graph(exported, tmp_path):
    check_saved_model(str(exported / 'saved_model'))
    from slimtune.runtime import SavedModel
    saved = SavedModel.FromString((exported / 'saved_model' / 'saved_model.pb').read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name='x', op='PyFunc')
    (tmp_path / 'saved_model.pb').write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match='holds the operation PyFunc'):
        check_saved_model(str(tmp_path))


def test_no_listed_operation_touches_files_processes_or_the_network():
    """The names of TensorFlow's operations that do."""
    words = ['File', 'Write', 'Read', 'Save', 'Restore', 'PyFunc', 'Dataset', 'Iterator', 'Rpc', 'Recv',
             'Send', 'Print', 'Library', 'Server', 'Queue', 'Summary', 'Debug', 'Merge', 'Call', 'Function',
             'While']
    listed = {op for op in OPS for word in words if word in op}
    # Of control flow, and of tensors in memory:
    assert listed == {'Merge', 'TensorArrayReadV3', 'TensorArrayWriteV3'}


def test_a_damaged_graph_is_one_line(tmp_path):
    (tmp_path / 'frozen.pb').write_bytes(b'\xff' * 100)
    with pytest.raises(DamagedFile, match='frozen.pb is damaged: export again'):
        read_graph(str(tmp_path / 'frozen.pb'))


@pytest.mark.parametrize('net, size', [('lenet', 28), ('mobilenet_v1_025', 64)])
def test_our_own_exports_are_read(net, size, weights_of, save_variables, here, tmp_path):
    prefix = save_variables(weights_of(net, 3), tmp_path / 'model.ckpt-7')
    (tmp_path / 'label.txt').write_text('a\nb\nc\n')
    here('export', f'--checkpoint_path={prefix}', f'--model_name={net}', f'--image_size={size}',
         '--label_path=label.txt', '--output_dir=export')
    Image.new('RGB', (size, size), 'red').save(str(tmp_path / 'red.png'))
    assert 'red.png' in here('predict', 'export', 'red.png', '--engine', 'tensorflow')
    read_graph(str(tmp_path / 'export' / 'frozen_encoded.pb'))
    check_saved_model(str(tmp_path / 'export' / 'saved_model'))


@pytest.mark.parametrize('style', preprocessing_factory.STYLES)
@pytest.mark.parametrize('channels, grayscale', [(3, False), (1, False), (1, True)])
def test_the_preparation_of_images_has_listed_operations_alone(style, channels, grayscale):
    if channels == 1 and not grayscale and style in preprocessing_factory.COLOUR_STYLES:
        pytest.skip('this style is for images in colour')
    with tf.Graph().as_default() as graph:
        encoded = tf.placeholder(tf.string, [None])
        inputs = Input(style, 64, channels, grayscale)
        tf.map_fn(lambda one: prepare.evaluation_image(one, inputs), encoded, tf.float32)
        check_ops(graph.as_graph_def(), style)


# One net a family; the others take minutes.
QUICK = ('lenet', 'inception_v1', 'resnet_v1_50', 'mobilenet_v2', 's3dg', 'nasnet_cifar')


@pytest.mark.parametrize('net', [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in nets_factory.NETS])
def test_a_net_has_listed_operations_alone(net):
    record = nets_factory.NETS[net]
    shape = [None] + [10] * record.video + [record.image_size, record.image_size, record.channels]
    with tf.Graph().as_default() as graph:
        logits, _ = nets_factory.get_network_fn(net, 5)(tf.placeholder(tf.float32, shape))
        tf.nn.softmax(logits, name='probabilities')
        graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), ['probabilities', record.output])
    frozen = tf.GraphDef(node=[node for node in graph_def.node if node.op not in VARIABLES])
    check_ops(frozen, net)
    assert len(frozen.node) > 10
