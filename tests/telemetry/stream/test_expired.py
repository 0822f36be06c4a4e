"""The record of dropped indices: repeated without harm, never made smaller."""

from __future__ import annotations

import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.stream.expired import Expired, ExpiredRecord
from vigie.telemetry.stream.stream import connect

INDEX = "ml-api-logs-2026.10.01"


@pytest.fixture
def record(redis_settings: RedisSettings) -> ExpiredRecord:
    """An empty record."""
    return ExpiredRecord(connect(redis_settings))


def test_recording_again_changes_nothing(record: ExpiredRecord) -> None:
    """A run that died before the drop is repeated."""
    held = [Expired(INDEX, "u1", "p", 5, 1, 9), Expired(INDEX, "u1", "q", 2, 3, 4)]
    record.add(INDEX, "u1", held)
    record.add(INDEX, "u1", held)
    assert record.read() == held


def test_who_saw_less_takes_nothing_back(record: ExpiredRecord) -> None:
    """Two workers at once: the larger count and the wider range stay."""
    record.add(INDEX, "u1", [Expired(INDEX, "u1", "p", 5, 2, 9)])
    record.add(INDEX, "u1", [Expired(INDEX, "u1", "p", 3, 1, 7)])
    assert record.read() == [Expired(INDEX, "u1", "p", 5, 1, 9)]


def test_an_index_made_again_is_recorded_beside_the_first(record: ExpiredRecord) -> None:
    """The same name with another uuid is another index."""
    record.add(INDEX, "u1", [Expired(INDEX, "u1", "p", 5, 1, 5)])
    record.add(INDEX, "u2", [Expired(INDEX, "u2", "p", 1, 6, 6)])
    assert record.read() == [Expired(INDEX, "u1", "p", 5, 1, 5), Expired(INDEX, "u2", "p", 1, 6, 6)]


def test_an_empty_index_is_recorded_without_producers(record: ExpiredRecord) -> None:
    """Nothing was in it, and nothing is counted."""
    record.add(INDEX, "u1", [])
    assert record.read() == []
