"""The command line: finds the command, understands slim's spellings, prints errors as one line.

Nothing here imports TensorFlow or numpy; a command's module is imported when it runs.
"""
import argparse
import atexit
import contextlib
import dataclasses
import gc
import importlib
import itertools
import os
import re
import signal
import sys

import slimtune
from slimtune import options
from slimtune.errors import UsageError, UserError, nearest

#: command: the module whose `run(request)` runs it
MODULES = {'convert': 'convert', 'train': 'train', 'eval': 'evaluate', 'export': 'export', 'predict': 'predict',
           'nets': 'nets', 'download': 'download'}
TRUE, FALSE = ('true', 't', '1', 'yes', 'y'), ('false', 'f', '0', 'no', 'n')
HELP = ('-h', '--h', '-help', '--help', '--helpshort', '--helpfull')      # absl's too
SHORT = {'t': 'tensorflow_data_dir'}
GARBAGE = 100000    # objects between two collections: at Python's 700 it walks over a graph's objects again and again


def main(argv=None):
    """Runs one command. Returns the exit code: 0, 1 for a user's error, 2 for a wrong command line."""
    try:
        answer(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()                      # a closed pipe shows itself here, not when Python ends
        return 0
    except UserError as e:
        _report(str(e))
        return e.exit_code
    except KeyboardInterrupt:
        _report('stopped')
        return 130
    except BrokenPipeError:                     # `slimtune predict … | head`: they have read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as e:
        if e.filename is None and e.errno is None:
            raise
        _report(f'{e.strerror or e}: {e.filename}' if e.filename else str(e.strerror or e))
        return 1


def _report(error):
    """Prints what went wrong as one line on standard error."""
    from slimtune.terminal import visible
    print(f'slimtune: {visible(error)}', file=sys.stderr)


def answer(argv):
    """Does what the command line asks for."""
    if argv[:1] == ['help']:                    # `slimtune help train`
        argv = argv[1:] + ['--help']
    if not argv or argv[0] in HELP:
        print(overview())
    elif argv[0] in ('--version', 'version'):
        print(version())
    else:
        name = command_name(argv[0])
        if any(word in HELP for word in itertools.takewhile(lambda word: word != '--', argv)):
            print(_parser(name).format_help(), end='')
        else:
            start(name, *parse(name, argv[1:]))


def start(name, typed, words):
    """Runs the command `name` with what was typed."""
    if typed.get('verbose'):
        os.environ['SLIMTUNE_VERBOSE'] = '1'
    else:
        import warnings
        warnings.simplefilter('ignore')
    from slimtune import terminal
    prefixed = typed.get('alsologtostderr') or typed.get('logtostderr')
    terminal.setup(quiet=typed.get('quiet', False), verbose=typed.get('verbose', False), verbosity=typed.get('verbosity', 0),
                   to_stderr=prefixed or name == 'predict', prefix=prefixed)     # predict's output is its answers
    request = options.understand(name, typed, words)
    importlib.import_module('slimtune.commands.' + MODULES[name]).run(request)


def command_name(word):
    """The command that `word` names."""
    if word in MODULES:
        return word
    raise UsageError('no command %s: %s' % (word, ', '.join(
        'did you mean %s?' % near for near in nearest(word, MODULES, 1)) or 'there are ' + ', '.join(MODULES)))


def overview():
    """What `slimtune` alone says."""
    rows = ['  %-9s %s' % (name, command.summary) for name, command in options.COMMANDS.items()]
    return '\n'.join([
        'slimtune fine-tunes image classifiers: from a folder of images to a tested, exported net.', '',
        'Commands:'] + rows + ['', 'Begin with a folder that has one folder of images for each class:',
                               '  ' + options.COMMANDS['convert'].example,
                               'All options of a command: slimtune COMMAND --help. Versions: slimtune --version'])


def version():
    """slimtune's version and the runtime's, found without importing TensorFlow."""
    return 'slimtune %s, TensorFlow %s, Python %s' % (
        slimtune.__version__, installed_version('tensorflow'), sys.version.split()[0])


def installed_version(package):
    """The version of an installed package, read from its folder's name (Python 3.7 has no importlib.metadata)."""
    pattern = re.compile(r'%s-([^-]+)\.dist-info' % package.replace('-', '_'))
    for folder in sys.path:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            match = pattern.fullmatch(name)
            if match:
                return match.group(1)
    return 'not installed'


# From words to options

def parse(name, argv):
    """What was typed, as ({option: value}, [words without a flag])."""
    flags, words = normalise(name, argv)
    typed, command = vars(_parser(name).parse_args(flags)), options.COMMANDS[name]
    if words and command.first is None or len(words) > 1 and command.rest is None:
        extra = words[0 if command.first is None else 1]
        raise UsageError('%s stands alone: an option\'s value follows its name, as in --option=value; see slimtune %s --help'
                         % (extra, name))
    return typed, words


def normalise(name, argv):
    """slim's and absl's spellings as ours: (['--option=value', ...], [words without a flag]).

    `-` in option names becomes `_`, abbreviations are written out (slim's flags first), booleans get a value (`--x`,
    `--nox`), a list broken by a space beside its comma is joined. What follows `--` is words.
    """
    known, flags, words, tokens = options.fields(name), [], [], list(argv)
    while tokens:
        token = tokens.pop(0)
        if token == '--':
            return flags, words + tokens
        if not re.match(r'--?[A-Za-z]', token):
            words.append(token)
            continue
        spelled, equals, value = token.partition('=')
        option, implied = _option(name, known, spelled.lstrip('-').replace('-', '_'), spelled)
        field = known[option]
        if field.type is bool:
            if implied is None and not equals and tokens and tokens[0].lower() in TRUE[:1] + FALSE[:1]:
                value = tokens.pop(0)
            flags.append('--%s=%s' % (option, implied or value or 'true'))
            continue
        if not equals:
            if not tokens or re.match(r'--?[A-Za-z]', tokens[0]):
                raise UsageError('%s needs a value: %s=…' % (spelled, spelled))
            value = tokens.pop(0)
        while field.metadata['kind'] == 'scopes' and tokens and not tokens[0].startswith('-') \
                and (value.endswith(',') or tokens[0].startswith(',')):
            value += tokens.pop(0)
        flags.append('--%s=%s' % (option, value))
    return flags, words


def _option(command, known, text, spelled):
    """The option that `text` means: (name, 'false' for --noNAME else None)."""
    text = SHORT[text] if SHORT.get(text) in known else text
    if text in known:
        return text, None
    denied = re.sub('^no_?', '', text)
    if denied != text and denied in known and known[denied].type is bool:
        return denied, 'false'
    for candidates in ([n for n in known if known[n].metadata['slim']], list(known)):
        starting = [n for n in candidates if n.startswith(text)]
        if len(starting) == 1:
            return starting[0], None
        if starting:
            raise UsageError('%s could be %s' % (spelled, ' or '.join(map(options.flag, starting))))
    near = ', '.join(map(options.flag, nearest(text, known)))
    raise UsageError('no option %s%s; see slimtune %s --help' % (spelled, ': did you mean %s?' % near if near else '', command))


class _Help(argparse.RawDescriptionHelpFormatter):
    """Options with dashes, and their values in capitals."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=34, width=110)

    def _format_action_invocation(self, action):
        return super()._format_action_invocation(action).replace('_', '-')


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(message.replace('argument ', '', 1))


def _boolean(text):
    if text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    raise argparse.ArgumentTypeError('%s is neither true nor false' % text)


def _parser(name):
    command = options.COMMANDS[name]
    first = command.first and options.fields(name)[command.first].metadata['kind']
    words = ('' if not command.first else ' [FOLDER]' if first == 'path' else ' [NAME]') + (' IMAGE …' if command.rest else '')
    parser = _Parser(
        prog='slimtune ' + name, usage='slimtune %s%s [options]' % (name, words), formatter_class=_Help, add_help=False,
        allow_abbrev=False, argument_default=argparse.SUPPRESS, description='%s\n  %s' % (command.summary, command.example),
        epilog='Dashes or underscores, whole names or beginnings: --%s. Where two defaults are given, the second holds\n'
               'when the first word is a folder.' % next(iter(options.fields(name))).replace('_', '-'))
    for group in command.groups:
        section = parser.add_argument_group(group.__doc__.rstrip('.'))
        for field in dataclasses.fields(group):
            text = field.metadata['help'].replace('%', '%%')
            default = options.shown_default(name, field.name)
            text += ' [%s]' % default if default else ''
            section.add_argument('--' + field.name, type=_boolean if field.type is bool else field.type,
                                 choices=field.metadata['choices'], help=text,
                                 metavar=None if field.metadata['choices'] else
                                 '' if field.type is bool else _METAVAR.get(field.metadata['kind'], _METAVAR[field.type]))
    return parser


_METAVAR = {int: 'N', float: 'X', str: 'NAME', 'path': 'PATH', 'scopes': 'SCOPE,…'}


def run():
    """The console script. A closed terminal and SIGTERM end a command like Ctrl-C does: what is open is finished first."""
    def stop(number, frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, getattr(signal, 'SIGHUP', signal.SIGTERM)):
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
    """Ends the process at once. Taking TensorFlow's graphs apart, object by object, takes half a second more. code: [exit
    code], or [] after an error that nobody expected, which Python ends with its traceback."""
    if code:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):      # closed: by logging, which wrote what it held, or a reader
                stream.flush()
        os._exit(code[0])


if __name__ == '__main__':
    run()
