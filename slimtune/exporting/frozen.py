"""frozen.pb: floats into `input`; the net's own output, `logits` and `probabilities` out."""
import contextlib
import os

from slimtune.checkpoints import restored_model
from slimtune.exporting.replay import in_parts
from slimtune.inference import engines
from slimtune.storage import atomic

TAKES = 'images'
FILES = ('frozen.pb',)


def write(folder, model):
    """See slimtune.exporting."""
    path = os.path.join(folder, 'frozen.pb')
    atomic.write_bytes(path, restored_model.freeze(model).SerializeToString())

    def run(images):
        with contextlib.closing(engines.load(path, once=True)) as engine:
            return in_parts(lambda part: engine.run(part)[1], images)
    return run
