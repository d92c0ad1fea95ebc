"""A net tested on a split: metrics, predictions, the report."""
