"""What several commands read from their options: the data set."""
import dataclasses

from slimtune import options
from slimtune.datasets import dataset_factory


def data_set(request):
    """The data set's options, with the user's own module loaded and its name filled in."""
    data_options = request[options.Data]
    if data_options.dataset_module:
        name = dataset_factory.load_module(data_options.dataset_module, request.typed.get('dataset_name'))
        data_options = dataclasses.replace(data_options, dataset_name=name)
    return data_options
