"""What determines the pixels that a net sees: one record for training, evaluation, prediction and exports."""
import dataclasses

from slimtune.errors import UserError
from slimtune.nets import nets_factory
from slimtune.preprocessing import preprocessing_factory

# JPEG decoding: the accurate one, equal to Pillow's bit for bit, and TensorFlow's default, which is slim's.
ACCURATE, FAST = 'INTEGER_ACCURATE', 'INTEGER_FAST'


@dataclasses.dataclass(frozen=True)
class Input:
    """From an encoded image to the input of a net; images/prepare.py is its reader, in a graph and in numpy.

    style: a style of preprocessing_factory. size: side in pixels. channels: 1 or 3, of the net's input.
    grayscale: images are decoded in colour and made grey by the style (slim's --use_grayscale).
    dct_method: ACCURATE, or FAST for a net that slim trained: it changes a probability by up to 0.07.
    labels_offset: subtracted from every label of the records.
    """
    style: str
    size: int
    channels: int = 3
    grayscale: bool = False
    labels_offset: int = 0
    dct_method: str = ACCURATE


def inputs_of(net, options, size, channels=None, labels_offset=0):
    """Returns the Input of a net.

    net: its record. options: options.Net. size: pixels, or None for the net's own. channels: of the data, or
    None. Raises UserError for a size that the net cannot take, and for nets that take videos.
    """
    if net.video:
        raise UserError(f'{net.name} takes videos, and slimtune has no pipeline for them: choose another net')
    size = size or net.image_size
    nets_factory.check_image_size(net, size)
    style = preprocessing_factory.style_of(options.preprocessing_name or net.name)
    # A net for grey images takes what the data has, where the style does too; all others take colour, and
    # grey images are converted.
    takes_grey = net.channels == 1 and style not in preprocessing_factory.COLOUR_STYLES
    channels = 1 if options.use_grayscale else (channels or 1) if takes_grey else 3
    return Input(style, size, channels, options.use_grayscale, labels_offset)
