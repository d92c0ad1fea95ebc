"""`slimtune export`: the files to ship, replayed on real pictures before it says done; or slim's bare graph."""
import dataclasses
import hashlib
import json
import os
import shutil

import numpy as np

from slimtune import __version__, checkpoint, data, engine, files, model, options
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UsageError, UserError
from slimtune.evaluate import data_set, folder_of
from slimtune.nets import nets_factory
from slimtune.preprocessing import preprocessing_factory
from slimtune.runtime import VERSION, portable, session_config, tf
from slimtune.terminal import next_step, result, say, warn

REPLAYED = 32               # pictures
AGREES = 1e-3               # the largest difference of a probability that passes
MODEL_FORMAT = 1
BARE_ONLY = ('batch_size', 'is_training', 'final_endpoint', 'write_text_graphdef', 'is_video_model', 'num_frames')
BUNDLE = ('frozen.pb', 'frozen_encoded.pb', 'saved_model', 'model.xml', 'model.bin', 'label.txt', 'labels.txt', 'model.json')


def run(request):
    """The command."""
    exported, net_options, data_options = request[options.Exported], request[options.Net], data_set(request)
    if exported.output_file:
        export_bare(exported, data_options, net_options)
        return
    if not exported.checkpoint_path:
        raise UserError('export what? Make the first word a train folder, or add --checkpoint-path; --output-file for a graph '
                        'without weights')
    bare = [name for name in BARE_ONLY if request.typed.get(name)]
    if bare:
        raise UsageError('%s acts with --output-file only' % options.flag(bare[0]))
    folder = export(exported, data_options, net_options, request.run, request.averages)
    next_step('slimtune predict %s PICTURE …' % folder)


def export(exported, data_options, net_options, run=None, averages=False):
    """Writes the bundle and returns its folder. The arguments are the dataclasses of options; run: run.json, {} without.

    frozen.pb: floats into `input`, the net's own output, and `logits` and `probabilities`. frozen_encoded.pb: encoded
    pictures into `encoded`, `probabilities`. saved_model/: the same for serving. model.json: what a client must know.
    """
    names = labels.read(exported.label_path) if exported.label_path else None
    offset = data_options.labels_offset
    exported_model = model.load(exported.checkpoint_path, run or {}, net_options,
                                exported.image_size or exported.eval_image_size, names and names[offset:], averages, offset)
    exported_model.say_averages()
    folder = exported.output_dir or os.path.join(folder_of(exported.checkpoint_path), 'export')
    there = os.listdir(folder) if os.path.isdir(folder) else []
    others = sorted(set(there).difference(BUNDLE if 'model.json' in there else ()))
    if others:
        raise UserError('%s holds other files (%s): choose another --output-dir' % (folder, ', '.join(others[:5])))

    # Everything is written beside its place and proved there. What a killed export left there goes.
    parent, name = os.path.split(os.path.abspath(folder))
    beside = os.path.join(parent, '.%s.part' % name)
    shutil.rmtree(beside, ignore_errors=True)
    os.makedirs(beside)
    try:
        frozen = model.freeze(exported_model)
        files.write_bytes(os.path.join(beside, 'frozen.pb'), frozen.SerializeToString())
        write_encoded(beside, frozen, exported_model)
        model.write_labels(beside, exported_model.class_names)
        difference, replayed, proofs = replay(beside, exported_model, some_pictures(data_options))
        files.write_text(os.path.join(beside, 'model.json'),
                         json.dumps(dict(facts(exported_model), proofs=proofs), indent=1, ensure_ascii=False) + '\n')
        if not difference <= AGREES:
            raise UserError('the exported files answer differently from the checkpoint, by %.2g: nothing was written'
                            % difference)
        replace_folder(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    result('%s: %s' % (folder, ', '.join(name for name in BUNDLE if name in os.listdir(folder))))
    result('Replayed on %s: largest difference of a probability %.2g' % (replayed, difference))
    return folder


def facts(exported_model):
    """What model.json says."""
    inputs, net = exported_model.inputs, exported_model.net
    digest = hashlib.sha256()
    for path in checkpoint.files(exported_model.checkpoint.prefix):
        if not path.endswith('.meta'):
            with open(path, 'rb') as f:
                for block in iter(lambda: f.read(1 << 20), b''):
                    digest.update(block)
    return {
        'format': MODEL_FORMAT, 'net': net.name, 'image_size': inputs.size, 'channels': inputs.channels,
        'preprocessing': preprocessing_factory.style_of(inputs.preprocessing), 'use_grayscale': inputs.use_grayscale,
        'dct_method': inputs.dct_method, 'classes': exported_model.class_names,
        'averages': exported_model.averages,
        'frozen.pb': {'input': 'input:0', 'output': net.output + ':0', 'logits': 'logits:0', 'probabilities': 'probabilities:0'},
        'frozen_encoded.pb': {'input': 'encoded:0', 'probabilities': 'probabilities:0'},
        'checkpoint': {'name': os.path.basename(exported_model.checkpoint.prefix), 'step': exported_model.checkpoint.step,
                       'sha256': digest.hexdigest()},
        'versions': {'slimtune': __version__, 'tensorflow': VERSION}}


def write_encoded(folder, frozen, exported_model):
    """Writes frozen_encoded.pb and saved_model/, which take encoded pictures [n] (JPEG, PNG, GIF) and give probabilities."""
    inputs = exported_model.inputs
    preprocess = preprocessing_factory.get_preprocessing(inputs.preprocessing, False, inputs.use_grayscale)
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        encoded = tf.placeholder(tf.string, [None], name='encoded')
        images = tf.map_fn(lambda one: preprocess(data.decode(one, inputs), inputs.size, inputs.size), encoded, tf.float32,
                           parallel_iterations=4)
        images = tf.ensure_shape(images, [None, inputs.size, inputs.size, inputs.channels])
        probabilities, = tf.import_graph_def(frozen, {'input:0': images}, ['probabilities:0'], name='net')
        probabilities = tf.identity(probabilities, 'probabilities')
        graph = tf.graph_util.extract_sub_graph(tf.get_default_graph().as_graph_def(), ['probabilities'])
        files.write_bytes(os.path.join(folder, 'frozen_encoded.pb'), portable(graph).SerializeToString())
        best = tf.gather(tf.constant(exported_model.class_names), tf.argmax(probabilities, 1), name='classes')
        builder = tf.saved_model.builder.SavedModelBuilder(os.path.join(folder, 'saved_model'))
        signature = tf.saved_model.predict_signature_def({'image_bytes': encoded},
                                                         {'probabilities': probabilities, 'classes': best})
        builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING],
                                             {'serving_default': signature}, strip_default_attrs=True)
        builder.save()


# The proof

def some_pictures(data_options):
    """Encoded validation pictures (training pictures where there are none): (list of bytes, what they are)."""
    for split in (data_options.dataset_split_name, 'validation', 'test', 'train'):
        try:
            dataset = dataset_factory.get_dataset(data_options.dataset_name, split, data_options.dataset_dir)
        except UserError:
            continue
        return data.encoded_pictures(dataset, REPLAYED), split
    return [], None


def replay(folder, exported_model, pictures):
    """Compares what every file of the bundle answers with the checkpoint's own net: (largest difference, on what, proofs).

    Writes OpenVINO's files too, where it is installed; proofs: of its engines, see engine.answering.
    """
    encoded, split = pictures
    inputs = exported_model.inputs
    if encoded:
        images = prepared(encoded, inputs)
    else:
        warn('no pictures of the data set were found: replayed on noise (add --dataset-dir and --dataset-name)')
        images = np.random.RandomState(0).uniform(-1, 1, [4, inputs.size, inputs.size, inputs.channels]).astype(np.float32)
    expected = live(exported_model, images)
    answers = [engine.load(os.path.join(folder, 'frozen.pb'), once=True).run(images)[1]]
    if encoded:
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            output, = tf.import_graph_def(engine.read_graph(os.path.join(folder, 'frozen_encoded.pb')), name='',
                                          return_elements=['probabilities:0'])
            answers.append(session.run(output, {'encoded:0': encoded}))
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            loaded = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING],
                                                os.path.join(folder, 'saved_model'))
            signature = loaded.signature_def['serving_default']
            answers.append(session.run(signature.outputs['probabilities'].name,
                                       {signature.inputs['image_bytes'].name: encoded}))
    proofs = {}
    if engine.openvino():
        try:
            fast = write_openvino(folder)
            answers.append(fast.run(images)[1])
            proofs = prove_engines(folder, images) if encoded else {}
        except RuntimeError as e:
            warn('OpenVINO cannot run this net, so its files are left out: %s' % str(e).strip().split('\n')[0])
    difference = max(float(np.abs(answer - expected).max()) for answer in answers)
    return difference, '%d pictures of %s' % (len(encoded), split) if encoded else 'noise', proofs


def write_openvino(folder):
    """Writes model.xml and model.bin, from which predict starts without TensorFlow; returns an engine that runs them."""
    engine.OpenVINO(os.path.join(folder, 'frozen.pb')).save(os.path.join(folder, 'model.xml'))
    return engine.load(os.path.join(folder, 'model.xml'), 'openvino')


def prove_engines(folder, images):
    """The proofs of OpenVINO in float32 and, where this CPU has it, in bfloat16: {engine's name: Proof's fields}."""
    exact, proofs = engine.load(os.path.join(folder, 'frozen.pb'), once=True), {}
    for kind in sorted({engine.choose('openvino', 'float32'), engine.choose('openvino', 'auto')}):
        fast = engine.load(os.path.join(folder, 'model.xml'), *kind)
        proofs[fast.name] = dataclasses.asdict(engine.prove(fast, exact, images))
        fast.close()
    exact.close()
    return proofs


def prepared(encoded, inputs):
    """Encoded pictures as a net's input: float32 [n, size, size, channels]."""
    preprocess = preprocessing_factory.get_preprocessing(inputs.preprocessing, False, inputs.use_grayscale)
    with tf.Graph().as_default(), tf.Session(config=session_config(cpu_only=True)) as session:
        one = tf.placeholder(tf.string, [])
        image = preprocess(data.decode(one, inputs), inputs.size, inputs.size)
        return np.stack([session.run(image, {one: picture}) for picture in encoded])


def live(exported_model, images):
    """The probabilities of the net as it stands in the checkpoint, nothing frozen."""
    with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
        placeholder, logits, _ = model.build(exported_model)
        checkpoint.restore(session, exported_model.checkpoint, model.sources(exported_model))
        return session.run(tf.nn.softmax(logits), {placeholder: images})


def replace_folder(new, folder):
    """Puts a folder in the place of another; the old one goes once the new one stands."""
    old = new + '.old'
    shutil.rmtree(old, ignore_errors=True)
    if os.path.isdir(folder):
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


# slim's export_inference_graph

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
        _, end_points = nets_factory.get_network_fn(net.name, classes, is_training=exported.is_training)(images)
        graph_def = graph.as_graph_def()
        if exported.final_endpoint:
            if exported.final_endpoint not in end_points:
                raise UserError('%s has no end point %s: there are %s' % (
                    net.name, exported.final_endpoint, ', '.join(end_points)))
            graph_def = tf.graph_util.extract_sub_graph(graph_def, [end_points[exported.final_endpoint].op.name])
    graph_def = portable(graph_def)
    folder = os.path.dirname(exported.output_file)
    os.makedirs(folder or '.', exist_ok=True)
    if exported.write_text_graphdef:
        files.write_text(exported.output_file, str(graph_def))
    else:
        files.write_bytes(exported.output_file, graph_def.SerializeToString())
    say('%s: the graph of %s, %d classes, without weights; input:0, %s:0' % (exported.output_file, net.name, classes, net.output))


def number_of_classes(data_options):
    """The classes of the data set: its folder's where that is given, else its module's."""
    if data_options.dataset_dir:
        names = dataset_factory.class_names(data_options.dataset_name, data_options.dataset_dir)
        if names:
            return len(names)
    return dataset_factory.num_classes(data_options.dataset_name)
