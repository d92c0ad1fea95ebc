"""`slimtune export`: what ships gives the checkpoint's probabilities, here, in plain TensorFlow and on the
other runtime."""
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from slimtune.errors import UserError
from slimtune.exporting import bundle
from slimtune.inference import engines
from slimtune.runtime import CURRENT, VERSION, tf

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
CLASSES = ['one', 'two', 'zero']
BUNDLE = sorted(['frozen.pb', 'frozen_encoded.pb', 'label.txt', 'labels.txt', 'model.json', 'saved_model']
                + (['model.bin', 'model.xml'] if engines.openvino() else []))

#: Loads all three files and prints the probabilities of the images named, as JSON. Runs on either runtime.
REPLAY = '''
import json, sys
import numpy as np
from slimtune.runtime import tf
folder, images = sys.argv[1], [open(name, 'rb').read() for name in sys.argv[2:]]
probabilities = {}
floats = np.linspace(-1, 1, 2 * 28 * 28).reshape(2, 28, 28, 1)
for name, feed in (('frozen', floats), ('frozen_encoded', images)):
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(open('%s/%s.pb' % (folder, name), 'rb').read())
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name='')
        placeholder = 'input:0' if name == 'frozen' else 'encoded:0'
        probabilities[name] = session.run('probabilities:0', {placeholder: feed}).tolist()
with tf.Graph().as_default(), tf.Session() as session:
    loaded = tf.saved_model.loader.load(session, ['serve'], folder + '/saved_model')
    signature = loaded.signature_def['serving_default']
    probabilities['saved_model'] = session.run(signature.outputs['probabilities'].name,
                                               {signature.inputs['image_bytes'].name: images}).tolist()
print(json.dumps(probabilities))
'''


def graph_of(path):
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    return graph_def


def run_graph(graph_def, output, feeds):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name='')
        return session.run(output, feeds)


def files_of(folder):
    """{name: its bytes} of all files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture
def net(trained, tmp_path):
    """A copy of the trained net's folder, in the test's own."""
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'net'))
    return tmp_path / 'net'


def test_a_train_folder_becomes_a_bundle_replayed_on_real_images(net, trained, slimtune):
    process = slimtune('export', 'net')
    assert sorted(os.listdir(str(net / 'export'))) == BUNDLE
    with open(str(trained / 'pic' / 'dataset.json'), encoding='utf-8') as f:
        held_out = json.load(f)['splits']['validation']['images']
    expected = f'Replayed on {held_out} images of validation: largest difference of a probability'
    assert expected in process.stdout
    assert float(process.stdout.split('probability ')[1].split()[0]) < 1e-5
    assert process.stdout.splitlines()[-1] == 'Next: slimtune predict net/export IMAGE ...'
    assert process.stderr == ''
    assert (net / 'export' / 'label.txt').read_text() == 'one\ntwo\nzero\n'
    assert (net / 'export' / 'labels.txt').read_text() == '0:one\n1:two\n2:zero\n'
    assert not [name for name in os.listdir(str(net)) if name.startswith('.')]


def test_model_json_says_what_a_client_must_know(exported, trained):
    metadata = json.loads((exported / 'model.json').read_text(encoding='utf-8'))
    described = [metadata[key] for key in ('net', 'image_size', 'channels', 'preprocessing')]
    assert described == ['lenet', 28, 1, 'lenet']
    assert metadata['classes'] == CLASSES and metadata['versions']['tensorflow'] == VERSION
    checksum = hashlib.sha256()
    for ending in ('.data-00000-of-00001', '.index'):
        checksum.update((trained / 'pic_lenet' / ('model.ckpt-60' + ending)).read_bytes())
    assert metadata['checkpoint'] == {'name': 'model.ckpt-60', 'step': 60, 'sha256': checksum.hexdigest()}
    frozen, encoded = (graph_of(exported / name) for name in ('frozen.pb', 'frozen_encoded.pb'))
    for tensor in metadata['frozen.pb'].values():
        assert tensor.split(':')[0] in {node.name for node in frozen.node}
    for tensor in metadata['frozen_encoded.pb'].values():
        assert tensor.split(':')[0] in {node.name for node in encoded.node}


def test_a_client_of_slims_reads_the_frozen_graph(exported):
    """Floats into input:0, the net's own output, as after slim's export and freeze_graph."""
    images = np.random.RandomState(0).uniform(-1, 1, [3, 28, 28, 1])
    output, logits = run_graph(graph_of(exported / 'frozen.pb'), ['Predictions/Reshape_1:0', 'logits:0'],
                               {'input:0': images})
    assert output.shape == (3, 3)
    np.testing.assert_allclose(output, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rtol=1e-5)


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def test_the_encoded_graph_and_the_saved_model_take_jpeg_and_png_in_any_colour(exported, digits):
    digit = Image.open(str(sorted((digits / 'zero').iterdir())[0]))
    opaque = digit.convert('RGB')
    opaque.putalpha(255)
    exact = [encoded(digit, 'PNG'), encoded(digit.convert('RGB'), 'PNG'), encoded(opaque, 'PNG')]
    lossy = [encoded(digit, 'JPEG', quality=95), encoded(digit.convert('RGB'), 'JPEG', quality=95)]
    found = run_graph(graph_of(exported / 'frozen_encoded.pb'), 'probabilities:0',
                      {'encoded:0': exact + lossy})
    floats = (np.asarray(digit, np.float32)[None, :, :, None] - 128) / 128
    expected, = run_graph(graph_of(exported / 'frozen.pb'), 'probabilities:0', {'input:0': floats})
    np.testing.assert_allclose(found[:3], [expected] * 3, atol=1e-5)
    np.testing.assert_allclose(found[3:], [expected] * 2, atol=0.1)
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING],
                                            str(exported / 'saved_model'))
        signature = loaded.signature_def['serving_default']
        outputs = [signature.outputs[name].name for name in ('classes', 'probabilities')]
        names, probabilities = session.run(outputs, {signature.inputs['image_bytes'].name: exact + lossy})
    np.testing.assert_allclose(probabilities, found, atol=1e-6)
    assert [name.decode() for name in names] == [CLASSES[n] for n in found.argmax(1)]


def test_what_one_runtime_exports_the_other_loads(exported, digits, tmp_path):
    other = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                         '.venv-3.7' if CURRENT else '.venv-3.11', 'bin', 'python')
    if not os.path.exists(other):
        pytest.skip('needs the other runtime in %s' % other)
    (tmp_path / 'replay.py').write_text(REPLAY)
    sample_images = sorted((digits / 'one').iterdir())[:3]
    words = [other, 'replay.py', str(exported)] + [str(path) for path in sample_images]
    printed = subprocess.run(words, cwd=str(tmp_path), check=True, stdout=subprocess.PIPE).stdout
    theirs = json.loads(printed.decode())
    floats = np.linspace(-1, 1, 2 * 28 * 28).reshape(2, 28, 28, 1)
    ours = run_graph(graph_of(exported / 'frozen.pb'), 'probabilities:0', {'input:0': floats})
    np.testing.assert_allclose(theirs['frozen'], ours, atol=1e-5)
    ours = run_graph(graph_of(exported / 'frozen_encoded.pb'), 'probabilities:0',
                     {'encoded:0': [path.read_bytes() for path in sample_images]})
    np.testing.assert_allclose(theirs['frozen_encoded'], ours, atol=1e-5)
    np.testing.assert_allclose(theirs['saved_model'], ours, atol=1e-5)


def test_exporting_again_replaces_the_bundle(net, exported, here):
    shutil.copytree(str(exported), str(net / 'export'))
    for path in (net / 'export').rglob('*'):
        if path.is_file():
            path.write_bytes(b'old')
    here('export', 'net')
    before, after = (files_of(folder) for folder in (exported, net / 'export'))
    assert set(after) == set(before) and b'old' not in after.values()
    assert not [name for name in os.listdir(str(net)) if name.startswith('.')]


def test_a_folder_that_holds_anything_else_is_left_alone(net, exported, here, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'label.txt').write_text('mine')
    assert 'mine holds other files (label.txt): choose another --output-dir' in here(
        'export', 'net', '--output-dir', 'mine', code=1)
    shutil.copytree(str(exported), str(net / 'export'))
    (net / 'export' / 'notes.txt').write_text('mine')
    assert 'holds other files (notes.txt)' in here('export', 'net', code=1)
    for path in (net / 'export' / 'notes.txt', tmp_path / 'mine' / 'label.txt'):
        assert path.read_text() == 'mine'


def test_a_killed_export_leaves_no_half_bundle_and_the_next_one_clears_up(net, slimtune):
    process = subprocess.Popen([SLIMTUNE, 'export', str(net)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while not [name for name in os.listdir(str(net)) if name.startswith('.export')]:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (net / 'export').exists()
    slimtune('export', 'net')
    assert sorted(os.listdir(str(net / 'export'))) == BUNDLE
    assert not [name for name in os.listdir(str(net)) if name.startswith('.')]


@pytest.mark.parametrize('form', bundle.FORMATS, ids=lambda form: form.__name__.split('.')[-1])
def test_a_file_with_other_probabilities_than_the_checkpoint_is_not_exported(form, net, here, monkeypatch):
    """Each format in turn is wrong by construction, by 0.01."""
    real = form.write

    def write(folder, model):
        run = real(folder, model)
        return run and (lambda batch: run(batch) + 0.01)
    monkeypatch.setattr(form, 'write', write)
    if form is bundle.openvino and not engines.openvino():
        pytest.skip('OpenVINO is not installed')
    assert 'by 0.01: nothing was written' in here('export', 'net', code=1)
    assert not [name for name in os.listdir(str(net)) if name.startswith('.') or name == 'export']


def test_a_format_that_cannot_hold_the_net_is_left_out_and_named(net, here, monkeypatch):
    def write(folder, model):
        raise RuntimeError('unknown layer\nmore')
    monkeypatch.setattr(bundle.openvino, 'write', write)
    assert 'openvino cannot run this net, so its files are left out: unknown layer' in here('export', 'net')
    written = os.listdir(str(net / 'export'))
    assert 'model.xml' not in written and 'frozen.pb' in written


def test_one_file_that_gives_no_numbers_stops_the_export(net, here, monkeypatch):
    """The others agree with the checkpoint, and nan is larger than nothing."""
    real = bundle.frozen_encoded.write

    def write(folder, model):
        run = real(folder, model)
        return lambda batch: run(batch) * np.nan
    monkeypatch.setattr(bundle.frozen_encoded, 'write', write)
    assert 'nothing was written' in here('export', 'net', code=1)


def test_what_a_format_wrote_before_it_failed_is_not_shipped(net, here, monkeypatch):
    def write(folder, model):
        for name in bundle.openvino.FILES:
            with open(os.path.join(folder, name), 'w') as f:
                f.write('half')

        def run(batch):
            raise RuntimeError('no such layer')
        return run
    monkeypatch.setattr(bundle.openvino, 'write', write)
    assert 'its files are left out: no such layer' in here('export', 'net')
    assert not set(bundle.openvino.FILES) & set(os.listdir(str(net / 'export')))


def test_a_broken_openvino_costs_its_own_files_alone(net, here, monkeypatch):
    def broken():
        raise UserError('OpenVINO is installed but cannot be loaded')
    monkeypatch.setattr(engines, 'openvino', broken)
    assert 'cannot be loaded' in here('export', 'net')
    assert 'model.xml' not in os.listdir(str(net / 'export'))


def test_a_folder_that_cannot_be_written_is_found_before_the_work(net, here, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle.restored_model, 'load', lambda *arguments: pytest.fail('it was loaded first'))
    (tmp_path / 'file').write_text('mine')
    printed = here('export', 'net', '--output-dir', 'file/export', code=1)
    assert 'file cannot be written (' in printed and 'choose another folder with --output-dir' in printed
    if os.path.isdir('/sys/kernel'):
        assert '/sys cannot be written (' in here('export', 'net', '--output-dir', '/sys/export', code=1)


def test_a_users_own_folder_with_the_names_of_an_export_is_left_alone(net, here, tmp_path):
    """A model.json of another tool, a saved_model of their own."""
    own = tmp_path / 'own'
    (own / 'saved_model').mkdir(parents=True)
    (own / 'saved_model' / 'thesis.txt').write_text('mine')
    (own / 'frozen.pb').write_text('mine')
    (own / 'model.json').write_text('{"class_name": "Sequential", "keras_version": "2.2.4"}')
    before = files_of(own)
    assert 'own holds other files (frozen.pb, model.json, saved_model): choose another --output-dir' in here(
        'export', 'net', '--output-dir', 'own', code=1)
    (own / 'model.json').unlink()
    assert 'own holds other files' in here('export', 'net', '--output-dir', 'own', code=1)
    assert {name: data for name, data in before.items() if name != 'model.json'} == files_of(own)


def test_an_export_of_five_images_is_measured_anew_where_it_predicts(digits, here, tmp_path):
    """What five images showed is in model.json for information; predict never relies on it."""
    for name in CLASSES:
        for split, first, last in (('train', 0, 6), ('validation', 6, 8 if name != 'two' else 7)):
            (tmp_path / 'few' / split / name).mkdir(parents=True)
            for path in sorted((digits / name).iterdir())[first:last]:
                shutil.copy(str(path), str(tmp_path / 'few' / split / name))
    here('train', 'few', '--model', 'lenet', '--max-number-of-steps', 5, '--batch-size', 4)
    assert 'Replayed on 5 images of validation' in here('export', 'few_lenet')
    metadata = json.loads((tmp_path / 'few_lenet' / 'export' / 'model.json').read_text(encoding='utf-8'))
    if not engines.openvino():
        assert metadata['agreement'] == {}
        return
    measured = metadata['agreement']['openvino float32']
    assert (measured['num_images'], measured['reference']) == (5, 'tensorflow float32')
    folders = [digits / name for name in CLASSES]
    few, many = (here('predict', 'few_lenet/export', *folders * times) for times in (1, 2))
    assert 'compared with' not in few, '60 images: float32 at once'
    assert ('on 64 images' in many) == (engines.choose('openvino', 'auto')[1] == 'bfloat16')


def test_without_the_images_it_is_replayed_on_noise_and_says_so(net, here):
    printed = here('export', 'net', '--dataset-dir', 'moved')
    assert 'replayed on noise (add --dataset-dir' in printed
    assert 'Replayed on noise: largest difference' in printed
    assert sorted(os.listdir(str(net / 'export'))) == BUNDLE


def test_it_is_replayed_on_another_split_than_was_trained_on_where_there_is_one(net, here):
    with open(str(net / 'run.json')) as f:
        run = json.load(f)
    for trained_on, replayed_on in (('train', 'validation'), ('validation', 'train')):
        run['options']['dataset_split_name'] = trained_on
        (net / 'run.json').write_text(json.dumps(run))
        assert f' images of {replayed_on}: largest' in here('export', 'net')


def test_a_bare_checkpoint_is_exported_with_its_labels(net, here, tmp_path):
    (net / 'run.json').unlink()
    (tmp_path / 'names.txt').write_text('eins\nzwei\nnull\n')
    here('export', '--checkpoint_path=net/model.ckpt-60.meta', '--model_name=lenet', '--label_path=names.txt',
         '--output_dir=out/bundle')
    metadata = json.loads((tmp_path / 'out' / 'bundle' / 'model.json').read_text())
    assert metadata['classes'] == ['eins', 'zwei', 'null']
    words = ['export', '--checkpoint_path=net', '--model_name=lenet', '--label_path=names.txt']
    assert 'has 3 classes, but the labels name 2' in here(*words, '--labels_offset=1', code=1)


@pytest.mark.parametrize('words, code, message', [
    ([], 1, 'export what?'), (['nowhere'], 1, 'no checkpoint at nowhere'), (['.'], 1, 'no checkpoint in .'),
    (['NET', '--final_endpoint=fc3'], 2, '--final-endpoint acts with --output-file only'),
    (['NET', '--model-name=cifarnet'], 1, 'holds lenet, not cifarnet: add --model lenet'),
    (['--output_file=x.pb', '--dataset_name=mine'], 1, 'how many classes does mine have?'),
    (['--output_file=x.pb', '--model_name=mobilenet_v1_025', '--final_endpoint=fc7'], 1,
     'no end point fc7: there are Conv2d_0'),
    (['--output_file=x.pb', '--model_name=lennet'], 1, 'lenet')])
def test_what_cannot_be_exported_is_one_line(words, code, message, trained, here, tmp_path):
    words = [trained / 'pic_lenet' if word == 'NET' else word for word in words]
    assert message in here('export', *words, code=code)
    assert os.listdir(str(tmp_path)) == []


# slim's export_inference_graph

def test_slims_command_writes_slims_bare_graph_without_data(slimtune, tmp_path):
    process = slimtune('export', '--alsologtostderr', '--model_name=inception_v3',
                       '--output_file=inception_v3_inf_graph.pb', '--dataset_name=guangdong')
    assert process.stdout == ''
    assert 'inception_v3_inf_graph.pb: the graph of inception_v3, 12 classes' in process.stderr
    graph_def = graph_of(tmp_path / 'inception_v3_inf_graph.pb')
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name='')
        assert graph.get_tensor_by_name('input:0').shape.as_list() == [None, 299, 299, 3]
        assert graph.get_tensor_by_name('InceptionV3/Predictions/Reshape_1:0').shape.as_list() == [None, 12]
    assert {node.op for node in graph_def.node if node.name == 'InceptionV3/Logits/Conv2d_1c_1x1/weights'} & {
        'VariableV2', 'VarHandleOp'}


def test_slims_flags_shape_the_bare_graph(here, tmp_path):
    words = ['export', '--model_name=mobilenet_v1_025', '--dataset_name=imagenet']
    here(*words + ['--output_file=plain.pb', '--image_size=64', '--batch_size=2', '--labels_offset=1'])
    here(*words + ['--output_file=deep/cut.pb', '--final_endpoint=Conv2d_3_pointwise', '--image_size=64'])
    here(*words + ['--output_file=graph.pbtxt', '--write_text_graphdef', '--image_size=64'])
    here(*words + ['--output_file=training.pb', '--is_training', '--image_size=64'])
    here('export', '--model_name=lenet', '--dataset_name=mnist', '--output_file=grey.pb', '--use_grayscale')
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_of(tmp_path / 'plain.pb'), name='')
        assert graph.get_tensor_by_name('input:0').shape.as_list() == [2, 64, 64, 3]
        assert graph.get_tensor_by_name('MobilenetV1/Predictions/Reshape_1:0').shape.as_list() == [2, 1000]
    cut = {node.name for node in graph_of(tmp_path / 'deep' / 'cut.pb').node}
    assert any(name.startswith('MobilenetV1/MobilenetV1/Conv2d_3_pointwise/') for name in cut)
    assert not any('Conv2d_4' in name or 'Logits' in name for name in cut)
    text = tf.GraphDef()
    from google.protobuf import text_format
    text_format.Merge((tmp_path / 'graph.pbtxt').read_text(), text)
    plain = {node.name for node in graph_of(tmp_path / 'plain.pb').node}
    training = {node.name for node in graph_of(tmp_path / 'training.pb').node}
    assert {node.name for node in text.node} == plain != training
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_of(tmp_path / 'grey.pb'), name='')
        assert graph.get_tensor_by_name('input:0').shape.as_list() == [None, 28, 28, 1]
