"""Data sets: dataset_factory finds one by its name; what a data set's folder holds; the published ones.

slim's modules are served under their names too: `from slimtune.datasets import flowers` is
slimtune.datasets.published.flowers.
"""
import importlib
import pkgutil


def __getattr__(name):
    published = importlib.import_module('slimtune.datasets.published')
    if name in {module for _, module, _ in pkgutil.iter_modules(published.__path__)}:
        return importlib.import_module('slimtune.datasets.published.' + name)
    raise AttributeError(f'module slimtune.datasets has no attribute {name!r}')
