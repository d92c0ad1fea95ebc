"""Every option, said once: name, type, default, help, and what slim's scripts call it (the same).

A command's options are frozen dataclasses by concern; from their fields come the flags, the help, the rows of
`run.json` and the README's table. `default` is slim's; `folder` is slimtune's own, used when the command's first word
is a folder (see `resolve`). This module imports neither TensorFlow nor numpy: `--help` must be quick.
"""
import dataclasses
import json
import os
import re

from slimtune.errors import UsageError, UserError

OPTIMIZERS = ('adadelta', 'adagrad', 'adam', 'ftrl', 'momentum', 'sgd', 'rmsprop')
DECAYS = ('fixed', 'exponential', 'polynomial')


def option(default, help, folder=dataclasses.MISSING, choices=None, slim=True, kind=None, only=None, least=None):
    """A field that is a flag.

    default: what slim's scripts have. folder: ours, where the folder form differs. choices: the values allowed.
    slim: slim's scripts have this flag, so its abbreviations win. kind: 'path' (~ and variables are expanded),
    'scopes' (spaces around commas are forgiven) or 'words' (positional, any number). only: the only values that act so far.
    least: the smallest number that makes sense.
    """
    return dataclasses.field(default=default, metadata=dict(
        help=help, folder=default if folder is dataclasses.MISSING else folder, choices=choices, slim=slim, kind=kind,
        only=only, least=least))


@dataclasses.dataclass(frozen=True)
class Convert:
    """The pictures and where their records go."""
    tensorflow_data_dir: str = option(None, 'Folder of pictures: CLASS/*.jpg, or train/CLASS/*.jpg and validation/CLASS/*.jpg. '
                                      'Also -t, or the first word.', kind='path')
    dataset_name: str = option(None, 'Name of the data set, first part of its file names. Default: the folder\'s name.')
    output_dir: str = option(None, 'Where the records go. Default: beside the pictures\' folders.', slim=False, kind='path')
    train_shards: int = option(2, 'Files to spread the training pictures over.')
    validation_shards: int = option(2, 'Files to spread the validation pictures over.')
    num_threads: int = option(None, 'Pictures read at the same time. Default: one a core.')
    validation_fraction: float = option(0.2, 'Share of the pictures held out where the folder is not split already; a '
                                        'picture lands on the same side every time.', slim=False)
    seed: int = option(0, 'Shuffles the records; the same seed gives the same files.', slim=False)
    strict: bool = option(False, 'Fail on the first bad picture instead of leaving it out.', slim=False)


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
    use_grayscale: bool = option(False, 'Work on grey pictures.')


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
                                      'through the pictures, at least 400 steps.', least=1)
    batch_size: int = option(32, 'Pictures a step.', least=1)
    train_image_size: int = option(None, 'Side of the pictures in pixels. Default: the net\'s.', least=1)
    seed: int = option(None, 'Makes a run repeatable.', slim=False, folder=0)
    log_every_n_steps: int = option(10, 'Steps between two lines.')
    save_interval_secs: int = option(600, 'Seconds between two checkpoints.', folder=300, least=0)
    save_summaries_secs: int = option(600, 'Seconds between two entries for TensorBoard.', folder=10, least=0)
    histograms: bool = option(False, 'Write histograms of all variables for TensorBoard, which costs time.', slim=False)
    num_readers: int = option(4, 'Files read at the same time.', least=1)
    num_preprocessing_threads: int = option(4, 'Pictures decoded at the same time.', least=1)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How the learning rate moves."""
    learning_rate: float = option(0.01, 'Learning rate at the start. Folder form: 0.006 for a head on cached features, else '
                                  '0.001.', folder=None)
    learning_rate_decay_type: str = option('exponential', 'How it falls.', choices=DECAYS, folder='polynomial')
    learning_rate_decay_factor: float = option(0.94, 'Factor by which it falls (exponential).')
    num_epochs_per_decay: float = option(2.0, 'Times through the pictures until it falls by the factor (exponential), or has '
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
                                 'features what does best in cross-validation on the training pictures.', folder=None)
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
    feature_cache: str = option('on', 'off: run the whole net at every step, on augmented pictures, as slim does.',
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
    batch_size: int = option(100, 'Pictures at once; halved by itself where memory is short.', folder=64, least=1)
    max_num_batches: int = option(None, 'Stop after so many batches. Default: every picture, once.', least=1)
    eval_image_size: int = option(None, 'Side of the pictures in pixels. Default: as trained, else the net\'s.', least=1)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.')
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    top_k: int = option(5, 'Also count a picture as right where its class is among the best k.', slim=False, least=1)
    num_preprocessing_threads: int = option(4, 'Pictures decoded at the same time.', least=1)
    master: str = option('', 'Address of the master.', only=('', 'local'))
    quantize: bool = option(False, 'Test a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Exported:
    """What is exported, and where to."""
    checkpoint_path: str = option(None, 'Train folder or checkpoint; the latest one in a folder.', slim=False, kind='path')
    output_dir: str = option(None, 'Where the bundle goes. Default: FOLDER/export.', slim=False, kind='path')
    output_file: str = option('', 'Write slim\'s bare graph, without weights, to this file instead.', kind='path')
    image_size: int = option(None, 'Side of the pictures in pixels. Default: as trained, else the net\'s.', least=1)
    eval_image_size: int = option(None, 'The same as --image-size.', slim=False, least=1)
    batch_size: int = option(None, 'Fix the number of pictures at once (with --output-file).', least=1)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.',
                                         slim=False)
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    is_training: bool = option(False, 'Write the training graph (with --output-file).')
    final_endpoint: str = option(None, 'Stop at this end point (with --output-file).')
    write_text_graphdef: bool = option(False, 'Write the graph as text (with --output-file).')
    is_video_model: bool = option(False, 'The net takes films (with --output-file).')
    num_frames: int = option(None, 'Pictures a film (with --is-video-model).', least=1)
    quantize: bool = option(False, 'Export a quantized net.', only=(False,))


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Which net answers, and how."""
    checkpoint_path: str = option(None, 'Checkpoint, train folder or exported folder; else the first word.', slim=False,
                                  kind='path')
    eval_image_size: int = option(None, 'Side of the pictures in pixels. Default: as trained, else the net\'s.', slim=False,
                                  least=1)
    label_path: str = option(None, 'label.txt or labels.txt with the names of the classes.', slim=False, kind='path')
    labels_offset: int = option(0, 'The checkpoint has classes from this number of the label file on.', slim=False, least=0)
    moving_average_decay: float = option(None, 'Use the moving averages of the weights. Folder form: where there are any.',
                                         slim=False)
    top_k: int = option(5, 'Names a picture.', slim=False, least=1)
    batch_size: int = option(64, 'Pictures at once.', slim=False, least=1)
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


@dataclasses.dataclass(frozen=True)
class Command:
    """A row of COMMANDS. groups: its dataclasses, in the order of its help. first: what the first word is, if it takes one.

    rest: what the words after it are. reads_run: options not typed come from run.json beside the checkpoint.
    defaults: {option: (slim's default, the folder form's)} where they are not the dataclass's own.
    """
    summary: str
    groups: tuple
    first: str = None
    rest: str = None
    reads_run: bool = False
    defaults: dict = dataclasses.field(default_factory=dict)
    example: str = ''


COMMANDS = {
    'convert': Command('Turn a folder of pictures into records.', (Convert, Terminal), first='tensorflow_data_dir',
                       example='slimtune convert -t pic'),
    'train': Command('Fine-tune a net on them.', (Data, Net, Start, Run, Schedule, Optimizer, Cache, Engine, Machines, Terminal),
                     first='dataset_dir',
                     example='slimtune train pic --model mobilenet_v1_025 --checkpoint-path mobilenet_v1_0.25_128.ckpt'),
    'eval': Command('Test it on pictures it has not seen.', (Tested, Data, Net, Engine, Terminal), first='checkpoint_path',
                    reads_run=True, defaults={'dataset_split_name': ('test', 'validation')},
                    example='slimtune eval pic_mobilenet_v1_025'),
    'export': Command('Write the files to ship.', (Exported, Data, Net, Terminal), first='checkpoint_path', reads_run=True,
                      defaults={'dataset_split_name': ('validation', 'validation')},
                      example='slimtune export pic_mobilenet_v1_025'),
    'predict': Command('Name what is in pictures.', (Predicted, Net, Engine, Terminal), first='checkpoint_path', rest='pictures',
                       reads_run=True, example='slimtune predict pic_mobilenet_v1_025 picture.jpg'),
    'nets': Command('List the nets.', (Terminal,), example='slimtune nets'),
    'download': Command('Fetch published weights and data sets.', (Download, Terminal), first='dataset_name',
                        example='slimtune download inception_v3'),
}


#: What eval, export and predict take from run.json.
FROM_RUN = ('dataset_dir', 'dataset_name', 'dataset_module', 'labels_offset', 'model_name', 'preprocessing_name', 'use_grayscale')


def fields(command):
    """The options of a command by name: {name: dataclasses.Field}."""
    return {field.name: field for group in COMMANDS[command].groups for field in dataclasses.fields(group)}


def defaults(command, form):
    """The defaults of a command by option name. form: 'slim' or 'folder'."""
    own = COMMANDS[command].defaults
    return {name: own[name][form == 'folder'] if name in own
            else field.default if form == 'slim' else field.metadata['folder']
            for name, field in fields(command).items()}


def shown_default(command, name):
    """An option's default as text: slim's, and behind it ours where the folder form differs; '' where there is none."""
    slim, folder = (defaults(command, form)[name] for form in ('slim', 'folder'))
    if isinstance(slim, bool):
        return ''
    return '; '.join(str(value) for value in dict.fromkeys((slim, folder)) if value not in (None, ''))


@dataclasses.dataclass(frozen=True)
class Request:
    """A command line, understood. groups: {dataclass: instance}. folder_form: the first word was a folder (slimtune's
    defaults), else slim's flags alone. run: run.json of the folder named ({} without). words: what followed the first word."""
    groups: dict
    folder_form: bool
    run: dict
    words: list
    typed: dict

    def __getitem__(self, group):
        return self.groups[group]

    @property
    def averages(self):
        """What model.load is told of moving averages: what was typed, else 'there' (where there are any) or no."""
        decay = self.typed.get('moving_average_decay')
        return (self.folder_form and 'there') if decay is None else bool(decay)


def understand(command, typed, words):
    """Fills the command's dataclasses: what was typed, else what run.json says, else the command's default.

    typed: {option: value}, only what stood on the command line. words: those without a flag. Returns a Request.
    Raises UsageError for values that do not act yet.
    """
    row, typed, words = COMMANDS[command], dict(typed), list(words)
    folder_form = bool(words) and row.first is not None and row.first not in typed
    if folder_form:
        typed[row.first] = words.pop(0)
    elif words and row.rest is None:
        raise UsageError('%s and %s=%s: give one of them' % (words[0], flag(row.first), typed[row.first]))
    run = load_run(_clean(typed['checkpoint_path'], 'path')) if row.reads_run and typed.get('checkpoint_path') else {}
    values = defaults(command, 'folder' if folder_form or run else 'slim')
    values.update({name: value for name, value in run.get('options', {}).items() if name in FROM_RUN and name in values})
    values.update(typed)
    for name, field in fields(command).items():
        values[name] = _clean(values[name], field.metadata['kind'])
        only, least = field.metadata['only'], field.metadata['least']
        if only is not None and values[name] not in only:
            raise UsageError('%s=%s comes in a later version: leave it at %s'
                             % (flag(name), values[name], only[0] or repr(only[0])))
        if least is not None and values[name] is not None and values[name] < least:
            raise UsageError('%s=%s: it must be at least %d' % (flag(name), values[name], least))
    groups = {group: group(**{field.name: values[field.name] for field in dataclasses.fields(group)}) for group in row.groups}
    return Request(groups, folder_form, run, words, typed)


def _clean(value, kind):
    if value and kind == 'path':
        return os.path.expanduser(os.path.expandvars(value))
    if value and kind == 'scopes':
        return ','.join(scopes(value))
    return value


def scopes(text):
    """The scopes of a comma-separated list; spaces around commas and empty entries are forgiven."""
    return [scope for scope in re.split(r'\s*,\s*', (text or '').strip()) if scope]


def flag(name):
    """How messages spell an option."""
    return '--' + name.replace('_', '-')


# run.json: what `train` was told, so that eval, export and predict need not be told again.

def save_run(folder, groups, **facts):
    """Writes FOLDER/run.json: the options of the dataclasses in `groups`, and facts such as classes and picture size."""
    from slimtune.files import write_text
    options = {}
    for group in groups:
        options.update(dataclasses.asdict(group))
    write_text(os.path.join(folder, 'run.json'),
               json.dumps(dict(facts, options=options), indent=1, ensure_ascii=False, sort_keys=True) + '\n')


def load_run(path):
    """What run.json beside the checkpoint says ({} without one): {'options': {...}, 'classes': [...], ...}.

    path: a train folder, or any file of a checkpoint in it. Raises UserError where the file is damaged.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    name = os.path.join(folder, 'run.json')
    if not os.path.isfile(name):
        return {}
    try:
        with open(name, encoding='utf-8') as f:
            run = json.load(f)
        run['options'].items()
        return run
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise UserError('%s is damaged (%s): remove it and give the flags again' % (name, e))
