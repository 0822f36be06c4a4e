"""The promise is on the disk before the numbers it covers are used up, and is taken back at an orderly end."""

from __future__ import annotations

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
    recovered,
    segments,
    small_journal,
)

from vigie.telemetry.journal import promise as journal_promise
from vigie.telemetry.journal.promise import LEAST_AHEAD, Promise, boot_id
from vigie.telemetry.journal.reader import CRASHED
from vigie.telemetry.journal.segment import Segment
from vigie.telemetry.stream.items import Gap


def promised(path: Path) -> int | None:
    """The promise in a file."""
    segment = Segment.open(path)
    assert segment is not None
    found = segment.promised
    segment.close()
    return found


def restart_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the machine says that it was started anew."""
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")


def test_it_reaches_twice_as_far_as_the_last_one_was_used() -> None:
    """At rest the promise is short; one that was outrun is followed by one that lasts."""
    promise = Promise(1.0)
    promise.renew(0, 0.0)
    assert (promise.upto, promise.is_due(LEAST_AHEAD // 2 - 1)) == (LEAST_AHEAD, False)
    assert promise.is_due(LEAST_AHEAD // 2)
    promise.renew(10_000, 60.0)
    assert (promise.upto, promise.is_due(19_999), promise.is_due(20_000)) == (30_000, False, True)
    promise.renew(20_001, 70.0)
    promise.renew(20_002, 80.0)
    assert promise.upto == 20_002 + LEAST_AHEAD


def test_a_busy_process_renews_it_about_once_an_interval() -> None:
    """At 16,000 events/s it grows in a few steps to what two intervals use."""
    promise, high, renewals = Promise(1.0), 0, []
    promise.renew(0, 0.0)
    for milliseconds in range(10_000):
        high += 16
        if promise.is_due(high):
            promise.renew(high, milliseconds / 1000)
            renewals.append(milliseconds)
    assert len([at for at in renewals if at < 1000]) <= 6
    assert 8 <= len([at for at in renewals if at >= 1000]) <= 10
    assert 15_000 <= promise.upto - high <= 33_000


def test_one_large_batch_does_not_promise_the_numbers_of_a_busy_hour() -> None:
    """A thousand numbers at once, at a human rate: the promise stays of their order."""
    promise = Promise(1.0)
    promise.renew(0, 0.0)
    promise.renew(1_000, 60.0)
    promise.renew(2_000, 60.001)
    assert promise.upto - 2_000 <= 4 * 2_000


def test_this_machine_says_when_it_was_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One start has one id; a system that has none says nothing."""
    assert boot_id() == boot_id()
    monkeypatch.setattr(journal_promise, "_BOOT", tmp_path / "none")
    assert boot_id() == ""


def test_a_promise_is_synced_though_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sync holds a promise, and one that runs out is renewed and synced, with all events shipped."""
    journal = small_journal(tmp_path)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.maintain()
    assert (len(synced), promised(segments(tmp_path)[0])) == (1, LEAST_AHEAD)
    journal.append([event(n) for n in range(LEAST_AHEAD // 2 - 1)])
    drain(journal)
    assert not journal.wanted.is_set()
    journal.append([event("one more")])
    drain(journal)
    assert journal.wanted.is_set()
    journal.maintain()
    again = promised(segments(tmp_path)[0])
    assert (len(synced), again) == (2, journal._promise.upto)
    assert again is not None
    assert again >= LEAST_AHEAD // 2 + LEAST_AHEAD
    journal.close(delete=True)


def test_a_promise_moves_with_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is shipped and removed takes no promise with it: the next one holds it, synced."""
    journal = small_journal(tmp_path)
    journal.maintain()
    journal.append([event(n, filling=FILLING) for n in range(13)])
    drain(journal)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.maintain()
    assert (len(synced), promised(segments(tmp_path)[0])) == (1, LEAST_AHEAD)
    journal.close(delete=True)


def test_what_redis_has_beyond_the_journal_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the end that the machine took, only what did not reach Redis either is declared."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(10)])
    die(journal)
    restart_the_machine(monkeypatch)
    dead = recovered(tmp_path)
    dead.rewind(40)
    dead.advance(40)
    assert drain(dead) == [Gap(41, LEAST_AHEAD, CRASHED)]
    dead.close(delete=True)


@pytest.mark.parametrize("boot", ["", "the same"])
def test_without_a_crash_nothing_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    """On a machine that did not stop, or does not say, a killed process costs no number."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(10)])
    die(journal)
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: boot and boot_id())
    dead = recovered(tmp_path)
    items = drain(dead)
    assert (numbers(items), gaps(items)) == (list(range(1, 11)), [])
    dead.close(delete=True)


def test_an_orderly_end_takes_the_promise_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ended with Redis away owes its events and no more, also after the machine's restart."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(20)])
    journal.close(delete=False)
    restart_the_machine(monkeypatch)
    dead = recovered(tmp_path)
    items = drain(dead)
    assert (numbers(items), gaps(items)) == (list(range(1, 21)), [])
    dead.close(delete=True)


def test_numbers_beyond_the_promise_are_not_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that came faster than the disk synced are taken all the same; a crash that takes them is declared
    as far as the promise reached, and no further."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(LEAST_AHEAD + 100)])
    assert (journal.high, journal.dropped, journal.wanted.is_set()) == (LEAST_AHEAD + 100, 0, True)
    die(journal)
    (path,) = segments(tmp_path)
    content = path.read_bytes()
    header = content[:144] + bytes(8) + content[152:4096]  # what is newer than the promise is gone
    path.write_bytes(header + bytes(len(content) - len(header)))
    restart_the_machine(monkeypatch)
    dead = recovered(tmp_path)
    assert drain(dead) == [Gap(1, LEAST_AHEAD, CRASHED)]
    dead.close(delete=True)
