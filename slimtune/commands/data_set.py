"""What several commands do with a data set: read its options, and name the command that trains on it."""
import dataclasses

from slimtune import options
from slimtune.checkpoints import published
from slimtune.checkpoints.weights import WEIGHTS
from slimtune.datasets import dataset_factory
from slimtune.terminal import next_step


def data_set(request):
    """The data set's options, with the user's own module loaded and its name filled in."""
    data_options = request[options.Data]
    if data_options.dataset_module:
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    return data_options


def next_training(folder, net_name):
    """Prints the command that trains a net on the data set in `folder`, after the download of its weights where needed."""
    missing = net_name in WEIGHTS and not published.find_weights(net_name)
    next_step('train', folder, '--model', net_name, first=['download', net_name] if missing else [])
