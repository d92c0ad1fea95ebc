"""OpenVINO's own format, model.xml and model.bin."""
import dataclasses
import os

from slimtune.inference import agreement, engines


def write_openvino(folder):
    """Writes model.xml and model.bin, from which predict starts without TensorFlow; returns an engine that runs them."""
    engines.OpenVINO(os.path.join(folder, 'frozen.pb')).save(os.path.join(folder, 'model.xml'))
    return engines.load(os.path.join(folder, 'model.xml'), 'openvino')


def prove_engines(folder, images):
    """The proofs of OpenVINO in float32 and, where this CPU has it, in bfloat16: {engine's name: Proof's fields}."""
    exact, proofs = engines.load(os.path.join(folder, 'frozen.pb'), once=True), {}
    for kind in sorted({engines.choose('openvino', 'float32'), engines.choose('openvino', 'auto')}):
        fast = engines.load(os.path.join(folder, 'model.xml'), *kind)
        proofs[fast.name] = dataclasses.asdict(agreement.prove(fast, exact, images))
        fast.close()
    exact.close()
    return proofs
