"""Guangdong: defects of aluminium profiles, 12 classes (Tianchi challenge 2018)."""
from slimtune.datasets.dataset_factory import register

CLASSES = ['正常', '不导电', '擦花', '横条压凹', '桔皮', '漏底', '碰伤', '起坑', '凸粉', '涂层开裂',
           '脏点', '其他']

get_split = register('guangdong', splits={'train': None, 'validation': None}, class_names=CLASSES)
