"""ImageNet: 1.3 million photographs (Russakovsky et al. 2015). 1001 classes: label 0 is the background, of which the
records have no pictures; the names come from the label file beside them.
"""
from slimtune.datasets.dataset_factory import register

get_split = register('imagenet', splits={'train': 1281167, 'validation': 50000}, file_pattern='%s-*', num_classes=1001)
