"""The exported folder: written beside its place, replayed on real images, and only then put there."""
import json
import os
import shutil

import numpy as np

from slimtune import __version__, options
from slimtune.checkpoints import checkpoint, restored_model
from slimtune.checkpoints.checkpoint import folder_of, restore
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.exporting import encoded, openvino
from slimtune.images import input_pipeline
from slimtune.images.prepare import evaluation_arrays
from slimtune.inference import engines
from slimtune.runtime import VERSION, session_config, tf
from slimtune.storage import atomic
from slimtune.terminal import result, warn

REPLAYED = 32               # images
AGREES = 1e-3               # the largest difference of a probability that passes
MODEL_FORMAT = 1
BUNDLE = ('frozen.pb', 'frozen_encoded.pb', 'saved_model', 'model.xml', 'model.bin', 'label.txt', 'labels.txt', 'model.json')


def export(exported, data_options, net_options, run=None, averages=options.Averages.IGNORE):
    """Writes the bundle and returns its folder. The arguments are the dataclasses of options; run: an
    options.RunFile, None without; averages: an options.Averages.

    frozen.pb: floats into `input`, the net's own output, and `logits` and `probabilities`. frozen_encoded.pb: encoded
    images into `encoded`, `probabilities`. saved_model/: the same for serving. model.json: what a client must know.
    """
    names = labels.read(exported.label_path) if exported.label_path else None
    exported_model = restored_model.load(
        exported.checkpoint_path, net_options, run, exported.image_size or exported.eval_image_size,
        names and names[data_options.labels_offset:], averages)
    exported_model.report_averages()
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
        frozen = restored_model.freeze(exported_model)
        atomic.write_bytes(os.path.join(beside, 'frozen.pb'), frozen.SerializeToString())
        encoded.write_encoded(beside, frozen, exported_model)
        labels.write_folder(beside, exported_model.class_names)
        difference, replayed, proofs = replay(beside, exported_model, some_images(data_options))
        atomic.write_text(os.path.join(beside, 'model.json'),
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
    return {
        'format': MODEL_FORMAT, 'net': net.name, 'image_size': inputs.size, 'channels': inputs.channels,
        'preprocessing': inputs.style, 'use_grayscale': inputs.grayscale,
        'dct_method': inputs.dct_method, 'classes': exported_model.class_names,
        'averages': exported_model.averages,
        'frozen.pb': {'input': 'input:0', 'output': net.output + ':0', 'logits': 'logits:0', 'probabilities': 'probabilities:0'},
        'frozen_encoded.pb': {'input': 'encoded:0', 'probabilities': 'probabilities:0'},
        'checkpoint': {'name': os.path.basename(exported_model.checkpoint.prefix), 'step': exported_model.checkpoint.step,
                       'sha256': checkpoint.sha256(exported_model.checkpoint.prefix)},
        'versions': {'slimtune': __version__, 'tensorflow': VERSION}}


def some_images(data_options):
    """Encoded held-out images (of another split where there is none): (list of bytes, the split), ([], None) without data."""
    name, folder = data_options.dataset_name, data_options.dataset_dir
    splits = dataset_factory.split_names(name, folder)
    if not splits:
        return [], None
    split = dataset_factory.held_out_split(name, folder, data_options.dataset_split_name) or splits[0]
    return input_pipeline.sample_encoded(dataset_factory.get_dataset(name, split, folder), REPLAYED), split


def replay(folder, exported_model, replay_images):
    """Compares what every file of the bundle answers with the checkpoint's own net: (largest difference, on what, proofs).

    Writes OpenVINO's files too, where it is installed; proofs: of its engines, see engine.answering.
    """
    encoded, split = replay_images
    inputs = exported_model.inputs
    if encoded:
        images = evaluation_arrays(encoded, inputs)
    else:
        warn('no images of the data set were found: replayed on noise (add --dataset-dir and --dataset-name)')
        images = np.random.RandomState(0).uniform(-1, 1, [4, inputs.size, inputs.size, inputs.channels]).astype(np.float32)
    expected = live(exported_model, images)
    answers = [engines.load(os.path.join(folder, 'frozen.pb'), once=True).run(images)[1]]
    if encoded:
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            output, = tf.import_graph_def(engines.read_graph(os.path.join(folder, 'frozen_encoded.pb')), name='',
                                          return_elements=['probabilities:0'])
            answers.append(session.run(output, {'encoded:0': encoded}))
        with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
            loaded = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING],
                                                os.path.join(folder, 'saved_model'))
            signature = loaded.signature_def['serving_default']
            answers.append(session.run(signature.outputs['probabilities'].name,
                                       {signature.inputs['image_bytes'].name: encoded}))
    proofs = {}
    if engines.openvino():
        try:
            fast = openvino.write_openvino(folder)
            answers.append(fast.run(images)[1])
            proofs = openvino.prove_engines(folder, images) if encoded else {}
        except RuntimeError as e:
            warn('OpenVINO cannot run this net, so its files are left out: %s' % str(e).strip().split('\n')[0])
    difference = max(float(np.abs(answer - expected).max()) for answer in answers)
    return difference, '%d images of %s' % (len(encoded), split) if encoded else 'noise', proofs


def live(exported_model, images):
    """The probabilities of the net as it stands in the checkpoint, nothing frozen."""
    with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
        placeholder, logits, _ = restored_model.build(exported_model)
        restore(session, exported_model.checkpoint, restored_model.names_in_checkpoint(exported_model))
        return session.run(tf.nn.softmax(logits), {placeholder: images})


def replace_folder(new, folder):
    """Puts a folder in the place of another; the old one goes once the new one stands."""
    old = new + '.old'
    shutil.rmtree(old, ignore_errors=True)
    if os.path.isdir(folder):
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)
