"""`slimtune convert`: turns a folder of images into a data set."""
from slimtune.commands.data_set import next_training
from slimtune.images import conversion
from slimtune.options.groups import Convert


def run(request):
    """The command."""
    next_training(conversion.convert(request[Convert]), 'mobilenet_v1_025')
