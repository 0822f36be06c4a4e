"""What the commands print: lines, tables and JSON on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

import orjson
from rich.console import Console
from rich.text import Text

UNHEALTHY: Final = 1
"""Exit status of a command whose answer is bad news."""

EVERY_SECONDS_ON_A_TERMINAL: Final = 0.5
EVERY_SECONDS_IN_A_FILE: Final = 10.0
ERASE_LINE: Final = "\r\x1b[2K"

out = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line; a reader who has gone away (`| head`) is no reason to stop what runs."""
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def fitted(start: str, text: str) -> str:
    """Return `start` and `text` as one line, cut to the terminal's width (80 without one)."""
    line = Text(start + " ".join(text.split()))
    line.truncate(out.width, overflow="ellipsis")
    return line.plain


def print_json(value: object) -> None:
    """Print `value` as indented JSON."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


class ChangingLine:
    """A line of how things stand; rewritten in place on a terminal, in a file a new one now and then."""

    def __init__(
        self, text: Callable[[], str], output: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._text = text
        self._output = output
        self._clock = clock
        self._in_place = output.isatty()
        self._every = EVERY_SECONDS_ON_A_TERMINAL if self._in_place else EVERY_SECONDS_IN_A_FILE
        self._due = clock()

    def show(self) -> None:
        """Show the line when it is time."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + self._every
        line = self._text()
        self._output.write(f"{ERASE_LINE}{line}" if self._in_place else f"{line}\n")
        self._output.flush()

    def end(self) -> None:
        """Leave the line, so that what is printed next starts a new one."""
        if self._in_place:
            self._output.write("\n")
            self._output.flush()
