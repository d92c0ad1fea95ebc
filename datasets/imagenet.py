"""The name that slim has for slimtune.datasets.published.imagenet: one module, registered once."""
import sys

from slimtune.datasets.published import imagenet

sys.modules[__name__] = imagenet
