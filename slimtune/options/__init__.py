"""What a command line can contain: `fields` (an option and its range), `groups` (the options), `request` (a
command line with its defaults filled in) and `run_file` (run.json). Nothing here imports TensorFlow or numpy:
`--help` must be quick."""
from slimtune.options.fields import flag, option, scopes
from slimtune.options.groups import (
    DECAYS,
    OPTIMIZERS,
    Cache,
    CacheContents,
    Convert,
    Data,
    Download,
    Engine,
    Evaluation,
    Export,
    Machines,
    Net,
    Optimizer,
    Prediction,
    Run,
    Schedule,
    Start,
    Terminal,
)
from slimtune.options.request import (
    COMMANDS,
    FROM_RUN,
    Averages,
    Command,
    Request,
    command_options,
    defaults,
    shown_default,
    understand,
)
from slimtune.options.run_file import RunFile, load_run, save_run

__all__ = ['Averages', 'COMMANDS', 'Cache', 'CacheContents', 'Command', 'Convert', 'DECAYS', 'Data',
           'Download', 'Engine',
           'Evaluation', 'Export', 'FROM_RUN', 'Machines', 'Net', 'OPTIMIZERS', 'Optimizer', 'Prediction',
           'Request', 'Run', 'RunFile', 'Schedule', 'Start', 'Terminal', 'command_options', 'defaults',
           'flag', 'load_run', 'option', 'save_run', 'scopes', 'shown_default', 'understand']
