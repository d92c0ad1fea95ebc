"""Engines for restored nets: eval and predict open them here, so that both answer the same."""
import contextlib
import hashlib
import json
import os

from slimtune import engine, files, model
from slimtune.terminal import say


def open_engine(restored, asked, top_k, some_images):
    """An engine for a restored model.Model whose decisions are float32's (see engine.answering), its proof kept beside it.

    asked: (engine, precision) of the options. some_images: gives real pictures for the proof, called where there is none yet.
    """
    graph = model.freeze(restored)
    place = os.path.join(os.path.dirname(restored.checkpoint.prefix), 'proof.json')
    key = hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()[:32]
    known = None
    with contextlib.suppress(OSError, ValueError, AttributeError), open(place, encoding='utf-8') as f:
        known = json.load(f).get(key)       # of these very weights
    kind = ' '.join(engine.choose(*asked))
    images = some_images() if kind != ' '.join(engine.EXACT) and kind not in (known or {}) else None
    running, said, proofs = engine.answering(graph, asked, images, known, top_k)
    if said:
        say(said)
    if proofs != (known or {}):
        with contextlib.suppress(OSError):      # a folder that cannot be written: proved again next time
            files.write_text(place, json.dumps({key: proofs}, indent=1) + '\n')
    return running
