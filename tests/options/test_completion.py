"""Shell completion, in a real bash: what a Tab offers."""
import os
import shutil
import subprocess
import sys

import pytest

from slimtune import options
from slimtune.nets.nets_factory import NETS
from slimtune.options import completion

# The script, then a command line that ends where the Tab was pressed, taken apart by readline's rules: = is a
# word of its own.
ASK = '''{script}
COMP_WORDS=({words}) COMP_CWORD={last}
_slimtune
printf '%s\\n' "${{COMPREPLY[@]}}"
'''


def offered(*words, shell='bash'):
    """What a Tab after the last of these words offers."""
    ask = ASK.format(script=completion.script(shell), words=' '.join(f"'{word}'" for word in words),
                     last=len(words) - 1)
    process = subprocess.run(['bash', '--norc', '-c', ask], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             encoding='utf-8', check=True)
    assert process.stderr == ''
    return process.stdout.split()


def test_commands_are_completed():
    assert offered('slimtune', '') == [*options.COMMANDS, '--completion', '--help', '--version']
    assert offered('slimtune', 'e') == ['eval', 'export']


@pytest.mark.parametrize('command', options.COMMANDS)
def test_every_option_of_a_command_is_completed(command):
    assert offered('slimtune', command, '--') == [*map(options.flag, options.command_options(command)),
                                                  '--help']


def test_choices_are_completed_however_the_option_is_spelled():
    assert offered('slimtune', 'train', '--optimizer', 'ada') == ['adadelta', 'adagrad', 'adam']
    assert offered('slimtune', 'train', '--optimizer', '=', 'ada') == ['adadelta', 'adagrad', 'adam']
    assert offered('slimtune', 'train', 'pic', '--optimizer', '=') == list(options.OPTIMIZERS)
    assert offered('slimtune', 'train', '--learning_rate_decay_type', 'e') == ['exponential']
    assert offered('slimtune', 'predict', 'net', '--model-name', '') == list(NETS)
    assert offered('slimtune', '--completion', '') == ['bash', 'zsh']


def test_zsh_keeps_an_option_and_its_value_in_one_word():
    assert offered('slimtune', 'train', '--optimizer=ada', shell='bash') == [
        '--optimizer=adadelta', '--optimizer=adagrad', '--optimizer=adam']


def test_elsewhere_the_shell_completes_files():
    assert offered('slimtune', 'train', 'p') == [] == offered('slimtune', 'train', '--train-dir', 'p')


def test_a_tab_in_an_interactive_bash(tmp_path):
    """The script, loaded as its first line says, and a Tab where a person presses it. What slimtune is given
    is printed."""
    import pty
    (tmp_path / 'rc').write_text(f'PATH={os.path.dirname(sys.executable)}:$PATH\neval "$(slimtune '
                                 f'--completion bash)"\n'
                                 'slimtune() { printf "<%s>" "$@"; echo done; }\nPS1=READY\n')
    (tmp_path / 'my_images').mkdir()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(['bash', '--rcfile', 'rc', '-i'], stdin=theirs, stdout=theirs, stderr=theirs,
                               cwd=str(tmp_path),
                               env=dict(os.environ, TERM='dumb', INPUTRC='/dev/null'), start_new_session=True)
    os.close(theirs)

    def read_until(text):
        shown = b''
        while text not in shown:
            shown += os.read(ours, 4096)
        return shown
    read_until(b'READY')
    os.write(ours, b'slimtune tr\tmy\t --optimizer=mom\t --log-ev\t5\n')
    assert b'<train><my_images/><--optimizer=momentum><--log-every-n-steps><5>' in read_until(b'done')
    os.write(ours, b'exit\n')
    process.wait(timeout=60)
    os.close(ours)


@pytest.mark.skipif(not shutil.which('zsh'), reason='needs zsh')
def test_zsh_reads_its_script(tmp_path):
    process = subprocess.run(['zsh', '-f', '-c', f'{completion.script("zsh")}\nwhence -w _slimtune'],
                             stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, encoding='utf-8', cwd=str(tmp_path),
                             env=dict(os.environ, HOME=str(tmp_path)))
    assert process.stderr == '' and process.stdout == '_slimtune: function\n'
