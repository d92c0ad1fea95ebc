"""The data sets that are published, one module each: classes, archives with their checksums, reader."""
