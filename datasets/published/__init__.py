"""The data sets that everybody knows by name, one module each, which registers itself: classes and splits.

One with a RELEASE (archives with their checksums, reader) can be downloaded: see published_data.
"""
