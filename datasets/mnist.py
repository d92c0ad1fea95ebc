"""MNIST: 70,000 handwritten digits of 28x28 pixels, grey (LeCun et al. 1998)."""
from slimtune.datasets.dataset_factory import register

get_split = register('mnist', splits={'train': 60000, 'test': 10000}, file_pattern='mnist_%s.tfrecord', channels=1,
                     class_names=['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'])
