"""Every option, written once: name, type, default, help and range. Names are slim's where slim's scripts have
the flag.

A command's options are frozen dataclasses by concern; from their fields come the flags, the help, the rows of
`run.json` and docs/options.md. `default` is slim's; `folder` is slimtune's own, used when the command's first
word is a folder (see `request.understand`).
"""
import dataclasses

from slimtune.options.fields import option

OPTIMIZERS = ('adadelta', 'adagrad', 'adam', 'ftrl', 'momentum', 'sgd', 'rmsprop')
DECAYS = ('fixed', 'exponential', 'polynomial')

# Upper ends of the ranges. They are far above what makes sense, and far below what overflows in TensorFlow.
IMAGES = 1_000_000          # images in a batch, classes, files
STEPS = 10 ** 12            # training steps
SECONDS = 10 ** 9
PIXELS = 16_384             # side of a net's input
THREADS = 1_024
SEED = 2 ** 31 - 1          # TensorFlow's seeds are 32-bit
RATE = 1e6                  # learning rates, epsilons and accumulators
SMALLEST = 1e-30            # "above 0", as a float32


@dataclasses.dataclass(frozen=True)
class Convert:
    """Images to convert, and where the data set is written."""
    tensorflow_data_dir: str = option(
        None, 'Folder of images: CLASS/*.jpg, or train/CLASS/*.jpg and validation/CLASS/*.jpg. Also -t, or '
        'the first word.', kind='path')
    dataset_name: str = option(
        None, 'Name of the data set; its file names begin with it. Default: the name of the folder.')
    output_dir: str = option(
        None, 'Folder for the TFRecords. Default: the folder of images.', slim=False, kind='path')
    train_shards: int = option(2, 'Number of TFRecord files for the training images.', least=1, most=IMAGES)
    validation_shards: int = option(
        2, 'Number of TFRecord files for the validation images.', least=1, most=IMAGES)
    num_threads: int = option(
        None, 'Number of threads that read images. Default: one per core.', least=1, most=THREADS)
    validation_fraction: float = option(
        0.2, 'Fraction of the images to hold out for validation, where the folder is not split already. An '
        'image is put into the same split every time.', slim=False, least=0, most=0.999)
    seed: int = option(
        0, 'Seed of the order of the records. The same seed gives the same files.',
        slim=False, least=0, most=SEED)
    strict: bool = option(
        False, 'Stop at the first image that cannot be used, instead of leaving it out.', slim=False)


@dataclasses.dataclass(frozen=True)
class Data:
    """Data set for training or evaluation."""
    dataset_dir: str = option(
        None, 'Folder of the TFRecords that convert wrote. For eval and export of a train folder: as in '
        'training.', kind='path')
    dataset_name: str = option(
        'imagenet', 'Name of the data set. With a folder: the data set in it.', folder=None)
    dataset_split_name: str = option('train', 'Split to read: train, validation or test.')
    dataset_module: str = option(
        None, 'Your own data set module: the path of a Python file, which is run. It is taken from run.json '
        'only where you trained with it on this machine.', slim=False, kind='path')
    labels_offset: int = option(
        0, 'Number subtracted from every label. 1 for VGG and ResNet v1 on ImageNet, which have no '
        'background class.', least=0, most=IMAGES)


@dataclasses.dataclass(frozen=True)
class Net:
    """Net and preprocessing."""
    model_name: str = option('inception_v3', 'Name of the net. `slimtune nets` lists them.')
    preprocessing_name: str = option(
        None, 'Preprocessing: inception, vgg, lenet, cifarnet or the name of a net. Default: that of the '
        'net.')
    use_grayscale: bool = option(False, 'Convert the images to gray.')


@dataclasses.dataclass(frozen=True)
class Start:
    """Initial weights and trainable layers."""
    checkpoint_path: str = option(
        None, 'Checkpoint to start from: its prefix, any of its files or its folder. With a folder: the '
        'published weights of the net, where they were downloaded.', kind='path')
    checkpoint_exclude_scopes: str = option(
        None, 'Scopes that are not restored from the checkpoint, separated by commas. With a folder: the '
        'head, where the classes differ.', kind='scopes')
    trainable_scopes: str = option(
        None, 'Scopes to train, separated by commas; or head, or all. Everything else is frozen, batch norm '
        'statistics included. Default: all. With a folder: head, where training starts from a checkpoint.',
        kind='scopes')
    ignore_missing_vars: bool = option(
        False, 'Initialize variables that the checkpoint lacks, instead of stopping.')
    restart: bool = option(
        False, 'Start over: rename the existing train folder instead of resuming from its checkpoint.',
        slim=False)
    batch_norm: str = option(
        'frozen', 'Batch norm and dropout in frozen layers. frozen: statistics do not change, no dropout. '
        'update: as in slim, statistics are updated and dropout is active everywhere.',
        choices=('frozen', 'update'), slim=False)


@dataclasses.dataclass(frozen=True)
class Run:
    """Training length, batch size and output folder."""
    train_dir: str = option(
        '/tmp/tfmodel/', 'Folder for checkpoints and event files. With a folder: FOLDER_NET, beside the '
        'folder.', folder=None, kind='path')
    max_number_of_steps: int = option(
        None, 'Stop at this step; steps of earlier runs in the train folder count. Default: no limit. With '
        'a folder: 60 epochs and at least 2000 steps for a head on cached features, else 30 epochs and at '
        'least 400 steps.', least=1, most=STEPS)
    batch_size: int = option(32, 'Batch size: images per training step.', least=1, most=IMAGES)
    train_image_size: int = option(
        None, 'Side of the input images in pixels, such as 224. Default: that of the net.',
        least=1, most=PIXELS)
    seed: int = option(
        None, 'Seed of initial weights, order and augmentation. Default: random. With a folder: 0.',
        slim=False, folder=0, least=0, most=SEED)
    log_every_n_steps: int = option(10, 'Print a progress line every N steps.', least=0, most=STEPS)
    save_interval_secs: int = option(
        600, 'Save a checkpoint every N seconds.', folder=300, least=0, most=SECONDS)
    save_summaries_secs: int = option(
        600, 'Write summaries for TensorBoard every N seconds.', folder=10, least=0, most=SECONDS)
    histograms: bool = option(
        False, 'Also write histograms of all variables for TensorBoard. Slows training down.', slim=False)
    num_readers: int = option(4, 'Number of TFRecord files that are read in parallel.', least=1, most=THREADS)
    num_preprocessing_threads: int = option(4, 'Number of threads that decode images.', least=1, most=THREADS)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning rate schedule."""
    learning_rate: float = option(
        0.01, 'Initial learning rate. With a folder: 0.006 for a head on cached features, else 0.001.',
        folder=None, least=0, most=RATE)
    learning_rate_decay_type: str = option(
        'exponential', 'How the learning rate falls: not at all, exponentially, or linearly to the final '
        'rate (polynomial).', choices=DECAYS, folder='polynomial')
    learning_rate_decay_factor: float = option(
        0.94, 'Factor of each exponential decay step.', least=0, most=RATE)
    num_epochs_per_decay: float = option(
        2.0, 'Epochs per decay step (exponential), or until the final rate is reached (polynomial). With a '
        'folder: the whole run.', folder=None, least=0, most=IMAGES)
    end_learning_rate: float = option(
        0.0001, 'Final learning rate (polynomial).', folder=0.00001, least=0, most=RATE)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Optimizer and loss."""
    optimizer: str = option('rmsprop', 'Optimizer.', choices=OPTIMIZERS, folder='adam')
    opt_epsilon: float = option(
        1.0, 'Epsilon of adadelta, adam and rmsprop. With a folder: 1e-8, rmsprop 1e-3.',
        folder=None, least=0, most=RATE)
    momentum: float = option(0.9, 'Momentum of the momentum optimizer.', least=0, most=1)
    rmsprop_momentum: float = option(0.9, 'Momentum of rmsprop.', least=0, most=1)
    rmsprop_decay: float = option(0.9, "Decay of rmsprop's average of squared gradients.", least=0, most=1)
    adam_beta1: float = option(0.9, "Decay of adam's average of gradients.", least=0, most=1)
    adam_beta2: float = option(0.999, "Decay of adam's average of squared gradients.", least=0, most=1)
    adadelta_rho: float = option(0.95, "Decay of adadelta's averages.", least=0, most=1)
    adagrad_initial_accumulator_value: float = option(
        0.1, 'Initial value of the accumulators of adagrad.', least=SMALLEST, most=RATE)
    ftrl_learning_rate_power: float = option(-0.5, 'Learning rate power of ftrl.', least=-100, most=0)
    ftrl_initial_accumulator_value: float = option(
        0.1, 'Initial value of the accumulators of ftrl.', least=0, most=RATE)
    ftrl_l1: float = option(0.0, 'L1 regularization of ftrl.', least=0, most=RATE)
    ftrl_l2: float = option(0.0, 'L2 regularization of ftrl.', least=0, most=RATE)
    weight_decay: float = option(
        0.00004, 'Factor of the L2 loss on the weights. With a folder: chosen by cross-validation on the '
        'training images for a head on cached features, else 0.00004.', folder=None, least=0, most=RATE)
    label_smoothing: float = option(
        0.0, 'Label smoothing: fraction of each label that is spread over all classes.', least=0, most=1)
    moving_average_decay: float = option(
        None, 'Also keep moving averages of the weights, with this decay, such as 0.9999.', least=0, most=1)


@dataclasses.dataclass(frozen=True)
class Engine:
    """Inference engine, for evaluation, prediction and frozen layers."""
    engine: str = option(
        'auto', 'Inference engine. auto: TensorFlow where it has a GPU, else OpenVINO where it is installed.',
        choices=('auto', 'tensorflow', 'openvino'), slim=False)
    precision: str = option(
        'auto', 'Precision of the computation. auto: bfloat16 where the CPU supports it; images whose '
        'prediction is close are computed again in float32.',
        choices=('auto', 'float32', 'bfloat16'), slim=False)


@dataclasses.dataclass(frozen=True)
class Cache:
    """Feature cache: the output of the frozen layers, computed once."""
    feature_cache: str = option(
        'on', 'off: run the whole net at every step, on augmented images, as slim does.',
        choices=('on', 'off'), slim=False)
    cache_limit: float = option(
        None, 'Largest size of the features of all runs in GiB; the least recently used ones are removed '
        'first. Default: a quarter of the memory.', slim=False, least=0, most=IMAGES)
    cache_dir: str = option(
        None, 'Folder of the cache. Default: $SLIMTUNE_CACHE, else ~/.cache/slimtune.',
        slim=False, kind='path')


@dataclasses.dataclass(frozen=True)
class Machines:
    """Devices, clusters and quantization (slim's flags; most other values come later)."""
    clone_on_cpu: bool = option(False, 'Train on the CPU even where there is a GPU.')
    num_clones: int = option(1, 'Number of copies of the net, one per GPU.', only=(1,))
    worker_replicas: int = option(1, 'Number of workers.', only=(0, 1))
    num_ps_tasks: int = option(0, 'Number of parameter servers.', only=(0,))
    task: int = option(0, 'Index of this worker.', only=(0,))
    master: str = option('', 'Address of the TensorFlow server.', only=('', 'local'))
    sync_replicas: bool = option(False, 'Synchronize the updates of the workers.', only=(False,))
    replicas_to_aggregate: int = option(1, 'Number of gradients to collect before an update.', only=(1,))
    quantize_delay: int = option(-1, 'Step at which quantized training begins.', only=(-1,))


# What several commands need of a checkpoint

def _image_size(slim=True):
    return option(None, 'Side of the input images in pixels. Default: as in training, else that of the net.',
                  slim=slim, least=1, most=PIXELS)


def _label_path():
    return option(None, 'label.txt or labels.txt with the class names.', slim=False, kind='path')


def _moving_averages(verb, slim=True):
    return option(
        None, f'{verb} the moving averages of the weights (0: the weights). With a folder: the averages, '
        'where the checkpoint has them.', slim=slim, least=0, most=1)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Checkpoint to evaluate, and the metrics."""
    checkpoint_path: str = option(
        '/tmp/tfmodel/', 'Train folder or checkpoint. Of a folder, the latest checkpoint.',
        folder=None, kind='path')
    eval_dir: str = option(
        '/tmp/tfmodel/', 'Folder for metrics.json, predictions.csv, probabilities.npz and the event file. '
        'With a folder: FOLDER/eval.', folder=None, kind='path')
    batch_size: int = option(
        100, 'Batch size: images per step. It is halved where the memory is too small.',
        folder=64, least=1, most=IMAGES)
    max_num_batches: int = option(
        None, 'Stop after N batches. Default: every image, once.', least=1, most=STEPS)
    eval_image_size: int = _image_size()
    moving_average_decay: float = _moving_averages('Evaluate')
    label_path: str = _label_path()
    top_k: int = option(
        5, 'Also report top-K accuracy: the label is among the K most probable classes.',
        slim=False, least=1, most=IMAGES)
    num_preprocessing_threads: int = option(4, 'Number of threads that decode images.', least=1, most=THREADS)
    master: str = option('', 'Address of the TensorFlow server.', only=('', 'local'))
    quantize: bool = option(False, 'Evaluate a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Export:
    """Checkpoint to export, and the files to write."""
    checkpoint_path: str = option(
        None, 'Train folder or checkpoint. Of a folder, the latest checkpoint.', slim=False, kind='path')
    output_dir: str = option(
        None, 'Folder for the exported files. Default: FOLDER/export.', slim=False, kind='path')
    output_file: str = option(
        '', "Write slim's graph without weights to this file, and nothing else.", kind='path')
    image_size: int = _image_size()
    eval_image_size: int = option(None, 'The same as --image-size.', slim=False, least=1, most=PIXELS)
    batch_size: int = option(
        None, 'Fixed batch size of the graph (with --output-file). Default: any.', least=1, most=IMAGES)
    moving_average_decay: float = _moving_averages('Export', slim=False)
    label_path: str = _label_path()
    is_training: bool = option(False, 'Write the training graph (with --output-file).')
    final_endpoint: str = option(
        None, 'Last end point of the graph (with --output-file). Default: all of the net.')
    write_text_graphdef: bool = option(False, 'Write the graph as text (with --output-file).')
    is_video_model: bool = option(False, 'The input of the net is video (with --output-file).')
    num_frames: int = option(None, 'Frames per video (with --is-video-model).', least=1, most=IMAGES)
    quantize: bool = option(False, 'Export a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Checkpoint for prediction, and the output format."""
    checkpoint_path: str = option(
        None, 'Exported folder, train folder or checkpoint. Also the first word.', slim=False, kind='path')
    eval_image_size: int = _image_size(slim=False)
    label_path: str = _label_path()
    labels_offset: int = option(
        0, 'Number of leading classes in the label file that the checkpoint lacks. 1 skips the background '
        'class of ImageNet.', slim=False, least=0, most=IMAGES)
    moving_average_decay: float = _moving_averages('Use', slim=False)
    top_k: int = option(5, 'Number of classes to list per image.', slim=False, least=1, most=IMAGES)
    batch_size: int = option(64, 'Batch size: images per step.', slim=False, least=1, most=IMAGES)
    csv: bool = option(False, 'Print the predictions as CSV.', slim=False)
    json: bool = option(False, 'Print the predictions as JSON, one object per line.', slim=False)


@dataclasses.dataclass(frozen=True)
class Download:
    """Weights or data set to download."""
    dataset_name: str = option(
        None, 'A data set, or a net for its published weights. Also the first word. Default: list what can '
        'be downloaded.')
    dataset_dir: str = option(None, 'Folder for the TFRecords of a data set. Default: ./NAME.', kind='path')
    output_dir: str = option(
        None, 'Also copy the weights to this folder, as NET.ckpt. Default: only to the cache.',
        slim=False, kind='path')
    from_where: str = option(
        None, 'Download from here instead of the published address: the URL of a mirror, a folder, or the '
        'file itself. Also $SLIMTUNE_MIRROR.', slim=False, kind='path')
    cache_dir: str = option(
        None, 'Folder for archives and weights, shared by all projects. Default: $SLIMTUNE_CACHE, else '
        '~/.cache/slimtune.', slim=False, kind='path')
    checksums: str = option(
        None, 'File of SHA-256 checksums in the format of sha256sum, used instead of the published ones. '
        'Also $SLIMTUNE_CHECKSUMS.', slim=False, kind='path')


@dataclasses.dataclass(frozen=True)
class CacheContents:
    """What the cache holds and what to remove from it."""
    clear: bool = option(False, 'Remove everything that no command uses now.', slim=False)
    max_size: float = option(
        None, 'Remove what was not used for longest until the cache has at most this many GiB.',
        slim=False, least=0, most=IMAGES)
    cache_dir: str = option(
        None, 'Folder of the cache. Default: $SLIMTUNE_CACHE, else ~/.cache/slimtune.',
        slim=False, kind='path')


@dataclasses.dataclass(frozen=True)
class Terminal:
    """Messages."""
    quiet: bool = option(False, 'Print only results and errors.', slim=False)
    verbose: bool = option(False, 'Print everything, including the warnings of TensorFlow.', slim=False)
    alsologtostderr: bool = option(False, 'Print messages to standard error (a flag of absl).')
    logtostderr: bool = option(False, 'Print messages to standard error (a flag of absl).')
    verbosity: int = option(
        0, 'Level of messages (a flag of absl): -1 warnings, 0 information, 1 debugging.', least=-3, most=9)


#: The groups whose options train saves in run.json.
SAVED = (Data, Net, Start, Run, Schedule, Optimizer, Cache, Engine)
