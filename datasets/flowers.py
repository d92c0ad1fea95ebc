"""The name that slim has for slimtune.datasets.published.flowers: one module, registered once."""
import sys

from slimtune.datasets.published import flowers

sys.modules[__name__] = flowers
