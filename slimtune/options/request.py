"""A command line, understood: what each command takes, and its options filled in from what was typed, run.json and defaults."""
import dataclasses
import os
import re

from slimtune.errors import UsageError
from slimtune.options.groups import (
    Cache,
    Convert,
    Data,
    Download,
    Engine,
    Exported,
    Machines,
    Net,
    Optimizer,
    Predicted,
    Run,
    Schedule,
    Start,
    Terminal,
    Tested,
)
from slimtune.options.run_file import load_run


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
    'convert': Command('Turn a folder of images into records.', (Convert, Terminal), first='tensorflow_data_dir',
                       example='slimtune convert -t pic'),
    'train': Command('Fine-tune a net on them.', (Data, Net, Start, Run, Schedule, Optimizer, Cache, Engine, Machines, Terminal),
                     first='dataset_dir',
                     example='slimtune train pic --model mobilenet_v1_025 --checkpoint-path mobilenet_v1_0.25_128.ckpt'),
    'eval': Command('Test it on images it has not seen.', (Tested, Data, Net, Engine, Terminal), first='checkpoint_path',
                    reads_run=True, defaults={'dataset_split_name': ('test', 'validation')},
                    example='slimtune eval pic_mobilenet_v1_025'),
    'export': Command('Write the files to ship.', (Exported, Data, Net, Terminal), first='checkpoint_path', reads_run=True,
                      defaults={'dataset_split_name': ('validation', 'validation')},
                      example='slimtune export pic_mobilenet_v1_025'),
    'predict': Command('Name what is in images.', (Predicted, Net, Engine, Terminal), first='checkpoint_path', rest='images',
                       reads_run=True, example='slimtune predict pic_mobilenet_v1_025 image.jpg'),
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
