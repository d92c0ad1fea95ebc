"""Every option, written once: name, type, default, help, and what slim's scripts call it (the same).

A command's options are frozen dataclasses by concern; from their fields come the flags, the help, the rows of
`run.json` and docs/options.md. `default` is slim's; `folder` is slimtune's own, used when the command's first word
is a folder (see `request.understand`).
"""
import dataclasses

from slimtune.options.fields import option

OPTIMIZERS = ('adadelta', 'adagrad', 'adam', 'ftrl', 'momentum', 'sgd', 'rmsprop')
DECAYS = ('fixed', 'exponential', 'polynomial')


@dataclasses.dataclass(frozen=True)
class Convert:
    """The images and where their records go."""
    tensorflow_data_dir: str = option(None, 'Folder of images: CLASS/*.jpg, or train/CLASS/*.jpg and validation/CLASS/*.jpg. '
                                      'Also -t, or the first word.', kind='path')
    dataset_name: str = option(None, 'Name of the data set, first part of its file names. Default: the folder\'s name.')
    output_dir: str = option(None, 'Where the records go. Default: beside the images\' folders.', slim=False, kind='path')
    train_shards: int = option(2, 'Files to spread the training images over.')
    validation_shards: int = option(2, 'Files to spread the validation images over.')
    num_threads: int = option(None, 'Images read at the same time. Default: one a core.')
    validation_fraction: float = option(0.2, 'Share of the images held out where the folder is not split already; an '
                                        'image lands on the same side every time.', slim=False)
    seed: int = option(0, 'Shuffles the records; the same seed gives the same files.', slim=False)
    strict: bool = option(False, 'Fail on the first bad image instead of leaving it out.', slim=False)


@dataclasses.dataclass(frozen=True)
class Data:
    """What it learns from or is tested on."""
    dataset_dir: str = option(None, 'Folder of the records (what convert wrote).', kind='path')
    dataset_name: str = option('imagenet', 'Name of the data set. Folder form: whatever the folder holds.', folder=None)
    dataset_split_name: str = option('train', 'Which part of it.')
    dataset_module: str = option(None, 'Your own data set module: path of a .py file.', slim=False, kind='path')
    labels_offset: int = option(0, 'Subtracted from every label (1 for VGG and ResNet v1 on ImageNet: no background class).',
                                least=0)


@dataclasses.dataclass(frozen=True)
class Net:
    """The net."""
    model_name: str = option('inception_v3', 'Name of the net; `slimtune nets` lists them.')
    preprocessing_name: str = option(None, 'Preprocessing, where it is not the net\'s own: inception, vgg, lenet, cifarnet '
                                     'or a net\'s name.')
    use_grayscale: bool = option(False, 'Work on grey images.')


@dataclasses.dataclass(frozen=True)
class Start:
    """Where training starts from, and what it may change."""
    checkpoint_path: str = option(None, 'Checkpoint to start from: any file of it, its prefix or its folder.', kind='path')
    checkpoint_exclude_scopes: str = option(None, 'Scopes not read from the checkpoint, comma-separated. '
                                            'Folder form: the head, where the classes differ.', kind='scopes')
    trainable_scopes: str = option(None, 'What is trained: scopes, comma-separated, or head, or all. Default: all; '
                                   'folder form: head. The rest is frozen, batch norm statistics included.', kind='scopes')
    ignore_missing_vars: bool = option(False, 'Variables that the checkpoint lacks keep their initial values.')
    restart: bool = option(False, 'Begin anew: set what the train folder holds aside instead of resuming from it.', slim=False)
    batch_norm: str = option('frozen', 'frozen: layers that are not trained keep their statistics. update: slim\'s way, '
                             'statistics move (and dropout acts) everywhere.', choices=('frozen', 'update'), slim=False)


@dataclasses.dataclass(frozen=True)
class Run:
    """How long, how much at once, and where to."""
    train_dir: str = option('/tmp/tfmodel/', 'Folder for checkpoints and event files. Folder form: FOLDER_NET, beside it.',
                            folder=None, kind='path')
    max_number_of_steps: int = option(None, 'Steps in total, earlier runs included. Default: endless; folder form: 30 times '
                                      'through the images, at least 400 steps.', least=1)
    batch_size: int = option(32, 'Images a step.', least=1)
    train_image_size: int = option(None, 'Side of the images in pixels. Default: the net\'s.', least=1)
    seed: int = option(None, 'Makes a run repeatable.', slim=False, folder=0)
    log_every_n_steps: int = option(10, 'Steps between two lines.')
    save_interval_secs: int = option(600, 'Seconds between two checkpoints.', folder=300, least=0)
    save_summaries_secs: int = option(600, 'Seconds between two entries for TensorBoard.', folder=10, least=0)
    histograms: bool = option(False, 'Write histograms of all variables for TensorBoard, which costs time.', slim=False)
    num_readers: int = option(4, 'Files read at the same time.', least=1)
    num_preprocessing_threads: int = option(4, 'Images decoded at the same time.', least=1)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How the learning rate moves."""
    learning_rate: float = option(0.01, 'Learning rate at the start. Folder form: 0.006 for a head on cached features, else '
                                  '0.001.', folder=None)
    learning_rate_decay_type: str = option('exponential', 'How it falls.', choices=DECAYS, folder='polynomial')
    learning_rate_decay_factor: float = option(0.94, 'Factor by which it falls (exponential).')
    num_epochs_per_decay: float = option(2.0, 'Times through the images until it falls by the factor (exponential), or has '
                                         'fallen (polynomial). Folder form: all of them.', folder=None)
    end_learning_rate: float = option(0.0001, 'Where it ends (polynomial).', folder=0.00001)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """The optimizer and the loss."""
    optimizer: str = option('rmsprop', 'The optimizer.', choices=OPTIMIZERS, folder='adam')
    opt_epsilon: float = option(1.0, 'Epsilon of adadelta, adam and rmsprop. Folder form: 1e-8, rmsprop 1e-3.', folder=None)
    momentum: float = option(0.9, 'Momentum of the momentum optimizer.')
    rmsprop_momentum: float = option(0.9, 'Momentum of rmsprop.')
    rmsprop_decay: float = option(0.9, 'How slowly rmsprop forgets.')
    adam_beta1: float = option(0.9, 'How slowly adam forgets the gradient.')
    adam_beta2: float = option(0.999, 'How slowly adam forgets its square.')
    adadelta_rho: float = option(0.95, 'How slowly adadelta forgets.')
    adagrad_initial_accumulator_value: float = option(0.1, 'Where adagrad starts.')
    ftrl_learning_rate_power: float = option(-0.5, 'Power of ftrl\'s rate.')
    ftrl_initial_accumulator_value: float = option(0.1, 'Where ftrl starts.')
    ftrl_l1: float = option(0.0, 'l1 regularization of ftrl.')
    ftrl_l2: float = option(0.0, 'l2 regularization of ftrl.')
    weight_decay: float = option(0.00004, 'Weight of the l2 loss on the net\'s weights. Folder form: for a head on cached '
                                 'features what does best in cross-validation on the training images.', folder=None)
    label_smoothing: float = option(0.0, 'Share of each label spread over all classes.')
    moving_average_decay: float = option(None, 'Keep moving averages of the weights with this decay, such as 0.9999.')


@dataclasses.dataclass(frozen=True)
class Engine:
    """What computes the parts that are not trained: the answers stay the same."""
    engine: str = option('auto', 'auto: OpenVINO where it is installed, which is several times faster.',
                         choices=('auto', 'tensorflow', 'openvino'), slim=False)
    precision: str = option('auto', 'auto: bfloat16 where the CPU has it; close decisions are made again in float32.',
                            choices=('auto', 'float32', 'bfloat16'), slim=False)


@dataclasses.dataclass(frozen=True)
class Cache:
    """The features of the frozen part, computed once instead of at every step."""
    feature_cache: str = option('on', 'off: run the whole net at every step, on augmented images, as slim does.',
                                choices=('on', 'off'), slim=False)
    cache_limit: float = option(None, 'Most that the features may take, in GiB. Default: a quarter of the memory.', slim=False)
    cache_dir: str = option(None, 'Where they are kept. Default: SLIMTUNE_CACHE, else ~/.cache/slimtune.', slim=False,
                            kind='path')


@dataclasses.dataclass(frozen=True)
class Machines:
    """Many machines, many GPUs, quantization: slim's flags; only these values act so far."""
    clone_on_cpu: bool = option(False, 'Use the CPU even where there is a GPU.')
    num_clones: int = option(1, 'Copies of the net.', only=(1,))
    worker_replicas: int = option(1, 'Workers.', only=(0, 1))
    num_ps_tasks: int = option(0, 'Parameter servers.', only=(0,))
    task: int = option(0, 'Number of this worker.', only=(0,))
    master: str = option('', 'Address of the master.', only=('', 'local'))
    sync_replicas: bool = option(False, 'Update in step with the other workers.', only=(False,))
    replicas_to_aggregate: int = option(1, 'Gradients to collect before an update.', only=(1,))
    quantize_delay: int = option(-1, 'Step from which training is quantized.', only=(-1,))


@dataclasses.dataclass(frozen=True)
class Tested:
    """Which net is tested, and how."""
    checkpoint_path: str = option('/tmp/tfmodel/', 'Train folder or checkpoint; the latest one in a folder.', folder=None,
                                  kind='path')
    eval_dir: str = option('/tmp/tfmodel/', 'Where metrics.json and the event file go. Folder form: FOLDER/eval.', folder=None,
                           kind='path')
    batch_size: int = option(100, 'Images at once; halved by itself where memory is short.', folder=64, least=1)
    max_num_batches: int = option(None, 'Stop after so many batches. Default: every image, once.', least=1)
    eval_image_size: int = option(None, 'Side of the images in pixels. Default: as trained, else the net\'s.', least=1)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.')
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    top_k: int = option(5, 'Also count an image as right where its class is among the best k.', slim=False, least=1)
    num_preprocessing_threads: int = option(4, 'Images decoded at the same time.', least=1)
    master: str = option('', 'Address of the master.', only=('', 'local'))
    quantize: bool = option(False, 'Test a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Exported:
    """What is exported, and where to."""
    checkpoint_path: str = option(None, 'Train folder or checkpoint; the latest one in a folder.', slim=False, kind='path')
    output_dir: str = option(None, 'Where the bundle goes. Default: FOLDER/export.', slim=False, kind='path')
    output_file: str = option('', 'Write slim\'s bare graph, without weights, to this file instead.', kind='path')
    image_size: int = option(None, 'Side of the images in pixels. Default: as trained, else the net\'s.', least=1)
    eval_image_size: int = option(None, 'The same as --image-size.', slim=False, least=1)
    batch_size: int = option(None, 'Fix the number of images at once (with --output-file).', least=1)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.',
                                         slim=False)
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    is_training: bool = option(False, 'Write the training graph (with --output-file).')
    final_endpoint: str = option(None, 'Stop at this end point (with --output-file).')
    write_text_graphdef: bool = option(False, 'Write the graph as text (with --output-file).')
    is_video_model: bool = option(False, 'The net takes films (with --output-file).')
    num_frames: int = option(None, 'Images a film (with --is-video-model).', least=1)
    quantize: bool = option(False, 'Export a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Which net answers, and how."""
    checkpoint_path: str = option(None, 'Checkpoint, train folder or exported folder; else the first word.', slim=False,
                                  kind='path')
    eval_image_size: int = option(None, 'Side of the images in pixels. Default: as trained, else the net\'s.', slim=False,
                                  least=1)
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    labels_offset: int = option(0, 'The checkpoint has classes from this number of the label file on.', slim=False, least=0)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.',
                                         slim=False)
    top_k: int = option(5, 'Names an image.', slim=False, least=1)
    batch_size: int = option(64, 'Images at once.', slim=False, least=1)
    csv: bool = option(False, 'Answer as CSV.', slim=False)
    json: bool = option(False, 'Answer as JSON, one object a line.', slim=False)


@dataclasses.dataclass(frozen=True)
class Download:
    """What is fetched, and where to."""
    dataset_name: str = option(None, 'A data set (mnist, cifar10, flowers, imagenet, visualwakewords) or a net (its published '
                               'weights). Also the first word; without one, what there is.')
    dataset_dir: str = option(None, 'Where a data set\'s records go. Default: a folder of its name, here.', kind='path')
    output_dir: str = option(None, 'Put the weights here too, as NET.ckpt. Default: in the cache only.', slim=False, kind='path')
    from_where: str = option(None, 'Instead of the published address: a mirror\'s address, a folder, or the file itself. Also '
                             'SLIMTUNE_MIRROR.', slim=False, kind='path')
    cache_dir: str = option(None, 'Where archives and weights are kept for all projects. Default: SLIMTUNE_CACHE, else '
                            '~/.cache/slimtune.', slim=False, kind='path')
    checksums: str = option(None, 'File of SHA-256 sums, as sha256sum writes them, that stand in for the published ones. Also '
                            'SLIMTUNE_CHECKSUMS.', slim=False, kind='path')


@dataclasses.dataclass(frozen=True)
class Terminal:
    """What is said."""
    quiet: bool = option(False, 'Only results and errors.', slim=False)
    verbose: bool = option(False, 'Everything, TensorFlow\'s warnings included.', slim=False)
    alsologtostderr: bool = option(False, 'absl: log to standard error.')
    logtostderr: bool = option(False, 'absl: log to standard error.')
    verbosity: int = option(0, 'absl: -1 warnings, 0 information, 1 debugging.')
