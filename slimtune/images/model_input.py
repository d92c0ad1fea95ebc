"""How images reach a net: the record that training, evaluation, prediction and exports share."""
import dataclasses

from slimtune.errors import UserError
from slimtune.nets import nets_factory


def inputs_of(net, options, size, channels=None, threads=4, readers=4, labels_offset=0):
    """The Input of a net. net: its record. options: options.Net. size: asked for, or None. channels: of the data."""
    if net.video:
        raise UserError('%s takes films, and slimtune has no pipeline for them: choose another net' % net.name)
    size = size or net.image_size
    nets_factory.check_image_size(net, size)
    # A net for grey images takes what the data has; every other net takes colour, grey images being converted.
    channels = 1 if options.use_grayscale else (channels or 1) if net.channels == 1 else 3
    return Input(options.preprocessing_name or net.name, size, channels, options.use_grayscale, labels_offset, threads,
                 readers)


# JPEG decoding: the exact one, Pillow's bit for bit, and TensorFlow's default, slim's.
ACCURATE, FAST = 'INTEGER_ACCURATE', 'INTEGER_FAST'


@dataclasses.dataclass(frozen=True)
class Input:
    """How images reach a net. size: side in pixels. preprocessing: a style's or net's name. channels: 1 or 3.

    dct_method: ACCURATE, or FAST for a net that slim trained: it changes a probability by up to 0.07.
    """
    preprocessing: str
    size: int
    channels: int = 3
    use_grayscale: bool = False
    labels_offset: int = 0
    threads: int = 4
    readers: int = 4
    dct_method: str = ACCURATE
