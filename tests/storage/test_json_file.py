"""JSON files that were damaged or made to harm: one line that names file, key, value and what was
expected.
"""
import dataclasses
import json
from typing import Dict, List, Optional

import pytest

from slimtune.errors import UserError
from slimtune.storage import json_file


@dataclasses.dataclass(frozen=True)
class Shard:
    name: json_file.FileName
    bytes: int


@dataclasses.dataclass(frozen=True)
class Example:
    name: str
    shards: List[Shard]
    counts: Dict[str, int]
    share: Optional[float] = None


GOOD = {
    'name': 'pic',
    'shards': [{'name': 'a.tfrecord', 'bytes': 3}],
    'counts': {'train': 2},
    'later': 'ignored',
}


def read(tmp_path, value):
    (tmp_path / 'x.json').write_text(value if isinstance(value, str) else json.dumps(value))
    return json_file.read(Example, str(tmp_path / 'x.json'), 'convert again')


def test_a_good_file_becomes_its_dataclass(tmp_path):
    assert read(tmp_path, GOOD) == Example('pic', [Shard('a.tfrecord', 3)], {'train': 2})
    assert read(tmp_path, dict(GOOD, share=1)).share == 1


@pytest.mark.parametrize('change, said', [
    ({'name': 3}, 'name is 3, expected a text'),
    ({'shards': 3}, 'shards is 3, expected a list'),
    ({'shards': [{'name': 'a'}]}, 'shards[0].bytes is missing'),
    ({'shards': [{'name': 'a', 'bytes': True}]}, 'shards[0].bytes is true, expected a whole number'),
    ({'counts': {'train': 'two'}}, 'counts.train is "two", expected a whole number'),
    ({'share': []}, 'share is [], expected a number'),
] + [({'shards': [{'name': name, 'bytes': 1}]}, 'expected the name of a file in the same folder')
     for name in ('../x', '/etc/passwd', 'a\\b', 'a\0b', '', '..', '.')])
def test_a_wrong_value_is_named(tmp_path, change, said):
    with pytest.raises(UserError) as error:
        read(tmp_path, dict(GOOD, **change))
    assert (
        said in str(error.value)
        and 'x.json' in str(error.value)
        and str(error.value).endswith(': convert again')
    )


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '3', '\xff', '[' * 100000])
def test_what_is_no_object_is_damaged(tmp_path, text):
    with pytest.raises(UserError, match='x.json'):
        read(tmp_path, text)
