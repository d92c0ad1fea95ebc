"""The exported folder: written beside its place, replayed on real images, and only then put there."""
import contextlib
import dataclasses
import json
import os

import numpy as np

from slimtune import __version__, options
from slimtune.checkpoints import checkpoint, restored_model
from slimtune.datasets import dataset_factory, labels
from slimtune.errors import UserError
from slimtune.exporting import frozen, frozen_encoded, openvino, saved_model
from slimtune.exporting.replay import in_parts
from slimtune.images import input_pipeline
from slimtune.images.prepare import evaluation_arrays
from slimtune.inference import agreement, engines, export_folder
from slimtune.inference.predict import read_class_names
from slimtune.runtime import VERSION, session_config, tf
from slimtune.storage import atomic, full_disk
from slimtune.terminal import result, warn

FORMATS = (frozen, frozen_encoded, saved_model, openvino)      # a later one reads the files of an earlier one
#: What an export may hold at its top level. A folder with anything else is not replaced.
ENTRIES = (*(file for form in FORMATS for file in form.FILES), 'label.txt', 'labels.txt',
           export_folder.METADATA)
LARGEST_DIFFERENCE = 1e-3   # of a probability, between a file and the checkpoint
METADATA_FORMAT = 1
_NOISE_IMAGES = 4           # where there are no real ones


@dataclasses.dataclass(frozen=True)
class Sample:
    """Images that the files are replayed on. encoded: a list of bytes, [] without real images. images: the
    same, prepared: float32 [n, size, size, channels]. source: where they come from, for people."""
    encoded: list
    images: np.ndarray
    source: str


def export(exported, data_options, net_options, run=None, averages=options.Averages.IGNORE):
    """Writes an export and returns its folder. The arguments are the dataclasses of options; run: an
    options.RunFile, None without; averages: an options.Averages.

    Raises UserError where the folder cannot be written or holds anything else, and where a file's
    probabilities differ from the checkpoint's.
    """
    run = run or options.RunFile({})
    folder = exported.output_dir or os.path.join(checkpoint.folder_of(exported.checkpoint_path), 'export')
    checkpoint.find(exported.checkpoint_path)
    export_folder.restore(folder)
    export_folder.check_replaceable(folder, ENTRIES)
    with full_disk.explain(folder, lambda: 'or choose another --output-dir'), \
            input_pipeline.explain_errors(), export_folder.stage(folder) as beside:
        names = read_class_names(exported.label_path, data_options.labels_offset, run.classes)
        model = restored_model.load(exported.checkpoint_path, net_options, run,
                                    exported.image_size or exported.eval_image_size, names, averages)
        model.report_averages()
        sample = sample_of(model, data_options, run.trained_split(data_options))
        difference = write_and_replay(beside, model, sample)
        if not difference <= LARGEST_DIFFERENCE:
            raise UserError('the exported files give other probabilities than the checkpoint, by '
                            f'{difference:.2g}: nothing was written')
        labels.write_folder(beside, model.class_names)
        content = dict(metadata(model), agreement=measure(beside, sample),
                       files=export_folder.checksums(beside))
        atomic.write_text(os.path.join(beside, export_folder.METADATA),
                          json.dumps(content, indent=1, ensure_ascii=False) + '\n')
        export_folder.replace(beside, folder)
    entries = os.listdir(folder)
    result(f'{folder}: {", ".join(name for name in ENTRIES if name in entries)}')
    result(f'Replayed on {sample.source}: largest difference of a probability {difference:.2g}')
    return folder


def sample_of(model, data_options, trained_on=None):
    """Held-out images of the data set (of another split where none is held out), or noise where no data set
    is found. trained_on: the split that the net was trained on, None where unknown."""
    name, folder, inputs = data_options.dataset_name, data_options.dataset_dir, model.inputs
    splits = dataset_factory.split_names(name, folder)
    if not splits:
        warn('no images of the data set were found: replayed on noise (add --dataset-dir and --dataset-name)')
        shape = [_NOISE_IMAGES, inputs.size, inputs.size, inputs.channels]
        noise = np.random.RandomState(0).uniform(-1, 1, shape)
        return Sample([], noise.astype(np.float32), 'noise')
    preferred = data_options.dataset_split_name
    split = dataset_factory.held_out_split(name, folder, preferred, trained_on) or splits[0]
    dataset = dataset_factory.get_dataset(name, split, folder)
    encoded = input_pipeline.sample_encoded(dataset, agreement.MEASURED_ON)
    images = evaluation_arrays(encoded, inputs)
    return Sample(encoded, images, f'{len(encoded)} images of {split}')


def write_and_replay(folder, model, sample):
    """Writes every format and returns the largest difference of a probability between one of them and the
    checkpoint."""
    expected = live_probabilities(model, sample.images)
    differences = []
    for form in FORMATS:
        batch = sample.images if form.TAKES == 'images' else sample.encoded
        try:
            run = form.write(folder, model)
            if run and len(batch):
                differences.append(np.abs(run(batch) - expected).max())
        except RuntimeError as e:       # OpenVINO's errors
            name = form.__name__.split('.')[-1]
            warn(f'{name} cannot run this net, so its files are left out: {engines.first_line(e)}')
            export_folder.remove(folder, form.FILES)
    return float(np.max(differences))       # nan where one is


def live_probabilities(model, images):
    """The probabilities [n, classes] of the net as it stands in the checkpoint, nothing frozen."""
    with tf.Graph().as_default(), tf.Session(config=session_config(once=True)) as session:
        placeholder, logits, _ = restored_model.build(model)
        checkpoint.restore(session, model.checkpoint, restored_model.names_in_checkpoint(model))
        probabilities = tf.nn.softmax(logits)
        return in_parts(lambda part: session.run(probabilities, {placeholder: part}), images)


def metadata(model):
    """What model.json says about a net and its files, for clients in any language."""
    inputs, net = model.inputs, model.net
    return {
        'format': METADATA_FORMAT, 'net': net.name, 'image_size': inputs.size, 'channels': inputs.channels,
        'preprocessing': inputs.style, 'use_grayscale': inputs.grayscale, 'dct_method': inputs.dct_method,
        'classes': model.class_names, 'averages': model.averages,
        'frozen.pb': {'input': 'input:0', 'output': f'{net.output}:0', 'logits': 'logits:0',
                      'probabilities': 'probabilities:0'},
        'frozen_encoded.pb': {'input': 'encoded:0', 'probabilities': 'probabilities:0'},
        'checkpoint': {'name': os.path.basename(model.checkpoint.prefix), 'step': model.checkpoint.step,
                       'sha256': checkpoint.sha256(model.checkpoint.prefix)},
        'versions': {'slimtune': __version__, 'tensorflow': VERSION}}


def measure(folder, sample):
    """How far OpenVINO is from TensorFlow on the sample and on this machine, as {engine: fields of an
    Agreement}.

    For information only: predict measures on the machine where it runs.
    """
    records, path = {}, os.path.join(folder, openvino.FILES[0])
    if not sample.encoded or not os.path.isfile(path):
        return records
    with contextlib.closing(engines.load(os.path.join(folder, 'frozen.pb'), once=True)) as reference:
        for kind in sorted({engines.choose('openvino', 'float32'), engines.choose('openvino', 'auto')}):
            try:
                with contextlib.closing(engines.load(path, *kind)) as engine:
                    measured = agreement.measure_agreement(engine, reference, sample.images)
            except RuntimeError as e:
                warn(f'{" ".join(kind)} cannot be compared with float32: {engines.first_line(e)}')
                continue
            records[engine.name] = dataclasses.asdict(measured)
    return records
