"""What the commands print: lines, tables and JSON on standard output."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

import orjson
from rich.console import Console
from rich.text import Text

UNHEALTHY: Final = 1
"""Exit status of a command whose answer is bad news."""

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
