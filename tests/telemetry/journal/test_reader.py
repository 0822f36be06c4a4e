"""A journal is read in order, again until it is shipped, and shipped segments make room."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.telemetry.events import (
    FILLING,
    drain,
    event,
    gaps,
    numbers,
    read,
    recovered,
    segments,
    small_journal,
)

from vigie.settings import MEBIBYTE
from vigie.telemetry.journal import reader as journal_reader
from vigie.telemetry.journal.journal import FULL
from vigie.telemetry.stream.items import Gap


def test_what_is_not_shipped_comes_again(tmp_path: Path) -> None:
    """Reading changes nothing; only what is shipped is left out, also in the middle of a page."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(10)])
    assert numbers(read(journal, 4)) == [1, 2, 3, 4]
    assert numbers(read(journal, 4)) == [1, 2, 3, 4]
    journal.advance(2)
    assert numbers(read(journal, 4)) == [3, 4, 5, 6]
    journal.advance(1)
    assert journal.shipped == 2
    journal.advance(10)
    assert read(journal, 4) == []
    assert (journal.backlog, journal.bytes_used) == (0, 0)
    journal.close(delete=True)


def test_shipped_segments_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is not shipped keeps its room on the disk, once its time is over."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(journal_reader, "USED_SECONDS", 0.0)
    journal = small_journal(tmp_path)
    for n in range(40):
        journal.append([event(n, filling=FILLING)])
    assert len(segments(tmp_path)) == 4
    assert journal.bytes_used > 40 * 10_000
    assert numbers(drain(journal, page=7)) == list(range(1, 41))
    assert len(segments(tmp_path)) == 1
    journal.close(delete=True)
    assert segments(tmp_path) == []


def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    """Large events come in pages that one call can carry, and all of them come."""
    journal = small_journal(tmp_path, 64 * MEBIBYTE)
    journal.append([event(n, filling="x" * 900_000) for n in range(8)])
    assert numbers(read(journal, 500)) == [1, 2, 3, 4]
    assert numbers(drain(journal)) == list(range(1, 9))
    journal.close(delete=True)


def test_an_open_gap_is_shipped_as_far_as_it_goes(tmp_path: Path) -> None:
    """A gap that is still growing is declared in adjoining parts, no number twice and none missing."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(98)])
    items = read(journal, 500)
    assert gaps(items) == [Gap(97, 98, FULL)]
    journal.append([event("dropped")])
    journal.advance(98)
    assert read(journal, 500) == [Gap(99, 99, FULL)]
    journal.close(delete=True)


def test_shipped_segments_stay_for_a_redis_that_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shipped in the last seconds can be shipped again, several files back, and then goes."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 600.0)
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(40)])
    drain(journal, page=7)
    assert (len(segments(tmp_path)), journal.bytes_used) == (4, 0)
    journal.rewind(9)
    assert numbers(read(journal, 500)) == list(range(10, 41))
    assert journal.backlog == 31
    drain(journal, page=5)
    assert (read(journal, 500), len(segments(tmp_path))) == ([], 4)
    journal.close(delete=False)
    dead = recovered(tmp_path)
    dead.rewind(0)
    assert numbers(read(dead, 500)) == list(range(1, 41))
    dead.close(delete=True)


def test_a_shipped_segment_that_rotted_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shipping again begins with the first event that can be read, and passes over none behind it."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 600.0)
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(40)])
    drain(journal, page=7)
    oldest = segments(tmp_path)[0]
    with oldest.open("r+b") as file:
        file.write(bytes(oldest.stat().st_size))
    journal.rewind(3)
    items = read(journal, 500)
    assert (numbers(items), gaps(items)) == (list(range(13, 41)), [])
    journal.close(delete=True)


def test_shipped_segments_go_where_their_room_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that only wait for a crash of Redis count within the bound, and never cost an event."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 600.0)
    journal = small_journal(tmp_path)
    for _ in range(10):
        journal.append([event(n, filling=FILLING) for n in range(30)])
        drain(journal)
        assert len(segments(tmp_path)) <= 8
    assert (journal.dropped, journal.high, len(segments(tmp_path))) == (0, 300, 8)
    journal.close(delete=True)


def test_an_unused_file_goes_without_new_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a burst the room comes back by itself: whoever looks for events to ship removes old files."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(journal_reader, "USED_SECONDS", 600.0)
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(30)])
    drain(journal)
    assert len(segments(tmp_path)) > 2
    monkeypatch.setattr(journal_reader, "USED_SECONDS", 0.0)
    assert read(journal, 10) == []
    assert len(segments(tmp_path)) <= 2
    journal.close(delete=True)


def test_rewind_ships_again_what_is_still_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a Redis that forgot, everything from there on that the journal still has is read again."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(journal_reader, "USED_SECONDS", 0.0)
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(30)])
    drain(journal)
    journal.rewind(30)
    assert read(journal, 10) == []
    journal.rewind(27)
    assert numbers(read(journal, 10)) == [28, 29, 30]
    journal.advance(30)
    journal.rewind(3)  # 1 to 24 went with their segments: nobody knows of them, so nothing is declared
    assert numbers(read(journal, 10)) == list(range(25, 31))
    journal.close(delete=True)
