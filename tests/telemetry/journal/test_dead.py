"""What a dead process left is read to the last sound record, and what is damaged is an exact gap."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tests.telemetry.events import (
    FILLING,
    die,
    drain,
    event,
    gaps,
    numbers,
    read,
    recovered,
    segments,
    small_journal,
)

from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.journal import FULL
from vigie.telemetry.journal.reader import DAMAGED
from vigie.telemetry.journal.segment import HEADER_BYTES
from vigie.telemetry.stream.items import Gap


def test_a_dead_journal_tells_who_it_was(tmp_path: Path) -> None:
    """Role, host, process and start are in the journal itself."""
    journal = small_journal(tmp_path)
    die(journal)
    dead = recovered(tmp_path)
    assert dead.producer == journal.producer
    assert dead.attributes == journal.attributes
    assert dead.attributes["pid"] == str(os.getpid())
    assert set(dead.attributes) == {"role", "host", "boot", "pid", "started"}
    dead.close(delete=True)


def test_recovery_leaves_out_what_was_shipped(tmp_path: Path) -> None:
    """The mark of what is shipped survives the process, over segments too."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(40)])
    read(journal, 30)
    journal.advance(30)
    die(journal)
    dead = recovered(tmp_path)
    assert dead.shipped == 30
    assert numbers(drain(dead, page=4)) == list(range(31, 41))
    assert dead.shipped == 40
    dead.close(delete=True)


def test_damage_in_the_middle_is_declared(tmp_path: Path) -> None:
    """A record whose bytes rotted is an exact gap; all others are shipped."""
    journal = small_journal(tmp_path)
    journal.append([event(f"event-{n}") for n in range(1, 21)])
    die(journal)
    (path,) = segments(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"event-7", b"event-?").replace(b"event-8", b"event-?"))
    dead = recovered(tmp_path)
    items = read(dead, 500)
    assert gaps(items) == [Gap(7, 8, DAMAGED)]
    assert numbers(items) == list(range(1, 21))
    assert numbers(drain(dead, page=3)) == list(range(1, 21))
    dead.close(delete=True)


def test_a_lost_segment_is_declared(tmp_path: Path) -> None:
    """Numbers of a whole file that is gone or was never finished are an exact gap."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(110)])
    die(journal)
    files = segments(tmp_path)
    files[1].unlink()
    files[2].write_bytes(b"")
    files[7].write_bytes(files[7].read_bytes()[:HEADER_BYTES] + bytes(124 * 1024))
    dead = recovered(tmp_path)
    assert gaps(drain(dead)) == [Gap(13, 36, DAMAGED), Gap(85, 96, DAMAGED), Gap(97, 110, FULL)]
    dead.close(delete=True)


def test_an_empty_folder_is_a_journal_without_events(tmp_path: Path) -> None:
    """A process killed before its first segment leaves something that is simply closed."""
    journal = small_journal(tmp_path)
    die(journal)
    segments(tmp_path)[0].unlink()
    dead = recovered(tmp_path)
    dead.rewind(0)
    assert (read(dead, 10), dead.attributes, dead.shipped) == ([], {}, 0)
    dead.advance(5)
    assert dead.shipped == 5
    dead.close(delete=True)


def test_an_unreadable_dead_journal_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be opened now stays for the next round, its lock free."""
    die(small_journal(tmp_path))

    def no_descriptors(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("vigie.telemetry.journal.dead.Segment.open", no_descriptors)
        assert DeadJournal.recover(tmp_path) == []
    recovered(tmp_path).close(delete=True)
