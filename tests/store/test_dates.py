"""Formats: reading and writing instants."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.store.dates import (
    DATE_DEFAULT,
    MAX_DATE_NANOS,
    NANOS_DEFAULT,
    DateFormatError,
    date_format,
    from_datetime,
    time_zone,
    to_datetime,
)
from vigie.store.errors import StoreError

SECOND = 1_000_000_000


@given(st.integers(min_value=0, max_value=MAX_DATE_NANOS))
def test_nanoseconds_survive_writing_and_reading(instant: int) -> None:
    """Every instant of date_nanos is read back exactly from its text."""
    assert NANOS_DEFAULT.parse(NANOS_DEFAULT.format(instant)) == instant


@given(st.timedeltas(min_value=dt.timedelta(days=-700_000), max_value=dt.timedelta(days=2_900_000)))
def test_microseconds_are_those_of_python(since: dt.timedelta) -> None:
    """An ISO text of Python's is the same instant, before the epoch too."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + since
    instant = NANOS_DEFAULT.parse(moment.isoformat(timespec="microseconds"))
    assert instant == from_datetime(moment)
    assert to_datetime(instant) == moment


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_epoch_milliseconds_survive(millis: int) -> None:
    """epoch_millis writes and reads whole milliseconds, negative ones included."""
    formats = date_format("epoch_millis")
    assert formats.parse(str(millis)) == millis * 1_000_000
    assert formats.format(millis * 1_000_000) == str(millis)


@pytest.mark.parametrize(
    ("text", "down", "up"),
    [
        ("1970", 0, 86_399_999_999_999),
        ("1970-01-02", 86_400 * SECOND, 2 * 86_400 * SECOND - 1),
        ("1970-01-01T01", 3600 * SECOND, 7200 * SECOND - 1),
        ("1970-01-01T00:01Z", 60 * SECOND, 120 * SECOND - 1),
        ("1970-01-01T00:00:01", SECOND, 2 * SECOND - 1),
        ("1970-01-01T00:00:00.5", SECOND // 2, SECOND // 2),
        ("1970-01-01T00:00:00,25+00:30", SECOND // 4 - 1800 * SECOND, SECOND // 4 - 1800 * SECOND),
        ("1970-01-01T00:00:00-01", 3600 * SECOND, 3601 * SECOND - 1),
        ("5", 5_000_000, 5_999_999),
        ("5.25", 5_250_000, 5_259_999),
    ],
)
def test_missing_parts(text: str, down: int, up: int) -> None:
    """What is left out of a time is its start, or its end when rounding up."""
    assert DATE_DEFAULT.parse(text) == down
    assert DATE_DEFAULT.parse(text, round_up=True) == up


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-1-1", "2026-13-01", "2026-02-30", "2026-01-01T24:00:00Z", "2026-01-01 10:00", "٢٠٢٦"],
)
def test_what_is_no_date(text: str) -> None:
    """Other notations and impossible dates are refused."""
    with pytest.raises(DateFormatError):
        DATE_DEFAULT.parse(text)


def test_patterns() -> None:
    """Java's patterns of two-digit parts read and write; literals are literal."""
    formats = date_format("yyyy-MM-dd 'at' HH:mm:ss")
    instant = formats.parse("2026-11-20 at 10:30:45")
    assert formats.format(instant) == "2026-11-20 at 10:30:45"
    assert date_format("dd.MM.uuuu").format(instant) == "20.11.2026"
    assert date_format("strict_date").format(instant) == "2026-11-20"
    assert date_format("epoch_second").format(instant) == str(instant // SECOND)
    with pytest.raises(StoreError, match="Unknown pattern letter"):
        date_format("yyyy-MM-dd EEE")


def test_zones() -> None:
    """Offsets and regions are known; local texts are read in them; others are refused."""
    assert DATE_DEFAULT.parse("1970-01-01", zone=time_zone("+01:00")) == -3600 * SECOND
    assert DATE_DEFAULT.parse("2026-07-01T02:00", zone=time_zone("Europe/Paris")) == DATE_DEFAULT.parse(
        "2026-07-01"
    )
    assert DATE_DEFAULT.format(0, time_zone("-0330")) == "1969-12-31T20:30:00.000-03:30"
    with pytest.raises(StoreError, match="Unknown time-zone"):
        time_zone("Mars/Olympus")
