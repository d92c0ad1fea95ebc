"""What is printed: messages, results, tables and progress, as a bar on a terminal and as lines in a pipe.

Every text passes `visible`, so that names of files and classes cannot act on the terminal. Messages go
through absl's logging, so that slim's `--alsologtostderr` and `--verbosity` act on them.
"""
import contextlib
import dataclasses
import logging as python_logging
import os
import re
import shlex
import signal
import sys
import time

from absl import flags, logging

from slimtune import machine

_PIPED_WIDTH = 1000     # columns of a table in a pipe: no cell is folded
_SECONDS_BETWEEN_LINES = 10.0


class _Standard:
    """sys.stdout or sys.stderr at the moment of writing: rich's bar and tests replace it."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        return getattr(getattr(sys, self._name), name)


def setup(quiet=False, verbose=False, verbosity=0, to_stderr=False, prefix=False):
    """Sends messages to standard output, or with `to_stderr` to standard error.

    quiet: print results and errors only. verbose, verbosity: as absl's. prefix: print absl's prefix, date and
    module, before each message.
    """
    handler = logging.get_absl_handler()
    handler.python_handler.stream = _Standard('stderr' if to_stderr else 'stdout')
    if not prefix:
        handler.setFormatter(python_logging.Formatter('%(message)s'))
    # `slimtune train ... | head`: training continues when the reader has closed the pipe.
    python_logging.raiseExceptions = False
    # absl warns about logging before its flags were parsed; the flags here are options.Terminal's.
    flags.FLAGS.mark_as_parsed()
    # On absl's own logger, not the root: OpenVINO, once imported, takes every handler off the root.
    logger = python_logging.getLogger('absl')
    logger.handlers, logger.propagate = [handler], False
    logging.set_verbosity(logging.ERROR if quiet else logging.DEBUG if verbose else verbosity)


def visible(text):
    """`text` as one line in which nothing acts on a terminal: a line break is shown as \\n, ESC as \\x1b.

    Control characters (line breaks and tabs too), marks that change the direction of writing, line and
    paragraph separators, and bytes of a file name that are not UTF-8 are escaped.
    """
    return _ACTING.sub(lambda match: _escape(match.group()), text)


_ACTING = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def _escape(letter):
    """A character as bash's $'...' reads it, so that a quoted word can be pasted."""
    code = ord(letter)
    if 0xdc80 <= code <= 0xdcff:        # how Python keeps a byte that is not UTF-8
        return f'\\x{code - 0xdc00:02x}'
    if code < 0x80:
        return letter.encode('unicode_escape').decode('ascii')
    return f'\\u{code:04x}'


def say(*lines):
    """Prints messages, each on its line; not with --quiet."""
    for line in lines:
        logging.info('%s', visible(line))


def warn(line):
    """Prints a message about something that the user should check, as "note: ..."; not with --quiet."""
    logging.warning('%s', visible(f'note: {line}'))


def result(*lines):
    """Prints lines of the command's result on standard output, with --quiet too."""
    sys.stdout.write(''.join(f'{visible(line)}\n' for line in lines))
    sys.stdout.flush()


def data(line):
    """Prints a line of CSV or JSON on standard output: unchanged in a pipe or file, escaped on a terminal."""
    sys.stdout.write(f'{visible(line) if sys.stdout.isatty() else line}\n')
    sys.stdout.flush()


def next_step(*words, first=()):
    """Prints the command to type next. words: its arguments after `slimtune`; they are quoted for a shell
    here.

    first: the arguments of a command that must run before it; both are one line to paste.
    """
    commands = [' '.join(['slimtune', *map(_quoted, part)]) for part in (first, words) if part]
    say('', 'Next: ' + ' && '.join(commands))


def _quoted(word):
    escaped = word.replace('\\', r'\\').replace("'", r"\'")
    return shlex.quote(word) if visible(word) == word else f"$'{visible(escaped)}'"


def table(headers, rows, title=None):
    """A table as a list of lines. rows: lists of cells; numbers are aligned to the right.

    Chinese and other wide letters count as two columns.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left', pad_edge=False)
    for n, header in enumerate(headers):
        numeric = rows and all(isinstance(row[n], (int, float)) for row in rows)
        drawn.add_column(visible(header), justify='right' if numeric else 'left', overflow='fold')
    for row in rows:
        drawn.add_row(*[f'{cell:.4f}' if isinstance(cell, float) else visible(str(cell)) for cell in row])
    width = Console().width if sys.stdout.isatty() else _PIPED_WIDTH
    console = Console(width=width, file=sys.stdout, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().rstrip().split('\n')]


def watched():
    """Whether messages go to a terminal, where a bar can be drawn."""
    stream = logging.get_absl_handler().python_handler.stream
    return logging.level_info() and hasattr(stream, 'isatty') and stream.isatty()


class _Bar:
    """Progress as a bar of rich's."""

    def __init__(self, bar, task):
        self._bar, self._task = bar, task

    def advance(self, n=1, text=''):
        self._bar.update(self._task, advance=n, text=visible(text))


class _Lines:
    """Progress as a line every few seconds."""

    def __init__(self, what, total, unit):
        self._what, self._total, self._unit = what, total, unit
        self._done, self._begun, self._next = 0, time.time(), time.time() + _SECONDS_BETWEEN_LINES

    def advance(self, n=1, text=''):
        self._done += n
        now = time.time()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_LINES
            done = f'{self._done:.0f}' + (f' of {self._total:.0f}' if self._total else '')
            rate = self._done / (now - self._begun)
            say(f'{self._what}: {done} {self._unit}, {rate:.1f}/s {text}')


@contextlib.contextmanager
def progress(what, total=None, unit='images'):
    """A context that shows progress: gives an object whose `advance(n, text)` adds n and shows the text.

    what: the work, such as 'evaluating'. total: in units, None where it is unknown.
    """
    if not watched():
        yield _Lines(what, total, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task):
            return Text(f'{task.finished_speed or task.speed or 0:.1f} {unit}/s')

    stream = logging.get_absl_handler().python_handler.stream
    # Standard output is printed above the bar, unless it goes elsewhere: `slimtune predict --json > file`.
    bar = Progress(TextColumn('{task.description}', markup=False), BarColumn(),
                   TextColumn(f"{{task.completed:.0f}}/{total or '?'}"), Rate(), TimeRemainingColumn(),
                   TextColumn('{task.fields[text]}', markup=False), console=Console(file=stream),
                   transient=True, redirect_stdout=sys.stdout.isatty())
    with bar:
        yield _Bar(bar, bar.add_task(visible(what), total=total, text=''))


@dataclasses.dataclass
class Stop:
    """Whether the user asked the command to stop."""
    wanted: bool = False


@contextlib.contextmanager
def stopping():
    """A context that gives a Stop: Ctrl-C, SIGTERM and a closed terminal set `wanted`.

    A second signal raises KeyboardInterrupt at once.
    """
    stop = Stop()

    def request_stop(number, frame):
        if number == getattr(signal, 'SIGHUP', None):       # the terminal is closed: writing to it would fail
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True
        # Not print: this may interrupt a print, and printing inside it would fail.
        os.write(2, b'Stopping after this step; saving.\n')

    before = [(number, signal.signal(number, request_stop)) for number in machine.stop_signals()]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)
