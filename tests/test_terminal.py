"""What a person sees: a bar where somebody watches, lines where the output is piped, and no warning of
anybody's."""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from slimtune import terminal

SLIMTUNE = os.path.join(os.path.dirname(sys.executable), 'slimtune')
CHATTER = re.compile(r'warn|deprecat|WARNING|tensorflow/|numpy|absl|cpu_feature|rebuild TensorFlow|oneDNN',
                     re.I)


def run_at_a_terminal(*words, folder):
    """Runs slimtune with a terminal of 100 columns as its output: (exit code, what appeared there)."""
    import fcntl
    import pty
    import struct
    import termios
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
    process = subprocess.Popen([SLIMTUNE] + [str(word) for word in words], stdin=theirs, stdout=theirs,
                               stderr=theirs, cwd=str(folder), env=dict(os.environ, TERM='xterm'))
    os.close(theirs)
    shown = b''
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:         # Linux: the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return process.wait(), shown.decode('utf-8')


# The commands

def test_training_prints_slims_lines_and_nobodys_warnings(digits, slimtune, tmp_path):
    shutil.copytree(str(digits), str(tmp_path / 'pic'))
    process = slimtune('train', 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps', 4,
                       '--batch-size', 8, '--log-every-n-steps', 2, '--save-summaries-secs', 0)
    assert process.stderr == '' and not CHATTER.search(process.stdout), process.stdout
    lines = [line for line in process.stdout.splitlines() if line.startswith('global step')]
    assert len(lines) == 2
    assert all(re.fullmatch(r'global step [24]: loss = \d+\.\d{4} \(\d+\.\d{3} sec/step\)', line)
               for line in lines)
    assert process.stdout.splitlines()[-1] == 'Next: slimtune eval net'


def test_a_bar_with_rate_and_time_left_where_a_person_watches(trained, tmp_path):
    code, shown = run_at_a_terminal('train', trained / 'pic', '--model', 'lenet', '--train-dir', 'net',
                                    '--batch-size', 8,
                                    '--max-number-of-steps', 60, '--trainable-scopes', 'all', folder=tmp_path)
    assert code == 0
    assert re.search(r'training.*━.*\d+/60.*steps/s.*\d+:\d\d:\d\d', shown)
    assert re.search(r'loss \d+\.\d{4}, \d+ images/s', shown) and 'global step' not in shown
    assert not CHATTER.search(shown)


def test_answers_go_to_the_file_and_the_bar_to_the_terminal(trained, digits, tmp_path):
    import pty
    for form, lines in (('--json', 20), ('--csv', 21)):
        ours, theirs = pty.openpty()
        with open(str(tmp_path / 'answers'), 'wb') as answers:
            subprocess.run([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), str(digits / 'one'), form],
                           stdout=answers, stderr=theirs, env=dict(os.environ, TERM='xterm'), check=True)
        os.close(theirs)
        assert b'predicting' in os.read(ours, 1 << 16)
        os.close(ours)
        assert (tmp_path / 'answers').read_text().count('\n') == lines


def test_quiet_leaves_results_and_errors(trained, here, tmp_path):
    assert here('train', trained / 'pic', '--model', 'lenet', '--train-dir', 'net', '--max-number-of-steps',
                2, '--quiet') == ''
    printed = here('eval', 'net', '--quiet')
    assert re.search(r'^Accuracy \d+\.\d% of \d+ images', printed,
                     re.M) and 'Next:' not in printed and 'event file' not in printed
    assert here('eval', 'nowhere', '--quiet', code=1).startswith('slimtune: no checkpoint at nowhere')


def test_verbose_shows_tensorflows_own_lines(trained, digits, slimtune):
    words = ['predict', trained / 'pic_lenet', sorted((digits / 'one').iterdir())[0], '--verbose']
    assert CHATTER.search(slimtune(*words, TF_CPP_MIN_LOG_LEVEL='0').stderr)


def test_absls_flags_send_what_is_said_to_standard_error(trained, slimtune):
    process = slimtune('train', trained / 'pic', '--model', 'lenet', '--train-dir', trained / 'pic_lenet',
                       '--alsologtostderr', '--max-number-of-steps', 1)
    assert process.stdout == ''
    assert re.search(r'^I\d{4} .*\.py:\d+\] .* is trained: step 60 of 1\.', process.stderr, re.M)


def test_training_goes_on_when_nobody_reads(trained, tmp_path):
    """`slimtune train … | head`"""
    process = subprocess.Popen([SLIMTUNE, 'train', str(trained / 'pic'), '--model', 'lenet', '--train-dir',
                                'net', '--batch-size',
                                '8', '--max-number-of-steps', '3'], cwd=str(tmp_path), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait() == 0
    assert (tmp_path / 'net' / 'model.ckpt-3.index').exists()


# Names that would act on the terminal

CLEARS = 'red\x1b[2J\x1b]0;x\x07'
FORGES = 'a.png\r\nNext: rm -rf \u202egnp.b\x9b1m'


def test_names_of_classes_and_files_cannot_act_on_the_terminal(digits, here, tmp_path):
    shutil.copytree(str(digits / 'one'), str(tmp_path / 'pic' / CLEARS))
    shutil.copytree(str(digits / 'two'), str(tmp_path / 'pic' / 'two'))
    (tmp_path / 'pic' / 'two' / FORGES).write_bytes(b'no image')
    good = shutil.copy(str(sorted((digits / 'one').iterdir())[0]), str(tmp_path / FORGES))
    shown = [here('convert', '-t', 'pic'),
             here('train', 'pic', '--model', 'lenet', '--train-dir', CLEARS, '--max-number-of-steps', 2,
                  '--batch-size', 4),
             here('eval', CLEARS), here('eval', f'no\x1b{FORGES}', code=1),
             here('predict', CLEARS, good, tmp_path / 'pic' / 'two' / FORGES),
             here('predict', CLEARS, f'none\x1b{FORGES}', code=1)]
    for text in shown:
        assert r'\x1b' in text or r'\u009b' in text
        assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]|^ *Next: rm', text, re.M), text
    assert r"Next: slimtune eval $'red\x1b[2J\x1b]0;x\x07'" in shown[1]
    row = next(csv.DictReader(io.StringIO(here('predict', CLEARS, FORGES, '--csv'), newline='')))
    assert row['file'] == FORGES and CLEARS in (row['prediction_1'], row['prediction_2'])
    assert json.loads(here('predict', CLEARS, FORGES, '--json').splitlines()[0])['file'] == FORGES


@pytest.mark.parametrize('name', [
    'my pics', 'a\'b"c', '$HOME', '*', 'a\nb', 'c\x1b[2J\\', "d'\t", '擦花', '\u202eb', '\x9b1m'])
def test_the_next_command_can_be_pasted(name, capsys):
    terminal.setup()
    terminal.next_step('eval', name)
    blank, line = capsys.readouterr().out.splitlines()
    assert blank == '' and line.startswith('Next: slimtune eval ')
    pasted = subprocess.run(['bash', '-c', f'printf %s {line[len("Next: slimtune eval "):]}'],
                            stdout=subprocess.PIPE, env=dict(os.environ, LC_ALL='C.UTF-8'), check=True)
    assert pasted.stdout.decode('utf-8') == name


def test_a_file_name_that_is_no_utf_8_keeps_its_bytes(trained, digits, tmp_path):
    name = '擦.png'.encode('gbk')
    shutil.copy(str(sorted((digits / 'one').iterdir())[0]).encode(),
                os.path.join(os.fsencode(tmp_path), name))

    def predict(form, **environment):
        return subprocess.run([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), name, form],
                              cwd=str(tmp_path), check=True,
                              stdout=subprocess.PIPE, env=dict(os.environ, **environment)).stdout
    for encoding in ('ascii', 'cp1252', 'utf-8'):
        assert predict('--csv', PYTHONIOENCODING=encoding).splitlines()[1].startswith(name + b',')
    assert os.fsencode(json.loads(predict('--json').decode('utf-8'))['file']) == name


def test_data_is_utf_8_whatever_the_terminal_says(trained, digits, tmp_path):
    shutil.copy(str(sorted((digits / 'one').iterdir())[0]), str(tmp_path / '漏底.png'))
    for form in ('--csv', '--json'):
        process = subprocess.run([SLIMTUNE, 'predict', str(trained / 'pic_lenet'), '漏底.png', form],
                                 cwd=str(tmp_path),
                                 check=True, stdout=subprocess.PIPE,
                                 env=dict(os.environ, PYTHONIOENCODING='cp1252'))
        assert '漏底.png' in process.stdout.decode('utf-8')


# The pieces

def test_numbers_stand_to_the_right_and_wide_letters_are_counted():
    lines = terminal.table(['class', 'images', 'recall'], [['正常', 5, 0.5], ['a', 1200, 1.0]])
    chinese, latin = lines[3:]
    assert chinese.endswith('   5   0.5000') and latin.endswith('1200   1.0000')
    assert len(chinese) + 2 == len(latin)           # each of the two letters is two columns wide


def test_a_table_of_nothing_is_its_headers():
    assert terminal.table(['class', 'images'], [])[1].split() == ['class', 'images']


def test_nothing_is_folded_in_a_pipe():
    name = 'class ' * 40
    assert name.strip() in terminal.table(['class'], [[name]])[3]


def test_where_nobody_watches_a_line_comes_now_and_then(capsys, monkeypatch):
    terminal.setup()
    monkeypatch.setattr(terminal, '_SECONDS_BETWEEN_LINES', 0.0)
    with terminal.progress('reading', 4, 'files') as bar:
        bar.advance(1)
        bar.advance(3, 'done')
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith('reading: 1 of 4 files, ')
    assert last.startswith('reading: 4 of 4 files, ') and last.endswith('/s done')


@pytest.mark.parametrize('settings, out, err', [
    ({}, 'progress\nnote: beware\n42\n', ''), ({'quiet': True}, '42\n', ''),
    ({'verbosity': -1}, 'note: beware\n42\n', ''), ({'to_stderr': True}, '42\n', 'progress\nnote: beware\n')])
def test_what_is_said_can_be_silenced_and_sent_elsewhere(settings, out, err, capsys):
    terminal.setup(**settings)
    terminal.say('progress')
    terminal.warn('beware')
    terminal.result('42')
    assert capsys.readouterr() == (out, err)
