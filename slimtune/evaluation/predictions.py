"""What a net predicts for every image of a split: in memory the decisions alone, on the disk everything.

predictions.csv is for people: a row an image. probabilities.npz is for programs: reports and thresholds read
it instead of running the net again.
"""
import contextlib
import dataclasses
import zipfile
from typing import List

import numpy as np

from slimtune.errors import UserError
from slimtune.storage import csv_file

CSV_HEADER = ['file', 'label', 'prediction', 'probability', 'correct']


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions for n images; some 60 bytes an image, however many classes there are.

    file_names: n times bytes, as the records have them. labels, classes: int [n], the true and the predicted
    class. probabilities: float32 [n], of the predicted class. in_top_k: bool [n], whether the label is among
    the k best.
    """
    file_names: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    in_top_k: np.ndarray

    @property
    def correct(self):
        """bool [n]."""
        return self.classes == self.labels


def decide(logits, labels, file_names, k):
    """The Predictions of a batch and all its probabilities, float32 [n, classes].

    logits: [n, classes]. labels: int [n]. file_names: n times bytes. k: of in_top_k.
    """
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32)
    classes = logits.argmax(1)
    in_top_k = (np.argsort(-logits, 1, kind='stable')[:, :k] == labels[:, None]).any(1)
    best = probabilities[np.arange(len(classes)), classes]
    return Predictions(np.asarray(file_names, object), labels, classes, best, in_top_k), probabilities


def join(parts):
    """The Predictions of several batches as one."""
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return Predictions(*[np.concatenate([getattr(part, name) for part in parts]) for name in fields])


def write_csv(path, predictions, class_names):
    """Writes predictions.csv: a row an image, the mistakes first, the most probable ones at the top."""
    order = np.lexsort((-predictions.probabilities, predictions.correct))       # then as in the records
    with open(path, 'w', encoding='utf-8', newline='') as f:
        rows = csv_file.writer(f.write)
        rows.writerow(CSV_HEADER)
        for n in order:
            rows.writerow([_text(predictions.file_names[n]), class_names[predictions.labels[n]],
                           class_names[predictions.classes[n]], f'{predictions.probabilities[n]:.6f}',
                           int(predictions.correct[n])])


@dataclasses.dataclass(frozen=True)
class Probabilities:
    """What probabilities.npz holds: an array for each field, under its name.

    probabilities: float32 [n, classes]. labels: int64 [n]. file_names: n texts (in the file as UTF-8 bytes).
    class_names: by index of the probabilities. checkpoint_sha256: see checkpoint.sha256. step: of the
    checkpoint. split: its name.
    """
    probabilities: np.ndarray
    labels: np.ndarray
    file_names: List[str]
    class_names: List[str]
    checkpoint_sha256: str
    step: int
    split: str


class ProbabilitiesFile:
    """Writes probabilities.npz batch by batch, so that memory holds one batch."""

    def __init__(self, archive, num_images, num_classes):
        self._archive, self._left, self._classes = archive, num_images, num_classes
        self._rows = archive.open('probabilities.npy', 'w', force_zip64=True)
        np.lib.format.write_array_header_1_0(
            self._rows, {'descr': '<f4', 'fortran_order': False, 'shape': (num_images, num_classes)})

    def append(self, probabilities):
        """Adds the rows of a batch. probabilities: float32 [batch, classes]."""
        self._left -= len(probabilities)
        self._rows.write(np.ascontiguousarray(probabilities, '<f4').tobytes())

    def close(self):
        """Ends the rows; the archive cannot be closed before."""
        if not self._rows.closed:
            self._rows.close()

    def finish(self, predictions, class_names, checkpoint_sha256, step, split):
        """Adds the other arrays. Raises UserError where there were more or fewer images than announced."""
        self.close()
        if self._left:
            raise UserError(f'{len(predictions.labels)} images were read from the records, but '
                            f'{len(predictions.labels) + self._left} were counted: convert the images again')
        arrays = {'labels': predictions.labels.astype('<i8'),
                  'file_names': np.array([_text(name).encode('utf-8') for name in predictions.file_names]),
                  'class_names': np.array(class_names), 'checkpoint_sha256': np.array(checkpoint_sha256),
                  'step': np.array(step, '<i8'), 'split': np.array(split)}
        for name, array in arrays.items():
            with self._archive.open(f'{name}.npy', 'w', force_zip64=True) as f:
                np.lib.format.write_array(f, array, allow_pickle=False)


@contextlib.contextmanager
def probabilities_file(path, num_images, num_classes):
    """Opens a ProbabilitiesFile for the block. Call its `finish` at the end of the block."""
    with zipfile.ZipFile(path, 'w', allowZip64=True) as archive, \
            contextlib.closing(ProbabilitiesFile(archive, num_images, num_classes)) as file:
        yield file


def read_probabilities(path):
    """The Probabilities in a file. Raises UserError for a damaged one, or one of another program."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Probabilities(
                arrays['probabilities'], arrays['labels'],
                [name.decode('utf-8') for name in arrays['file_names']], arrays['class_names'].tolist(),
                str(arrays['checkpoint_sha256']), int(arrays['step']), str(arrays['split']))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise UserError(f'{path} is not what slimtune eval writes, or damaged ({e}): evaluate again')


def _text(file_name):
    return file_name.decode('utf-8', 'replace')
