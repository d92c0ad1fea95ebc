"""How an exported file is run on a sample of images: a few at a time, so that memory holds a few."""
import numpy as np

AT_ONCE = 8     # images


def in_parts(run, batch):
    """run(part) for the parts of a batch (an array or a list), as one array [n, ...]."""
    return np.concatenate([run(batch[begin:begin + AT_ONCE]) for begin in range(0, len(batch), AT_ONCE)])
