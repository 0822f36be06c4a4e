"""Date math (`now-5m/d`), and the roundings that date histograms use."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from vigie.store.dates import (
    NANOS_PER_MS,
    NANOS_PER_SECOND,
    DateFormat,
    DateFormatError,
    from_datetime,
    to_datetime,
)
from vigie.store.errors import ShardError, StoreError

_STEP = re.compile(r"(?P<sign>[+-])(?P<count>\d+)?(?P<unit>[A-Za-z])|/(?P<round>[A-Za-z])", re.ASCII)
_MATH_UNITS = {
    "y": "year",
    "M": "month",
    "w": "week",
    "d": "day",
    "h": "hour",
    "H": "hour",
    "m": "minute",
    "s": "second",
}
_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_FIXED_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CALENDAR_UNITS = {
    **{name: name for name in ("second", "minute", "hour", "day", "week", "month", "quarter", "year")},
    **{"1s": "second", "1m": "minute", "1h": "hour", "1d": "day", "1w": "week", "1M": "month"},
    **{"1q": "quarter", "1y": "year"},
}
# Offsets of today's time zones are multiples of a quarter of an hour.
_ZONE_GRAIN_MS = 900_000


def parse_instant(
    value: object, formats: DateFormat, now: int, *, round_up: bool = False, zone: dt.tzinfo = dt.UTC
) -> int:
    """Return the instant that a date, a number or a date math expression stands for.

    With `round_up`, missing parts and roundings go to the end of their unit, as for `lte` and `gt`.
    Raises a ShardError (parse_exception) for a text that is none of these.
    """
    text = value if isinstance(value, str) else _number_text(value)
    if text.startswith("now"):
        return _apply_math(now, text[3:], round_up, zone)
    anchor, separator, math = text.partition("||")
    try:
        instant = formats.parse(anchor, round_up=round_up and not separator, zone=zone)
    except DateFormatError as error:
        raise ShardError("parse_exception", f"{error}: [{error}]") from error
    return _apply_math(instant, math, round_up, zone)


def _number_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ShardError("parse_exception", f"failed to parse date field [{value}]")
    return f"{value:.9f}" if isinstance(value, float) and not value.is_integer() else str(int(value))


def _apply_math(instant: int, math: str, round_up: bool, zone: dt.tzinfo) -> int:
    position = 0
    while position < len(math):
        match = _STEP.match(math, position)
        if match is None:
            raise ShardError("parse_exception", f"operator not supported for date math [{math}]")
        letter = match["unit"] or match["round"]
        if letter not in _MATH_UNITS:
            raise ShardError("parse_exception", f"unit [{letter}] not supported for date math [{math}]")
        unit = _MATH_UNITS[letter]
        if match["round"]:
            instant = floor_to(instant, unit, zone)
            if round_up:
                # Elasticsearch goes to the last millisecond of the unit, also for date_nanos.
                instant = add_units(instant, unit, 1, zone) - NANOS_PER_MS
        else:
            count = int(match["count"] or 1)
            instant = add_units(instant, unit, -count if match["sign"] == "-" else count, zone)
        position = match.end()
    return instant


def add_units(instant: int, unit: str, count: int, zone: dt.tzinfo) -> int:
    """Return the instant moved by so many units; days and longer keep the local time of day."""
    if unit in ("second", "minute", "hour"):
        return instant + count * _SECONDS[unit] * NANOS_PER_SECOND
    local = to_datetime(instant, zone)
    below_microsecond = instant % 1000
    if unit in _SECONDS:
        moved = local + dt.timedelta(seconds=count * _SECONDS[unit])
    else:
        months = local.year * 12 + local.month - 1 + count * {"month": 1, "quarter": 3, "year": 12}[unit]
        moved = _clamped(local, months // 12, months % 12 + 1)
    return from_datetime(moved.astimezone(dt.UTC)) + below_microsecond


def _clamped(local: dt.datetime, year: int, month: int) -> dt.datetime:
    for day in range(local.day, 27, -1):
        try:
            return local.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return local.replace(year=year, month=month)


def floor_to(instant: int, unit: str, zone: dt.tzinfo) -> int:
    """Return the start of the calendar unit that holds the instant, in that zone; weeks start on Monday."""
    local = to_datetime(instant, zone)
    if unit in ("second", "minute", "hour"):
        offset = _offset_nanos(local)
        span = _SECONDS[unit] * NANOS_PER_SECOND
        return (instant + offset) // span * span - offset
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit == "week":
        day -= dt.timedelta(days=day.weekday())
    elif unit == "month":
        day = day.replace(day=1)
    elif unit == "quarter":
        day = day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
    elif unit == "year":
        day = day.replace(day=1, month=1)
    return from_datetime(day.astimezone(dt.UTC))


def _offset_nanos(local: dt.datetime) -> int:
    offset = local.utcoffset() or dt.timedelta()
    return int(offset.total_seconds()) * NANOS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a date histogram cuts time; keys are milliseconds since the epoch.

    `grain_ms` and `grain_offset_ms` describe an even grid that every bucket of the rounding is a union of, so
    that counts per grain can be added up to buckets.
    """

    floor: Callable[[int], int]
    following: Callable[[int], int]
    grain_ms: int
    grain_offset_ms: int = 0


def fixed_rounding(interval: str, zone: dt.tzinfo) -> Rounding:
    """Return the rounding of a `fixed_interval` such as `30s` or `1d`. Raises for another text."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", interval, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise StoreError(
            400,
            "x_content_parse_exception",
            f"[date_histogram] failed to parse field [fixed_interval]: [{interval}] is not a time value",
        )
    span_ms = int(match[1]) * _FIXED_MS[match[2]]

    def floor(key_ms: int) -> int:
        offset_ms = _offset_nanos(to_datetime(key_ms * NANOS_PER_MS, zone)) // NANOS_PER_MS
        return (key_ms + offset_ms) // span_ms * span_ms - offset_ms

    def following(key_ms: int) -> int:
        candidate = floor(key_ms + span_ms)
        return candidate if candidate > key_ms else key_ms + span_ms

    if isinstance(zone, dt.timezone):
        offset_ms = _offset_nanos(to_datetime(0, zone)) // NANOS_PER_MS
        return Rounding(floor, lambda key_ms: key_ms + span_ms, span_ms, -offset_ms % span_ms)
    return Rounding(floor, following, gcd(span_ms, _ZONE_GRAIN_MS))


def calendar_rounding(interval: str, zone: dt.tzinfo) -> Rounding:
    """Return the rounding of a `calendar_interval` such as `day` or `1M`. Raises for another text."""
    unit = _CALENDAR_UNITS.get(interval)
    if unit is None:
        raise StoreError(
            400,
            "x_content_parse_exception",
            f"[date_histogram] failed to parse field [calendar_interval]: The supplied interval [{interval}] "
            "could not be parsed as a calendar interval.",
        )

    def floor(key_ms: int) -> int:
        return floor_to(key_ms * NANOS_PER_MS, unit, zone) // NANOS_PER_MS

    def following(key_ms: int) -> int:
        return add_units(key_ms * NANOS_PER_MS, unit, 1, zone) // NANOS_PER_MS

    if unit in ("second", "minute", "hour", "day") and zone is dt.UTC:
        return Rounding(floor, following, _SECONDS[unit] * 1000)
    if isinstance(zone, dt.timezone) and unit not in ("second", "minute"):
        grain_ms = _FIXED_MS["h" if unit == "hour" else "d"]
        offset_ms = _offset_nanos(to_datetime(0, zone)) // NANOS_PER_MS
        return Rounding(floor, following, grain_ms, -offset_ms % grain_ms)
    return Rounding(floor, following, gcd(_SECONDS.get(unit, 86_400) * 1000, _ZONE_GRAIN_MS))
