"""Events and journals for the tests of the telemetry."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from vigie.settings import MEBIBYTE, JournalSettings
from vigie.telemetry.event import Event
from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.framing import Record, Run
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment
from vigie.telemetry.stream.items import Gap

FILLING = "x" * 10_000
"""Twelve events of this size fill a segment of 128 KiB."""


def event(label: object = "", **data: object) -> Event:
    """Return an event that is told apart by its message."""
    body: dict[str, object] = {"kind": "request", "method": "GET", "path": "/logs", **data}
    return Event(timestamp="2026-11-20T10:30:45.123456Z", level="INFO", message=str(label), data=body)  # type: ignore[typeddict-item] # tests add keys of their own


def small_journal(home: Path, max_bytes: int = MEBIBYTE) -> Journal:
    """Return a journal of 8 segments (at a mebibyte) of 128 KiB, without the threads that keep it."""
    return Journal.create(home, "api", JournalSettings(journal_max_bytes=max_bytes))


def die(journal: Journal) -> None:
    """Leave the files as a killed process would: the kernel closes them and frees the lock."""
    journal.abandon()


def recovered(home: Path) -> DeadJournal:
    """Return the one journal that a dead process left under `home`."""
    (found,) = DeadJournal.recover(home)
    return found


def drain(journal: Journal | DeadJournal, page: int = 500) -> list[Record | Gap]:
    """Return everything not shipped yet, taking note of each page as shipped."""
    found: list[Record | Gap] = []
    while items := journal.read(page):
        found += unpacked(items)
        journal.advance(items[-1].last)
    return found


def read(journal: Journal | DeadJournal, limit: int) -> list[Record | Gap]:
    """Return the next events and gaps, one by one."""
    return unpacked(journal.read(limit))


def unpacked(items: Iterable[Run | Gap]) -> list[Record | Gap]:
    """Return the events of the items one by one, and the gaps between them."""
    found: list[Record | Gap] = []
    for item in items:
        found += [item] if isinstance(item, Gap) else item.records()
    return found


def numbers(items: Iterable[Record | Gap]) -> list[int]:
    """Return every number that the items stand for, in their order."""
    found: list[int] = []
    for item in items:
        found += [item.number] if isinstance(item, Record) else range(item.first, item.last + 1)
    return found


def records(segment: Segment) -> list[tuple[Record, int]]:
    """Return the sound records of a segment one by one, each with the offset behind it."""
    runs = segment.runs(HEADER_BYTES, segment.used, most=1)
    return [(record, run.end) for run in runs for record in segment.run(run).records()]


def messages(items: Iterable[Record | Gap]) -> list[str]:
    """Return the messages of the events among the items."""
    return [orjson.loads(item.event)["message"] for item in items if isinstance(item, Record)]


def gaps(items: Iterable[Record | Gap]) -> list[Gap]:
    """Return the gaps among the items."""
    return [item for item in items if isinstance(item, Gap)]


def segments(home: Path) -> list[Path]:
    """Return the segment files under `home`."""
    return sorted(home.glob("producers/*/*.segment"))


def killed_after(program: str, arguments: Sequence[object], line: str) -> list[str]:
    """Run `program` until it has printed `line`, kill it by SIGKILL, and return the lines it printed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for printed in process.stdout:
            lines.append(printed.strip())
            if lines[-1] == line:
                process.send_signal(signal.SIGKILL)
                break
        lines += [rest.strip() for rest in process.stdout]
        assert process.wait(30) == -signal.SIGKILL, lines
    return lines
