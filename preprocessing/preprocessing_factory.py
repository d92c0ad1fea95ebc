"""A preprocessing by name: that of a style (inception, vgg, lenet, cifarnet) or of any net, which names its
style.

Imports neither TensorFlow nor numpy: what builds the graph is imported when an image comes.
resnet_v2 keeps vgg, as slim has it, though its published weights were trained with inception's at 299 pixels.
"""
from slimtune.errors import UserError, nearest
from slimtune.nets.nets_factory import NETS

STYLES = ('inception', 'vgg', 'lenet', 'cifarnet')

#: Styles that need three channels: inception changes the saturation, vgg subtracts a mean of red, green and
#: blue.
COLOUR_STYLES = ('inception', 'vgg')

#: Options that slim's scripts may pass in evaluation too, where they have no effect.
TRAINING_ONLY = ('key', 'bbox', 'fast_mode', 'resize_side_max')


def style_of(name):
    """Returns the style that `name`, a style's or a net's, stands for. UserError for any other name."""
    if name in STYLES:
        return name
    if name not in NETS:
        known = STYLES + tuple(NETS)
        raise UserError(f'no preprocessing is called {name}: try {", ".join(nearest(name, known) or STYLES)}')
    return NETS[name].preprocessing


def get_preprocessing(name, is_training=False, use_grayscale=False):
    """Returns slim's `preprocess(image, output_height, output_width, **kwargs)` for one image.

    image: uint8 [h, w, channels], of any size. Returns float32 [output_height, output_width, channels],
    one channel with use_grayscale. Keyword arguments are slim's, by style (see training.py and
    evaluation.evaluation), and in training `key`, int64 [2]: the same key draws the same augmentation.
    `add_image_summaries` is accepted and ignored: in an input pipeline a summary reaches no event file.

    preprocess.style is the style's name. preprocess.crop_jpeg is None or, where training begins with a crop
    (inception), training.crop_jpeg(encoded, key, bbox=None), which decodes the crop alone: preprocess with
    crop_image=False and the same key then does the rest.
    """
    style = style_of(name)

    def preprocess(image, output_height, output_width, **kwargs):
        kwargs.pop('add_image_summaries', None)
        if is_training:
            from slimtune.preprocessing import training
            augment = getattr(training, style)
            return augment(image, output_height, output_width, use_grayscale=use_grayscale, **kwargs)
        from slimtune.preprocessing.graph import evaluate_image
        options = {option: value for option, value in kwargs.items() if option not in TRAINING_ONLY}
        return evaluate_image(
            style, image, output_height, output_width, use_grayscale=use_grayscale, **options)

    def crop_jpeg(encoded, key, bbox=None):
        from slimtune.preprocessing import training
        return training.crop_jpeg(encoded, key, bbox)

    preprocess.style = style
    preprocess.crop_jpeg = crop_jpeg if is_training and style == 'inception' else None
    return preprocess
