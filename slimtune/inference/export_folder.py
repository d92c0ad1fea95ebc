"""An exported folder: model.json read as what it must be, files checked before they are used, and one folder
replaced by another so that a killed command leaves a whole one."""
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import tempfile
from typing import Dict, List, Optional

from slimtune.errors import UserError
from slimtune.images.model_input import ACCURATE, FAST, Input
from slimtune.inference.agreement import FrozenNet
from slimtune.inference.graph_file import DamagedFile, read_graph
from slimtune.preprocessing import preprocessing_factory
from slimtune.storage import json_file, locks
from slimtune.storage.checksums import sha256
from slimtune.terminal import warn

METADATA, FROZEN, OPENVINO = 'model.json', 'frozen.pb', ('model.xml', 'model.bin')
LARGEST_SIDE = 10000    # pixels of an image; a larger number is a damaged one
REMEDY = 'export again'


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What predict needs of model.json. files: {path in the folder: sha256 of its content}; None in exports
    of before."""
    net: str
    classes: List[str]
    preprocessing: str
    image_size: int
    channels: int
    use_grayscale: bool = False
    dct_method: str = ACCURATE
    files: Optional[Dict[str, str]] = None

    @property
    def inputs(self):
        """How images reach the net: an Input."""
        return Input(preprocessing_factory.style_of(self.preprocessing), self.image_size, self.channels,
                     self.use_grayscale, dct_method=self.dct_method)


def is_export(folder):
    """Whether the folder holds an export. Restores one whose replacement was killed."""
    restore(folder)
    return os.path.isfile(os.path.join(folder, METADATA))


def read(folder):
    """Returns an export's Metadata. Raises UserError naming what is wrong in model.json."""
    path = os.path.join(folder, METADATA)
    metadata = json_file.read(Metadata, path, REMEDY)
    wrong = [f'{name} is {value!r}, expected {expected}' for name, value, expected, fits in (
        ('classes', metadata.classes, 'at least one', metadata.classes),
        ('image_size', metadata.image_size, f'1 to {LARGEST_SIDE}', 1 <= metadata.image_size <= LARGEST_SIDE),
        ('channels', metadata.channels, '1 or 3', metadata.channels in (1, 3)),
        ('dct_method', metadata.dct_method, f'{ACCURATE} or {FAST}', metadata.dct_method in (ACCURATE, FAST)),
    ) if not fits]
    if wrong:
        raise UserError(f'{path}: {wrong[0]}: {REMEDY}')
    return metadata


def frozen_net(folder, metadata):
    """An export's net, for inference.agreement.open_engine. Its files are checked when an engine asks for
    them."""
    @functools.lru_cache(maxsize=None)      # checked, and reported, once
    def graph(engine):
        problem = None
        if engine == 'openvino' and os.path.exists(os.path.join(folder, OPENVINO[0])):
            try:
                check(folder, metadata, *OPENVINO)
                return os.path.join(folder, OPENVINO[0])
            except DamagedFile as e:
                problem = e
        check(folder, metadata, FROZEN)
        if problem:
            warn(f'{problem}. Using {FROZEN}, which is undamaged')
        # OpenVINO could read the file itself, but its operations are checked first.
        return read_graph(os.path.join(folder, FROZEN))

    def digest():
        listed = metadata.files or {FROZEN: sha256(os.path.join(folder, FROZEN))}
        return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()

    return FrozenNet(graph, metadata.inputs, digest, reference=('openvino', 'float32'))


def check(folder, metadata, *names):
    """Raises DamagedFile where one of the files is missing or not the one that was exported."""
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            raise DamagedFile(f'{path} is missing: {REMEDY}')
        if metadata.files is None:
            continue
        if name not in metadata.files:
            raise DamagedFile(f'{path} is not listed in {METADATA}: {REMEDY}')
        if sha256(path) != metadata.files[name]:
            raise DamagedFile(f'{path} is damaged: {REMEDY}')


def checksums(folder):
    """{path in the folder, with /: sha256} of all its files, for model.json."""
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            files[os.path.relpath(path, folder).replace(os.sep, '/')] = sha256(path)
    return files


def check_replaceable(folder, names):
    """Raises UserError for a folder that is not empty and not an export: an export would replace what is not
    slimtune's. names: what an export may hold."""
    entries = os.listdir(folder) if os.path.isdir(folder) else []
    if not entries:
        return
    others = sorted(set(entries).difference(names))
    if not others and not _written_by_slimtune(folder):
        others = sorted(entries)
    if others:
        raise UserError(f'{folder} holds other files ({", ".join(others[:5])}): choose another --output-dir')


def _written_by_slimtune(folder):
    """Whether an export, perhaps a damaged one, lies in a folder whose entries have an export's names."""
    if not all(os.path.exists(os.path.join(folder, name)) for name in (METADATA, FROZEN)):
        return False
    try:
        with open(os.path.join(folder, METADATA), encoding='utf-8') as f:
            content = json.load(f)
    except (ValueError, RecursionError, OSError):
        return True         # damaged: the user was told to export again
    return isinstance(content, dict) and 'slimtune' in str(content.get('versions', ''))


@contextlib.contextmanager
def stage(folder):
    """Gives a hidden folder beside `folder` to write an export into, for `replace`; it is gone when the block
    ends.

    Raises UserError where the place cannot be written, or another command is exporting to it.
    """
    parent, name = os.path.split(os.path.abspath(folder))
    beside = os.path.join(parent, f'.{name}.slimtune-part')
    try:
        if os.path.islink(beside):      # in a received folder; its content would be removed
            os.remove(beside)
        os.makedirs(beside, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as e:
        raise UserError(f'{parent} cannot be written ({e.strerror}): choose another folder with --output-dir')
    lock = locks.acquire(beside)
    if lock is None:
        raise UserError(f'another command is exporting to {folder}: wait for it to end')
    with lock:
        try:
            for left in os.scandir(beside):     # by an export that was killed
                shutil.rmtree(left.path) if left.is_dir(follow_symlinks=False) else os.remove(left.path)
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def remove(folder, names):
    """Removes files and folders of these names, where they exist."""
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)


def replace(new, folder):
    """Puts the folder `new` in the place of `folder`. Killed at any moment, one whole folder remains; see
    `restore`."""
    restore(folder)
    old = _set_aside(folder)
    for path in (folder, old):
        if os.path.islink(path):        # a folder that was received may lead anywhere
            os.remove(path)
    if not os.path.isdir(folder):
        os.rename(new, folder)
        return
    with locks.acquire(folder, wait=True):
        os.rename(folder, old)
        os.rename(new, folder)
        shutil.rmtree(old, ignore_errors=True)


def restore(folder):
    """Ends a replacement that was killed: the new export stays where it stands, else the previous one is put
    back.

    Waits for a replacement that is under way. Where nothing can be written, nothing changes.
    """
    old = _set_aside(folder)
    if not os.path.isdir(old) or os.path.islink(old):
        return
    with contextlib.suppress(OSError), locks.acquire(old, wait=True):
        if os.path.isfile(os.path.join(folder, METADATA)):
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(old, folder)


def _set_aside(folder):
    parent, name = os.path.split(os.path.abspath(folder))
    return os.path.join(parent, f'.{name}.slimtune-old')
