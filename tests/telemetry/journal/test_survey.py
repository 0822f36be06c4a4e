"""The survey of the journals: what is not shipped, seen without touching anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.telemetry.events import (
    FILLING,
    die,
    drain,
    event,
    gaps,
    read,
    recovered,
    segments,
    small_journal,
)

from vigie.telemetry.journal.promise import LEAST_AHEAD
from vigie.telemetry.journal.reader import CRASHED, DAMAGED
from vigie.telemetry.journal.survey import survey
from vigie.telemetry.stream.items import Gap


def test_without_journals_there_is_nothing(tmp_path: Path) -> None:
    """A host on which nothing ran has nothing pending."""
    assert survey(tmp_path) == []
    journal = small_journal(tmp_path)
    assert survey(tmp_path) == []
    journal.close(delete=True)


def test_a_living_journal_is_seen_as_it_is(tmp_path: Path) -> None:
    """What is appended is seen at once; what is shipped counts no more, over several segments."""
    journal = small_journal(tmp_path)
    for _ in range(30):
        journal.append([event(FILLING)])
    (found,) = survey(tmp_path)
    assert (found.producer, found.high, found.unshipped, found.gaps) == (journal.producer, 30, ((1, 30),), ())
    assert found.attributes["role"] == "api"
    read(journal, 20)
    journal.advance(20)
    (found,) = survey(tmp_path)
    assert (found.high, found.unshipped[-1][1]) == (30, 30)
    assert found.unshipped[0][0] <= 21
    journal.close(delete=True)
    assert survey(tmp_path) == []


def test_declared_drops_are_seen(tmp_path: Path) -> None:
    """Numbers that a full journal dropped are told with their reason."""
    journal = small_journal(tmp_path)
    for _ in range(200):
        journal.append([event(FILLING)])
    (found,) = survey(tmp_path)
    assert found.high == 200
    (gap,) = found.gaps
    assert gap == Gap(found.unshipped[-1][1] + 1, 200, "journal full")
    journal.close(delete=True)


def test_a_dead_journal_is_left_to_whoever_ships_it(tmp_path: Path) -> None:
    """Looking takes no lock and removes nothing."""
    journal = small_journal(tmp_path)
    journal.append([event("a"), event("b")])
    die(journal)
    (found,) = survey(tmp_path)
    assert found.unshipped == ((1, 2),)
    dead = recovered(tmp_path)
    assert survey(tmp_path)[0].unshipped == ((1, 2),)
    assert [item.number for item in read(dead, 10)] == [1, 2]  # type: ignore[union-attr]  # no gap among them
    dead.close(delete=True)


def test_the_loss_of_a_machine_is_seen_before_anybody_declares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a restart of the machine, what the next process will declare is told as it will be declared."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(30)])
    die(journal)
    segments(tmp_path)[1].unlink()
    (found,) = survey(tmp_path)
    assert (found.unshipped, found.gaps) == (((1, 12), (25, 30)), ())
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")
    (found,) = survey(tmp_path)
    assert (found.high, found.unshipped) == (LEAST_AHEAD, ((1, 12), (25, 30)))
    assert found.gaps == (Gap(13, 24, DAMAGED), Gap(31, LEAST_AHEAD, CRASHED))
    dead = recovered(tmp_path)
    assert tuple(gaps(drain(dead))) == found.gaps
    dead.close(delete=True)
