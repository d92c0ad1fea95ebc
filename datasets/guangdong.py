"""Another name for slimtune.datasets.published.guangdong: one module, registered once."""
import sys

from slimtune.datasets.published import guangdong

sys.modules[__name__] = guangdong
