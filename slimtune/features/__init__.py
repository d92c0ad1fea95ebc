"""Cached features: where the frozen part ends, its features on the disk, the batches of steps, a probe."""
