"""What is shipped: one module a format, one way to write and replay them (bundle.py), and slim's bare graph.

A format is a module with
- TAKES: 'images' (prepared: float32 [n, size, size, channels]) or 'encoded' (a list of n files' bytes);
- FILES: the names of the files and folders that it writes;
- write(folder, model): writes its files for a restored_model.Model into `folder`, where the files of the
  formats before it are already. Returns a function from a batch of what it takes to probabilities
  [n, classes], computed by these files, or None where the format's library is not installed. Raises
  RuntimeError where the format cannot hold the net.
"""
