"""The files to ship, one module a format, replayed on real images before they count."""
