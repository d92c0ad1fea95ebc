"""The name that slim has for slimtune.datasets.published.mnist: one module, registered once."""
import sys

from slimtune.datasets.published import mnist

sys.modules[__name__] = mnist
