"""CSV as every reader understands it."""
import csv
import types


def writer(write):
    """A csv.writer whose rows end in one line feed.

    write: takes a row as text. A name with a line break of either kind is quoted: csv quotes the characters
    of its own line end, so the line end is both of them here.
    """
    return csv.writer(types.SimpleNamespace(write=lambda row: write(f'{row[:-2]}\n')), lineterminator='\r\n')
