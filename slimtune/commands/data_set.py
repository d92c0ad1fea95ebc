"""What several commands do with a data set: read its options, and name the command that trains on it."""
import dataclasses
import os
import shlex

from slimtune import options
from slimtune.checkpoints import published
from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.nets.nets_factory import get_net
from slimtune.storage import trust
from slimtune.terminal import next_step


def data_set(request):
    """The data set's options, with the user's own module loaded and its name filled in."""
    data_options = request[options.Data]
    if data_options.dataset_module:
        if 'dataset_module' not in request.typed:
            _check_module(data_options.dataset_module, request.run)
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    return data_options


def next_training(folder, net_name):
    """Prints the command that trains a net on the data in `folder`; before it the download of its weights."""
    missing = get_net(net_name).weights and not published.find_weights(net_name)
    next_step('train', folder, '--model', net_name, first=['download', net_name] if missing else [])


def _check_module(module, run):
    """Refuses a module that only run.json names, unless this user trained with it: it would run as code."""
    if not trust.is_trusted(os.path.dirname(run.path), module):
        raise UserError(f'{run.path} names the data set module {module}, which would be run as a program: if '
                        f'you know it and trust it, add --dataset-module {shlex.quote(module)}')
