"""A data set that is replaced while a training reads it."""
import os
import shutil
import subprocess
import sys

import pytest

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')


@pytest.mark.parametrize('more', [[], ['--checkpoint-path', 'pic_lenet']], ids=['all layers', 'the head'])
def test_training_ends_with_a_line_where_its_records_were_replaced(trained, slimtune_in, tmp_path, more):
    for name in ('pic', 'pic_lenet'):
        shutil.copytree(str(trained / name), str(tmp_path / name))
    command = ['train', 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps', '1000000',
               '--save-interval-secs', '1', '--log-every-n-steps', '10'] + more
    process = subprocess.Popen([SLIMTUNE] + command, cwd=str(tmp_path), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, universal_newlines=True)
    try:
        for line in process.stdout:
            if line.startswith('global step 10:'):
                break
        next((tmp_path / 'pic' / 'one').iterdir()).unlink()
        slimtune_in(tmp_path)('convert', '-t', 'pic', '--quiet')
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    assert errors == ('slimtune: the records of pic in pic were replaced while they were being read: '
                      'start the command again\n')
