"""frozen.pb: floats into `input`; the net's own output, `logits` and `probabilities` out."""
import os

from slimtune.checkpoints import restored_model
from slimtune.inference import engines
from slimtune.storage import atomic

TAKES = 'images'


def write(folder, model):
    """See slimtune.exporting."""
    path = os.path.join(folder, 'frozen.pb')
    atomic.write_bytes(path, restored_model.freeze(model).SerializeToString())
    return lambda images: engines.load(path, once=True).run(images)[1]
