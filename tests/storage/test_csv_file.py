"""CSV: any name comes back as it was, by any reader, line breaks of either kind included."""
import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from slimtune.storage import csv_file

NAMES = st.text(st.characters(blacklist_categories=('Cs',), blacklist_characters='\0'))


@given(st.lists(st.lists(NAMES, min_size=1), min_size=1))
def test_rows_are_read_back_as_they_were_written(rows):
    text = io.StringIO(newline='')
    csv_file.writer(text.write).writerows(rows)
    assert list(csv.reader(io.StringIO(text.getvalue(), newline=''))) == rows


def test_a_row_ends_in_one_line_feed():
    text = io.StringIO(newline='')
    csv_file.writer(text.write).writerow(['a', 'b\rc', 1])
    assert text.getvalue() == 'a,"b\rc",1\n'
