"""What the tests of training share: the converted digits, to train on and to change."""
import shutil

import pytest


@pytest.fixture
def pic(trained, tmp_path):
    """A copy of the converted digits: tmp_path / 'pic'. The command finds it as `pic`."""
    shutil.copytree(str(trained / 'pic'), str(tmp_path / 'pic'))
    return tmp_path / 'pic'
