"""README.md, README.zh-CN.md and docs/: what they show can be typed, and what they name exists."""
import os
import pathlib
import pydoc
import re
import shlex
import subprocess
import sys

import pytest

from slimtune import cli, options

ROOT = pathlib.Path(__file__).parents[2]
PAGES = ('README.md', 'README.zh-CN.md')


def text(name):
    return (ROOT / name).read_text(encoding='utf-8')


def blocks(name, language=None):
    """The code blocks of a page: (language, text); of one language only, their texts."""
    found = re.findall(r'^```(\w*)\n(.*?)^```$', text(name), re.M | re.S)
    return found if language is None else [code for tag, code in found if tag == language]


def table_rows(name):
    """The cells of every row of every table of a page."""
    return [[cell.strip() for cell in line.strip('|').split('|')]
            for line in text(name).splitlines() if line.startswith('|')]


def test_both_languages_show_the_same_commands():
    assert blocks('README.md') == blocks('README.zh-CN.md')
    inline = [sorted(re.findall(r'`([^`\n]+)`', re.sub(r'^```.*?^```$', '', text(name), flags=re.M | re.S)))
              for name in PAGES]
    missing = set(inline[0]) - set(inline[1])
    assert not missing, 'README.zh-CN.md lacks these'


@pytest.mark.parametrize('name', PAGES)
def test_a_readme_is_short_and_its_links_lead_to_files(name):
    assert len(text(name).splitlines()) < 200
    for link in re.findall(r'\]\(([^)]+)\)', text(name)):
        assert link.startswith('https://') or (ROOT / link).is_file(), link


@pytest.mark.parametrize('name', PAGES + ('docs/files.md', 'CONTRIBUTING.md', 'SECURITY.md'))
def test_every_option_and_every_command_that_is_named_exists(name):
    code = '\n'.join(re.findall(r'`([^`\n]+)`', text(name)) + blocks(name, 'sh'))
    for command in re.findall(r'\bslimtune ([a-z]\w*)', code):
        assert command in cli.MODULES, command
    known = {field for command in options.COMMANDS for group in options.COMMANDS[command].groups
             for field in group.__dataclass_fields__}
    others = re.compile('pip |python |tensorboard |freeze_graph |ossutil ')
    ours = '\n'.join(line for line in code.splitlines() if not others.match(line))
    for option in re.findall(r'(?<![\w-])--([a-z][\w-]+)', ours):
        if option not in ('help', 'version', 'completion'):
            assert any(field.startswith(option.replace('-', '_')) for field in known), option


def test_a_readmes_measurements_are_rows_of_the_results():
    measured = [row[:4] for row in table_rows('benchmarks/results/tensorflow-2.21.0.md')]
    for name in PAGES:
        shown = [row for row in table_rows(name) if len(row) == 4 and re.fullmatch(r'[\d.]+x', row[3])]
        assert len(shown) == 4
        for row in shown:
            assert row[1:] in [other[1:] for other in measured], row
            assert name == 'README.zh-CN.md' or row in measured, row


@pytest.mark.slow
def test_every_slimtune_command_of_the_readme_can_be_typed_on_a_fresh_machine(
        slimtune, mirror, cache, weights_of, save_variables, tarred, jpeg, tmp_path):
    save_variables(weights_of('mobilenet_v1_025', 1001), tmp_path / 'made' / 'mobilenet_v1_0.25_224.ckpt')
    mirror.files['mobilenet_v1_0.25_224.tgz'] = tarred(
        {path.name: path.read_bytes() for path in (tmp_path / 'made').iterdir()})
    for number, flower in enumerate(['daisy', 'roses', 'tulips']):
        (tmp_path / 'pic' / flower).mkdir(parents=True)
        for n in range(10):
            (tmp_path / 'pic' / flower / f'{n}.jpg').write_bytes(jpeg(10 * number + n, (64, 48)))
    (tmp_path / 'photo.jpg').write_bytes(jpeg(99, (64, 48)))
    typed = [shlex.split(line, comments=True) for block in blocks('README.md', 'sh')
             for line in block.splitlines() if line.startswith('slimtune ')]
    assert [words[1] for words in typed] == [
        '--version', 'download', 'convert', 'train', 'eval', 'export', 'predict']
    outputs = {words[1]: slimtune(*words[1:], SLIMTUNE_MIRROR=mirror.url).output for words in typed}
    assert 'mobilenet_v1_025' in outputs['train'] and 'Accuracy' in outputs['eval']
    assert re.search(r'photo\.jpg\n +[\d.]+% +(daisy|roses|tulips)', outputs['predict'])
    assert len(mirror.seen) == 1, 'train found the weights that were downloaded'
    for name in ('metrics.json', 'predictions.csv', 'probabilities.npz'):
        assert (tmp_path / 'pic_mobilenet_v1_025' / 'eval' / name).is_file(), name


def test_the_python_that_loads_an_export_runs(exported, digits, tmp_path):
    from slimtune.runtime import CURRENT
    current, reference = blocks('docs/files.md', 'python')
    (tmp_path / 'pic_mobilenet_v1_025').mkdir()
    os.symlink(str(exported), str(tmp_path / 'pic_mobilenet_v1_025' / 'export'))
    (tmp_path / 'photo.jpg').write_bytes(sorted((digits / 'zero').iterdir())[0].read_bytes())
    process = subprocess.run([sys.executable, '-c', current if CURRENT else reference], cwd=str(tmp_path),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert process.returncode == 0, process.stderr
    probabilities = [float(number) for number in re.findall(r'\d\.\d+(?:e-\d+)?', process.stdout)]
    assert len(probabilities) == 3 and sum(probabilities) == pytest.approx(1, abs=1e-4), process.stdout


def test_every_function_that_contributing_names_exists():
    named = set(re.findall(r'`((?:[a-z_]+\.)+[a-zA-Z_]+)`', text('CONTRIBUTING.md')))
    named = {name for name in named if not name.endswith(('.py', '.json', '.md'))}
    assert len(named) > 20
    for name in sorted(named):
        assert pydoc.locate(name if name.startswith('slimtune.') else f'slimtune.{name}'), name
