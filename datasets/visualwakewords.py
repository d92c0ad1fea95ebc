"""Visual Wake Words: is there a person in the picture? From COCO (Chowdhery et al. 2019, arXiv:1906.05721)."""
from slimtune.datasets.dataset_factory import register

get_split = register('visualwakewords', splits={'train': 82783, 'val': 40504}, file_pattern='%s.record-*',
                     class_names=['background', 'person'])
