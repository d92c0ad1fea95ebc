"""CIFAR-10: 60,000 pictures of 32x32 pixels, ten classes (Krizhevsky 2009)."""
from slimtune.datasets.dataset_factory import register

get_split = register('cifar10', splits={'train': 50000, 'test': 10000}, file_pattern='cifar10_%s.tfrecord',
                     class_names=['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship',
                                  'truck'])
