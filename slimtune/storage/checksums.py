"""SHA-256 of files, and lists of such sums as sha256sum writes them."""
import hashlib
import os
import re

from slimtune.errors import UserError

_BLOCK = 1 << 20


def sha256(*paths):
    """The SHA-256 of a file, or of several one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as f:
            for block in iter(lambda: f.read(_BLOCK), b''):
                digest.update(block)
    return digest.hexdigest()


def read_sums(path):
    """A file of sums as {file name: SHA-256}. Raises UserError where there is none, and for anything else."""
    if not os.path.isfile(path):
        raise UserError(f'no file of checksums at {path}')
    with open(path, encoding='utf-8', errors='replace') as f:
        lines = [line.strip() for line in f if line.strip()]
    matches = [re.fullmatch(r'([0-9a-fA-F]{64})\s+\*?(?:.*/)?([^/]+)', line) for line in lines]
    if not all(matches):
        raise UserError(f'{path} is no list of SHA-256 sums: a line is SUM, two spaces, NAME')
    return {match.group(2): match.group(1).lower() for match in matches}


def text_of(sums):
    """The text of a file of sums. sums: {file name: SHA-256}."""
    return ''.join(f'{sums[name]}  {name}\n' for name in sorted(sums))
