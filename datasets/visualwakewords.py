"""The name that slim has for slimtune.datasets.published.visualwakewords: one module, registered once."""
import sys

from slimtune.datasets.published import visualwakewords

sys.modules[__name__] = visualwakewords
