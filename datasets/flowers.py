"""Flowers: 3670 photographs of five kinds (TensorFlow's flower_photos)."""
from slimtune.datasets.dataset_factory import register

get_split = register('flowers', splits={'train': 3320, 'validation': 350},
                     class_names=['daisy', 'dandelion', 'roses', 'sunflowers', 'tulips'])
