"""model.xml and model.bin, OpenVINO's own format, from which predict starts without TensorFlow."""
import os

from slimtune.inference import engines

TAKES = 'images'


def write(folder, model):
    """See slimtune.exporting. Reads frozen.pb."""
    if not engines.openvino():
        return None
    path = os.path.join(folder, 'model.xml')
    engines.load(os.path.join(folder, 'frozen.pb'), 'openvino').save(path)
    engine = engines.load(path, 'openvino')
    engine.compile(engines.REQUEST_IMAGES, (model.inputs.size, model.inputs.size, model.inputs.channels))
    return lambda images: engine.run(images)[1]
