"""Checkpoints: read, compare, restore; which net fits; published weights."""
