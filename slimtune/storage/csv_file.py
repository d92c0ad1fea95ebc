"""CSV as every reader understands it."""
import csv
import types


def writer(write):
    """A csv.writer whose rows end in one line feed.

    write: takes a row as text. A name with a line break of either kind is quoted: csv quotes what its own line
    end holds, which is why it is given both here.
    """
    return csv.writer(types.SimpleNamespace(write=lambda row: write(f'{row[:-2]}\n')), lineterminator='\r\n')
