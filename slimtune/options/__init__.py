"""What a command line can say: `fields` (how an option is written down), `groups` (the options), `request` (a command line,
understood) and `run_file` (run.json). Nothing here imports TensorFlow or numpy: `--help` must be quick."""
from slimtune.options.fields import option
from slimtune.options.groups import (
                                     DECAYS,
                                     OPTIMIZERS,
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
from slimtune.options.request import (
                                     COMMANDS,
                                     FROM_RUN,
                                     Command,
                                     Request,
                                     defaults,
                                     fields,
                                     flag,
                                     scopes,
                                     shown_default,
                                     understand,
)
from slimtune.options.run_file import load_run, save_run

__all__ = ['COMMANDS', 'Cache', 'Command', 'Convert', 'DECAYS', 'Data', 'Download', 'Engine', 'Exported', 'FROM_RUN', 'Machines',
           'Net', 'OPTIMIZERS', 'Optimizer', 'Predicted', 'Request', 'Run', 'Schedule', 'Start', 'Terminal', 'Tested', 'defaults',
           'fields', 'flag', 'load_run', 'option', 'save_run', 'scopes', 'shown_default', 'understand']
