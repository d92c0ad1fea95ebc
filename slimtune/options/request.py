"""A request: what each command accepts, and its options filled in from the command line, run.json and the
defaults."""
import dataclasses
import enum

from slimtune.errors import UsageError
from slimtune.options import groups
from slimtune.options.fields import flag, value_of
from slimtune.options.run_file import RunFile, load_run


@dataclasses.dataclass(frozen=True)
class Command:
    """A row of COMMANDS. groups: its dataclasses, in the order of its help. first: the option that the first
    word sets, if any.

    rest: what the words after it are. reads_run: options that are not typed come from run.json beside the
    checkpoint. defaults: {option: (slim's default, the folder form's)} where they are not the dataclass's
    own.
    """
    summary: str
    groups: tuple
    first: str = None
    rest: str = None
    reads_run: bool = False
    defaults: dict = dataclasses.field(default_factory=dict)
    example: str = ''


COMMANDS = {
    'convert': Command('Convert a folder of images to TFRecords.', (groups.Convert, groups.Terminal),
                       first='tensorflow_data_dir', example='slimtune convert -t pic'),
    'train': Command('Fine-tune a net on images.',
                     (groups.Data, groups.Net, groups.Start, groups.Run, groups.Schedule, groups.Optimizer,
                      groups.Cache, groups.Engine, groups.Machines, groups.Terminal),
                     first='dataset_dir', example='slimtune train pic --model mobilenet_v1_025'),
    'eval': Command('Evaluate a net on held-out images.',
                    (groups.Evaluation, groups.Data, groups.Net, groups.Engine, groups.Terminal),
                    first='checkpoint_path',
                    reads_run=True, defaults={'dataset_split_name': ('test', 'validation')},
                    example='slimtune eval pic_mobilenet_v1_025'),
    'export': Command('Export a net with its weights, class names and preprocessing.',
                      (groups.Export, groups.Data, groups.Net, groups.Terminal),
                      first='checkpoint_path', reads_run=True,
                      defaults={'dataset_split_name': ('validation', 'validation')},
                      example='slimtune export pic_mobilenet_v1_025'),
    'predict': Command('Classify images.',
                       (groups.Prediction, groups.Net, groups.Engine, groups.Terminal),
                       first='checkpoint_path',
                       rest='images', reads_run=True,
                       example='slimtune predict pic_mobilenet_v1_025 image.jpg'),
    'nets': Command('List the nets.', (groups.Terminal,), example='slimtune nets'),
    'download': Command('Download published weights and data sets.', (groups.Download, groups.Terminal),
                        first='dataset_name', example='slimtune download inception_v3'),
    'cache': Command('List what the cache holds, and remove it.', (groups.CacheContents, groups.Terminal),
                     example='slimtune cache --max-size 5'),
}
#: The options that eval, export and predict take from run.json.
FROM_RUN = ('dataset_dir', 'dataset_name', 'dataset_module', 'labels_offset', 'model_name',
            'preprocessing_name', 'use_grayscale')


def command_options(command):
    """The options of a command by name: {name: dataclasses.Field}."""
    return {field.name: field for group in COMMANDS[command].groups for field in dataclasses.fields(group)}


def defaults(command, form):
    """The defaults of a command: {option: value}. form: 'slim' or 'folder'."""
    own = COMMANDS[command].defaults
    return {name: own[name][form == 'folder'] if name in own
            else field.default if form == 'slim' else field.metadata['folder']
            for name, field in command_options(command).items()}


def shown_default(command, name):
    """An option's default as text: slim's, and behind it the folder form's where that differs; '' without
    one."""
    slim, folder = (defaults(command, form)[name] for form in ('slim', 'folder'))
    if isinstance(slim, bool) or slim in (None, ''):      # the help says what happens without
        return ''
    return '; '.join(str(value) for value in dict.fromkeys((slim, folder)) if value not in (None, ''))


class Averages(enum.Enum):
    """Which weights of a checkpoint are loaded: USE their moving averages, IGNORE them, or use them
    IF_PRESENT."""
    USE = 'use'
    IGNORE = 'ignore'
    IF_PRESENT = 'if present'


@dataclasses.dataclass(frozen=True)
class Request:
    """What a command is asked to do.

    groups: {dataclass: instance}; request[Data] is the instance. folder_form: the first word was a folder
    (slimtune's defaults), else slim's flags alone. run: the RunFile beside the checkpoint. words: those after
    the first. typed: {option: value}, only what was on the command line.
    """
    groups: dict
    folder_form: bool
    run: RunFile
    words: list
    typed: dict

    def __getitem__(self, group):
        return self.groups[group]

    @property
    def averages(self):
        """The Averages of the command line: --moving-average-decay, else IF_PRESENT in the folder form, else
        IGNORE."""
        decay = self.typed.get('moving_average_decay')
        if decay is None:
            return Averages.IF_PRESENT if self.folder_form else Averages.IGNORE
        return Averages.USE if decay else Averages.IGNORE


def understand(command, typed, words):
    """The Request of a command line: an option's value is what was typed, else what run.json says, else the
    default.

    typed: {option: value}, parsed. words: what stood without an option. Raises UsageError for a word too
    many, UserError for a damaged run.json.
    """
    row, typed, words = COMMANDS[command], dict(typed), list(words)
    folder_form = bool(words) and row.first is not None and row.first not in typed
    if folder_form:
        typed[row.first] = value_of(command_options(command)[row.first], words.pop(0))
    elif words and row.rest is None:
        raise UsageError(f'{words[0]} and {flag(row.first)}={typed[row.first]}: give one of them')
    path = typed.get('checkpoint_path')
    run = load_run(path) if row.reads_run and path else RunFile({})
    values = defaults(command, 'folder' if folder_form or run.path else 'slim')
    values.update({name: run.options[name] for name in FROM_RUN if name in values and name in run.options})
    values.update(typed)
    groups = {group: group(**{field.name: values[field.name] for field in dataclasses.fields(group)})
              for group in row.groups}
    return Request(groups, folder_form, run, words, typed)
