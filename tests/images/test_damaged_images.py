"""Damaged images of all formats: none hangs, what is stored decodes with TensorFlow, both runtimes agree."""
import lzma
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SCRIPT = HERE.parent / 'fixtures' / 'damaged_images.py'
VARIANTS = 6        # per original and kind of damage: 3,744 images
MAX_PIXELS = 20_000_000
MEMORY = 1200       # MiB: TensorFlow takes 200 to 500, an image of MAX_PIXELS 80, converted as much again


@pytest.mark.slow
def test_damaged_images_are_left_out_or_stored_alike_on_every_runtime():
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(HERE / 'originals.zip'), str(VARIANTS)], timeout=500, check=False,
        env=dict(os.environ, SLIMTUNE_MAX_PIXELS=str(MAX_PIXELS)), encoding='utf-8',
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended.returncode == 0, ended.stderr[-2000:]
    *verdicts, peak = ended.stdout.splitlines()
    # The list was made by both runtimes: Pillow 9.5 with TensorFlow 1.14, and Pillow 13 with TensorFlow 2.21.
    with lzma.open(str(HERE / 'damaged_verdicts.txt.xz'), 'rt', encoding='utf-8') as f:
        expected = f.read().splitlines()
    differing = []
    for ours, theirs in zip(verdicts, expected):
        name, *pairs = zip(ours.split(), theirs.split())
        differing += [f'{name[0]} {number}: {verdict}, not {other}'
                      for number, (verdict, other) in enumerate(pairs) if verdict != other]
    assert not differing and len(verdicts) == len(expected) == 52
    assert int(peak.split()[1]) < MEMORY
