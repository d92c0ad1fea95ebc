"""The name that slim has for slimtune.datasets.published.cifar10: one module, registered once."""
import sys

from slimtune.datasets.published import cifar10

sys.modules[__name__] = cifar10
