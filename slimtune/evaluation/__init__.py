"""A net evaluated on a split: predictions, metrics, the report."""
