"""The files of an evaluation: they replace those of the one before, all together, and nobody else's."""
import contextlib
import dataclasses
import errno
import os
import shutil
import zipfile
from typing import Dict, List

from slimtune.errors import UserError
from slimtune.evaluation.predictions import CSV_HEADER
from slimtune.storage import atomic, json_file

NAMES = ('metrics.json', 'predictions.csv', 'probabilities.npz')
_OTHER_FOLDER = 'choose another folder with --eval-dir'
_NOT_OURS = f'slimtune eval did not write this file and does not replace it: {_OTHER_FOLDER}'
_OLD_CSV_HEADER = ['file', 'class', 'answer', 'probability', 'right']       # of versions before 1
#: What goes wrong in writing while the net runs.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclasses.dataclass(frozen=True)
class _Metrics:
    """What a metrics.json of slimtune holds, whatever its version."""
    checkpoint: str
    confusion_matrix: List[object]
    per_class: Dict[str, object]


@contextlib.contextmanager
def replace(eval_dir, num_bytes):
    """Gives an atomic.Exchange of `eval_dir` for the block: when it ends, all the files appear, or none.

    num_bytes: that will be written at least. Raises UserError, before the block, where the folder cannot be
    written or has too little room, and where it holds files of these names that slimtune did not write; and
    for a disk that fills.
    """
    _check_owned(eval_dir)
    started = False
    try:
        with atomic.exchange(eval_dir) as exchange:
            exchange.remove([name for name in NAMES if os.path.exists(os.path.join(eval_dir, name))])
            free = shutil.disk_usage(eval_dir).free
            if free < num_bytes:
                raise UserError(f'{eval_dir} needs room for the probabilities, {num_bytes / 1e9:.1f} GB, but '
                                f'{free / 1e9:.1f} GB are free: {_OTHER_FOLDER}')
            started = True
            yield exchange
    except OSError as e:
        if started and e.errno not in _FULL:
            raise
        remedy = f'make room, or {_OTHER_FOLDER}' if e.errno in _FULL[:3] else _OTHER_FOLDER
        raise UserError(f'{eval_dir} cannot be written ({e.strerror}): {remedy}')


def _check_owned(eval_dir):
    """Raises UserError where a file that would be replaced is not slimtune's."""
    metrics, table, probabilities = (os.path.join(eval_dir, name) for name in NAMES)
    if os.path.exists(metrics):
        json_file.read(_Metrics, metrics, _NOT_OURS)
    if os.path.exists(table):
        with open(table, 'rb') as f:
            header = f.readline(200).decode('utf-8', 'replace').rstrip('\n')
        if header.split(',') not in (CSV_HEADER, _OLD_CSV_HEADER):
            raise UserError(f'{table}: {_NOT_OURS}')
    if os.path.exists(probabilities):
        try:
            with zipfile.ZipFile(probabilities) as archive:
                owned = 'checkpoint_sha256.npy' in archive.namelist()
        except (OSError, zipfile.BadZipFile):
            owned = False
        if not owned:
            raise UserError(f'{probabilities}: {_NOT_OURS}')
