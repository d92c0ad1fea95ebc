"""The command line: finds the command, understands slim's spellings, prints errors as one line.

Nothing here imports TensorFlow or numpy; a command's module is imported when it runs.
"""
import atexit
import contextlib
import errno
import gc
import importlib
import itertools
import os
import re
import signal
import sys

import slimtune
from slimtune import machine, options
from slimtune.errors import UsageError, UserError, nearest
from slimtune.options.fields import FALSE, TRUE, value_of

#: {command: its module in slimtune.commands, whose `run(request)` runs it}
MODULES = {'convert': 'convert', 'train': 'train', 'eval': 'evaluate', 'export': 'export',
           'predict': 'predict', 'nets': 'nets', 'download': 'download', 'cache': 'cache'}
HELP = ('-h', '--h', '-help', '--help', '--helpshort', '--helpfull')      # absl's too
SHORT = {'t': 'tensorflow_data_dir'}
#: What to do about an error of the operating system, by its number.
ADVICE = {errno.ENOSPC: 'make room and type the same command again',
          errno.EDQUOT: 'make room and type the same command again'}
# Objects between two garbage collections: at Python's 700 it walks over a graph's objects again and again.
GARBAGE = 100000


def main(argv=None):
    """Runs one command. Returns the exit code: 0, 1 for a user's error, 2 for a wrong command line."""
    try:
        execute(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()                      # a closed pipe shows itself here, not when Python ends
        return 0
    except UserError as e:
        _report(str(e))
        return e.exit_code
    except KeyboardInterrupt:
        _report('stopped')
        return 130
    except BrokenPipeError:                     # `slimtune predict ... | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as e:
        if e.filename is None and e.errno is None:
            raise
        parts = [e.strerror or str(e), e.filename, ADVICE.get(e.errno)]
        _report(': '.join(str(part) for part in parts if part))
        return 1


def _report(error):
    """Prints an error as one line on standard error."""
    from slimtune.terminal import visible
    print(f'slimtune: {visible(error)}', file=sys.stderr)


def execute(argv):
    """Prints the help, the versions or the completion that the command line asks for, or runs its command."""
    if argv[:1] == ['help']:                    # `slimtune help train`
        argv = argv[1:] + ['--help']
    option, _, shell = ' '.join(argv).replace('=', ' ', 1).partition(' ')
    if not argv or argv[0] in HELP:
        print(overview())
    elif argv[0] in ('--version', 'version'):
        print(version())
    elif option == '--completion':
        from slimtune.options import completion
        print(completion.script(shell), end='')
    else:
        name = command_name(argv[0])
        if any(word in HELP for word in itertools.takewhile(lambda word: word != '--', argv)):
            from slimtune.options.help import help_text
            print(help_text(name))
        else:
            start(name, *parse(name, argv[1:]))


def start(name, typed, words):
    """Runs the command `name`. typed: {option: value} of the command line. words: its words without an
    option."""
    if sys.platform == 'win32':
        raise UserError('slimtune runs on Linux and macOS. On Windows, install it in WSL')
    if typed.get('verbose'):
        os.environ['SLIMTUNE_VERBOSE'] = '1'
    else:
        import warnings
        warnings.simplefilter('ignore')
    from slimtune import terminal
    absl = typed.get('alsologtostderr') or typed.get('logtostderr')
    terminal.setup(quiet=typed.get('quiet', False), verbose=typed.get('verbose', False),
                   verbosity=typed.get('verbosity', 0), prefix=absl,
                   to_stderr=absl or name == 'predict')     # standard output is for its predictions alone
    request = options.understand(name, typed, words)
    importlib.import_module('slimtune.commands.' + MODULES[name]).run(request)


def command_name(word):
    """The command that `word` names. Raises UsageError with the nearest one, or all."""
    if word in MODULES:
        return word
    near = nearest(word, MODULES, 1)
    advice = f'did you mean {near[0]}?' if near else f'expected {", ".join(MODULES)}'
    raise UsageError(f'no command {word}: {advice}')


def overview():
    """The text of `slimtune` without arguments."""
    rows = [f'  {name:<9} {command.summary}' for name, command in options.COMMANDS.items()]
    return '\n'.join([
        'slimtune fine-tunes image classifiers: from a folder of images to a tested, exported net.',
        '', 'Commands:', *rows, '',
        'Start with a folder that has one subfolder of images per class:',
        f'  {options.COMMANDS["convert"].example}',
        'Options of a command: slimtune COMMAND --help. Versions: slimtune --version.',
        'Completion of commands and options with Tab: slimtune --completion bash'])


def version():
    """The versions of slimtune, Python and the packages it computes with, found without importing them."""
    packages = [f'{name} {machine.installed_version(*where)}' for name, where in machine.PACKAGES.items()]
    return ', '.join([f'slimtune {slimtune.__version__}', f'Python {sys.version.split()[0]}', *packages])


# From words to options

def parse(name, argv):
    """The command line as ({option: value}, [words without an option]). Raises UsageError."""
    typed, words = normalise(name, argv)
    command = options.COMMANDS[name]
    if words and command.first is None or len(words) > 1 and command.rest is None:
        extra = words[0 if command.first is None else 1]
        raise UsageError(f"unexpected word {extra}: an option's value follows its name, as in "
                         f'--option=value; see slimtune {name} --help')
    return typed, words


def normalise(name, argv):
    """slim's, absl's and our spellings as ({option: value}, [words without an option]).

    `-` in option names becomes `_`, abbreviations are completed (slim's flags first), switches get a value
    (`--x`, `--nox`), a list of scopes that is broken by a space beside its comma is joined. What follows `--`
    is words.
    """
    fields, typed, words, tokens = options.command_options(name), {}, [], list(argv)
    while tokens:
        token = tokens.pop(0)
        if token == '--':
            return typed, words + tokens
        if not re.match(r'--?[A-Za-z]', token):
            words.append(token)
            continue
        spelled, equals, value = token.partition('=')
        option, implied = _option(name, fields, spelled.lstrip('-').replace('-', '_'), spelled)
        field = fields[option]
        if field.type is bool:
            if implied is None and not equals and tokens and tokens[0].lower() in TRUE[:1] + FALSE[:1]:
                value = tokens.pop(0)
            typed[option] = value_of(field, implied or value or 'true')
            continue
        if not equals:
            if not tokens or re.match(r'--?[A-Za-z]', tokens[0]):
                raise UsageError(f'{spelled} needs a value: {spelled}=...')
            value = tokens.pop(0)
        while field.metadata['kind'] == 'scopes' and tokens and not tokens[0].startswith('-') \
                and (value.endswith(',') or tokens[0].startswith(',')):
            value += tokens.pop(0)
        typed[option] = value_of(field, value)
    return typed, words


def _option(command, fields, text, spelled):
    """The option that `text` means: (name, 'false' for --noNAME else None)."""
    text = SHORT[text] if SHORT.get(text) in fields else text
    if text in fields:
        return text, None
    denied = re.sub('^no_?', '', text)
    if denied != text and denied in fields and fields[denied].type is bool:
        return denied, 'false'
    for candidates in ([n for n in fields if fields[n].metadata['slim']], list(fields)):
        matching = [n for n in candidates if n.startswith(text)]
        if len(matching) == 1:
            return matching[0], None
        if matching:
            raise UsageError(f'{spelled} could be {" or ".join(map(options.flag, matching))}')
    near = ', '.join(map(options.flag, nearest(text, fields)))
    advice = f': did you mean {near}?' if near else ''
    raise UsageError(f'no option {spelled}{advice}; see slimtune {command} --help')


def run():
    """The console script. A closed terminal and SIGTERM end a command like Ctrl-C does: what is open is
    finished first."""
    def stop(number, frame):
        raise KeyboardInterrupt
    for number in machine.stop_signals():
        if number != signal.SIGINT:     # Python does that, and not in a background job that ignores it
            signal.signal(number, stop)
    # Data on standard output is UTF-8 whatever the locale says, and a file name keeps its bytes.
    sys.stdout.reconfigure(encoding='utf-8', errors='surrogateescape')
    sys.stderr.reconfigure(errors='backslashreplace')
    gc.set_threshold(GARBAGE)
    code = []
    atexit.register(leave, code)        # the first one registered is the last that runs
    code.append(main())
    sys.exit(code[0])


def leave(code):
    """Ends the process at once. Taking TensorFlow's graphs apart, object by object, takes half a second more.
    code: [exit code], or [] after an error that nobody expected, which Python ends with its traceback."""
    if code:
        for stream in (sys.stdout, sys.stderr):
            # The stream may be closed: by logging, which has flushed it, or by a reader.
            with contextlib.suppress(ValueError, OSError):
                stream.flush()
        os._exit(code[0])


if __name__ == '__main__':
    run()
