"""model.xml and model.bin, OpenVINO's own format, from which predict starts without TensorFlow."""
import os

from slimtune.errors import UserError
from slimtune.inference import engines

TAKES = 'images'
FILES = ('model.xml', 'model.bin')


def write(folder, model):
    """See slimtune.exporting. Reads frozen.pb."""
    try:
        if not engines.openvino():
            return None
    except UserError as e:      # a broken installation costs this format alone
        raise RuntimeError(str(e))
    path = os.path.join(folder, 'model.xml')
    engines.load(os.path.join(folder, 'frozen.pb'), 'openvino').save(path)
    engine = engines.load(path, 'openvino')
    engine.compile(engines.REQUEST_IMAGES, (model.inputs.size, model.inputs.size, model.inputs.channels))
    return lambda images: engine.run(images)[1]
