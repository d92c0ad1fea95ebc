"""What is shipped: one module a format, one way to write and replay them (bundle.py), and slim's bare graph.

A format is a module with
  TAKES: 'images' (prepared, float32 [n, size, size, channels]) or 'encoded' (the files' bytes, a list of n);
  write(folder, model): writes its files for a restored_model.Model into `folder`, where those of the formats before it lie
    already, and returns a function from a batch of what it takes to probabilities [n, classes], computed by these files.
    Returns None where the format's library is not installed; raises RuntimeError where the format cannot hold the net.
"""
