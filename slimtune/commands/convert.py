"""`slimtune convert`: turns a folder of images into a data set."""
from slimtune.images import conversion
from slimtune.options.groups import Convert
from slimtune.terminal import next_step


def run(request):
    """The command."""
    output = conversion.convert(request[Convert])
    next_step('train', output, '--model', 'mobilenet_v1_025')
