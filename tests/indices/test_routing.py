"""Routing epochs: an entry goes to the same index however often it is delivered, whatever the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions

from vigie.indices.mappings import INDICES
from vigie.indices.routing import Epoch, Epochs, alias_of, end_of, epoch_of
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Stream

WHEN = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream with its group."""
    found = Stream.open(redis_settings)
    found.ensure_group()
    return found


def epochs(
    stream: Stream, settings_for: Callable[..., Settings], prefix: str = "a-", days: int = 90
) -> Epochs:
    """The table as a worker with these settings sees it."""
    return Epochs(stream.client, settings_for(ES_INDEX_PREFIX=prefix, RETENTION_DAYS=days).store)


def test_indices_are_daily_and_monthly_for_long_retention() -> None:
    """Above 300 days of retention an index holds a month, so that a node's shards suffice."""
    assert Epoch("0-0", "", "day").physical("ml-api-logs", WHEN) == "ml-api-logs-2026.11.20"
    assert Epoch("0-0", "a-", "month").physical("ml-api-logs", WHEN) == "a-ml-api-logs-2026.11"


def test_the_first_settings_hold_for_everything(
    stream: Stream, settings_for: Callable[..., Settings]
) -> None:
    """A stream that was filled before any worker ran is indexed by the first worker's settings."""
    stream.write(PRODUCER, predictions(1, 3))
    stream.read("earlier", 2, 0)
    table = epochs(stream, settings_for)
    assert table.read() == []
    assert table.announce()
    assert not table.announce()
    assert table.read() == [Epoch("0-0", "a-", "day")]


def test_new_settings_hold_for_what_is_not_delivered(
    stream: Stream, settings_for: Callable[..., Settings]
) -> None:
    """Entries in flight when the settings changed keep their index when they are delivered again."""
    stream.write(PRODUCER, predictions(1, 3))
    epochs(stream, settings_for).announce()
    first, second = stream.read("worker", 2, 0)
    table = epochs(stream, settings_for, "b-", 365)
    assert table.announce()
    (third,) = stream.read("worker", 1, 0)
    found = table.read()
    assert [epoch_of(entry.id, found).prefix for entry in (first, second, third)] == ["a-", "a-", "b-"]
    assert epoch_of(third.id, found).granularity == "month"


def test_settings_under_which_nothing_was_delivered_leave_no_trace(
    stream: Stream, settings_for: Callable[..., Settings]
) -> None:
    """Workers that were only started and stopped do not grow the table."""
    for prefix in ("a-", "b-", "c-"):
        epochs(stream, settings_for, prefix).announce()
    assert [epoch.prefix for epoch in epochs(stream, settings_for).read()] == ["c-"]


def test_an_entry_before_every_epoch_is_an_error() -> None:
    """No index is guessed."""
    with pytest.raises(LookupError, match="no routing epoch"):
        epoch_of("5-0", [Epoch("7-0", "", "day")])


@pytest.mark.parametrize(
    ("physical", "end", "alias"),
    [
        ("ml-api-logs-2026.12.31", datetime(2027, 1, 1, tzinfo=UTC), "ml-api-logs"),
        ("x-ml-api-perfs-2026.12", datetime(2027, 1, 1, tzinfo=UTC), "ml-api-perfs"),
        ("ml-api-perfs-2028.02.29", datetime(2028, 3, 1, tzinfo=UTC), "ml-api-perfs"),
        ("ml-api-perfs-2026.02.29", None, "ml-api-perfs"),
        ("ml-api-logs-2026.00", None, "ml-api-logs"),
        ("ml-api-logs-2026.13", None, "ml-api-logs"),
        ("ml-api-logs", None, "ml-api-logs"),
        ("ml-api-alerts-2026.12", datetime(2027, 1, 1, tzinfo=UTC), None),
    ],
)
def test_a_name_tells_its_end_and_its_alias(physical: str, end: datetime | None, alias: str | None) -> None:
    """Retention goes by the index's own date, whatever the granularity is now."""
    assert end_of(physical) == end
    assert alias_of(physical, INDICES) == alias
