"""Names of classes: whatever convert writes reads back as itself."""
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slimtune import terminal
from slimtune.datasets import labels
from slimtune.errors import UserError

CLOCK = [f'{hour}:00' for hour in range(12)]
NAME = st.one_of(st.text(min_size=1), st.from_regex(r'\d{1,2}:\w{0,3}', fullmatch=True))
NAMES = st.lists(NAME, min_size=1, max_size=6)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('labels')


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(names=NAMES)
@example(names=CLOCK)
@example(names=['0:cat', '1:dog'])
@example(names=['1:b', '0:a'])
@example(names=['\ufeffcat', 'dog'])
@example(names=['0:', '1:x'])
@example(names=['cafe\u0301', 'a  b'])
def test_any_list_of_names_that_convert_accepts_reads_back_as_itself(folder, names):
    names = [labels.canonical(name) for name in names]      # as class folders are read
    try:
        accepted = labels.unrepresentable(names) is None and all(name.encode('utf-8') for name in names)
    except UnicodeEncodeError:      # half a surrogate pair: no file name that was decoded has one
        accepted = False
    if accepted:
        labels.write_folder(str(folder), names)
        assert labels.in_folder(str(folder)) == names
        for file in labels.FILES:
            assert labels.read(str(folder / file)) == names
            text = (folder / file).read_text(encoding='utf-8')
            assert len(text.split('\n')) == len(names) + 1, 'a line per name'


@pytest.mark.parametrize('name', ['', ' ', 'a\nb', 'a\u2028b', 'a\x85b', 'a ', 'cafe\u0301'], ids=ascii)
def test_only_what_no_line_can_hold_is_unrepresentable(name):
    assert labels.unrepresentable(['a', name, 'b']) == name
    assert labels.unrepresentable(['a', '0:00', 'b, "c" #\t|', '=1+1']) is None


def test_a_plain_list_stays_plain_and_clock_times_are_numbered():
    assert labels.text_plain(['b', 'a']) == 'b\na\n'
    assert labels.text_plain(['0:00', '1:00']) == '0:0:00\n1:1:00\n'
    assert labels.text_plain(['0:00', 'noon']) == '0:00\nnoon\n'


def test_decomposed_letters_are_the_same_name(tmp_path):
    """A Mac writes e and an accent, others write one letter."""
    decomposed = unicodedata.normalize('NFD', 'café\nÄpfel\n')
    assert decomposed != 'café\nÄpfel\n'
    (tmp_path / 'label.txt').write_text(decomposed, encoding='utf-8')
    (tmp_path / 'labels.txt').write_text('0:café\n1:Äpfel\n', encoding='utf-8')
    assert labels.in_folder(str(tmp_path)) == ['café', 'Äpfel']


def test_a_file_that_is_too_large_for_a_label_file_is_refused(tmp_path):
    terminal.setup()
    with open(str(tmp_path / 'label.txt'), 'wb') as f:
        f.truncate(100 << 20)
    with pytest.raises(UserError, match='label.txt has 105 MB: a label file has a class name per line, at '
                                        'most 8 MB'):
        labels.in_folder(str(tmp_path))
