"""Cached features: where the frozen part ends, its features on the disk, the steps' batches, a linear probe."""
