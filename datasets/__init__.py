"""Data sets: dataset_factory finds one by its name; what a data set's folder holds; those with a name.

flowers.py, mnist.py, … are only the names that slim has for the modules of datasets/published.
"""
