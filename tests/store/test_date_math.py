"""Date math and the roundings of date histograms."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.store.date_math import calendar_rounding, fixed_rounding, parse_instant
from vigie.store.dates import DATE_DEFAULT, time_zone
from vigie.store.errors import StoreError

NOW = DATE_DEFAULT.parse("2026-03-31T10:30:45.5Z")
MILLIS = st.integers(min_value=0, max_value=4_000_000_000_000)
ZONES = st.sampled_from(
    ["UTC", "+05:30", "-03:00", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"]
)


def at(text: str, *, round_up: bool = False, zone: str = "UTC") -> str:
    """Return what an expression stands for, as text."""
    return DATE_DEFAULT.format(
        parse_instant(text, DATE_DEFAULT, NOW, round_up=round_up, zone=time_zone(zone))
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("now", "2026-03-31T10:30:45.500Z"),
        ("now-1h", "2026-03-31T09:30:45.500Z"),
        ("now+90s", "2026-03-31T10:32:15.500Z"),
        ("now-1d/d", "2026-03-30T00:00:00.000Z"),
        ("now-1M", "2026-02-28T10:30:45.500Z"),
        ("now+1y/y", "2027-01-01T00:00:00.000Z"),
        ("now/w", "2026-03-30T00:00:00.000Z"),
        ("now/M", "2026-03-01T00:00:00.000Z"),
        ("now/m-m", "2026-03-31T10:29:00.000Z"),
        ("2024-02-29||+1y", "2025-02-28T00:00:00.000Z"),
        ("2026-01-31T12:00:00Z||+1M/H", "2026-02-28T12:00:00.000Z"),
    ],
)
def test_steps_and_roundings(expression: str, expected: str) -> None:
    """Each step applies in turn; a month that is too short gives its last day."""
    assert at(expression) == expected


def test_rounding_up_ends_a_millisecond_before_the_next_unit() -> None:
    """With round_up a rounding goes to the unit's last millisecond."""
    assert at("now/d", round_up=True) == "2026-03-31T23:59:59.999Z"
    assert at("2026-03-31||/M", round_up=True) == "2026-03-31T23:59:59.999Z"


def test_rounding_in_a_zone() -> None:
    """A day is that of the zone, with its offset on that day."""
    assert at("2026-03-29T12:00:00Z||/d", zone="Europe/Paris") == "2026-03-28T23:00:00.000Z"
    assert at("2026-03-29T12:00:00Z||/d", round_up=True, zone="Europe/Paris") == "2026-03-29T21:59:59.999Z"


@pytest.mark.parametrize(
    "expression", ["now-", "now*1d", "now-1x", "now/q", "2026-01-01||+", "zork", True, None]
)
def test_what_cannot_be_read(expression: object) -> None:
    """Unknown operators, units and texts are a parse_exception."""
    with pytest.raises(StoreError) as refused:
        parse_instant(expression, DATE_DEFAULT, NOW)
    assert refused.value.error_type == "parse_exception"


@given(MILLIS, ZONES, st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "year"]))
def test_calendar_buckets_cover_time_without_overlap(millis: int, zone: str, unit: str) -> None:
    """A moment is in its bucket and before the next one, and a bucket's start is in itself."""
    rounding = calendar_rounding(unit, time_zone(zone))
    start = rounding.floor(millis)
    assert start <= millis < rounding.following(start)
    assert rounding.floor(start) == start


@given(MILLIS, ZONES, st.sampled_from(["5m", "90m", "1h", "12h", "1d", "7d", "1500ms"]))
def test_fixed_buckets_are_unions_of_grains(millis: int, zone: str, interval: str) -> None:
    """All moments of a grain have the same bucket, so that counts per grain can be added up."""
    rounding = fixed_rounding(interval, time_zone(zone))
    grain = (
        millis - rounding.grain_offset_ms
    ) // rounding.grain_ms * rounding.grain_ms + rounding.grain_offset_ms
    assert rounding.floor(grain) == rounding.floor(millis)
    assert rounding.floor(grain + rounding.grain_ms - 1) == rounding.floor(millis)


@given(MILLIS, ZONES, st.sampled_from(["second", "minute", "hour", "day", "week", "month", "year"]))
def test_calendar_buckets_are_unions_of_grains(millis: int, zone: str, unit: str) -> None:
    """The same holds for calendar units, where clocks change too."""
    rounding = calendar_rounding(unit, time_zone(zone))
    grain = (
        millis - rounding.grain_offset_ms
    ) // rounding.grain_ms * rounding.grain_ms + rounding.grain_offset_ms
    assert rounding.floor(grain) == rounding.floor(grain + rounding.grain_ms - 1) == rounding.floor(millis)


def test_following_crosses_a_change_of_clocks() -> None:
    """From one local midnight to the next there are 23 hours on the day when clocks go forward."""
    rounding = calendar_rounding("day", time_zone("Europe/Paris"))
    start = rounding.floor(int(dt.datetime(2026, 3, 29, 12, tzinfo=dt.UTC).timestamp() * 1000))
    assert rounding.following(start) - start == 23 * 3_600_000


@pytest.mark.parametrize("interval", ["day", "0d", "1M", "", "1.5h"])
def test_intervals_that_are_not_fixed(interval: str) -> None:
    """A fixed interval is a whole number of a fixed unit."""
    with pytest.raises(StoreError, match="fixed_interval"):
        fixed_rounding(interval, dt.UTC)
