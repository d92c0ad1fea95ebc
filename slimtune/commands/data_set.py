"""What several commands read from their options: the data set and its split."""
import contextlib
import dataclasses

from slimtune import options
from slimtune.datasets import dataset_factory
from slimtune.errors import UserError


def data_set(request):
    """The data set's options, with the user's own module loaded and its name filled in."""
    data_options = request[options.Data]
    if data_options.dataset_module:
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    return data_options


def held_out_split(data_options):
    """The split to test on where none is named: the command's default where there is one of that name, else the other of
    validation and test (mnist and cifar10 have no validation)."""
    for split in (data_options.dataset_split_name, 'validation', 'test'):
        with contextlib.suppress(UserError):
            return dataset_factory.get_dataset(data_options.dataset_name, split, data_options.dataset_dir).split_name
    return data_options.dataset_split_name
