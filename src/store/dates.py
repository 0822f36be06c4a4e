"""Dates as Elasticsearch reads and writes them: formats, date math, rounding to calendar units.

All instants are integers of nanoseconds since 1970-01-01T00:00:00Z unless a name says `_ms`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vigie.store.errors import illegal_argument

NANOS_PER_MS = 1_000_000
NANOS_PER_SECOND = 1_000_000_000
MAX_DATE_NANOS = 2**63 - 1
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_ZONE = r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?"
_SECONDS = r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)"
_DATE = r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})(?:T%s)?)?)?"
_OPTIONAL_TIME = re.compile(
    _DATE % rf"(?:(?P<hour>\d{{2}})(?::(?P<minute>\d{{2}}){_SECONDS}?)?{_ZONE})?", re.ASCII
)
_OPTIONAL_TIME_NANOS = re.compile(
    _DATE % rf"(?:(?P<hour>\d{{2}}):(?P<minute>\d{{2}}){_SECONDS}{_ZONE})?", re.ASCII
)
_EPOCH_NUMBER = re.compile(r"(?P<sign>-?)(?P<whole>\d{1,18})(?:\.(?P<part>\d{1,9}))?", re.ASCII)
_PATTERN_TOKENS = {
    "yyyy": ("year", r"\d{4}", "%Y"),
    "uuuu": ("year", r"\d{4}", "%Y"),
    "MM": ("month", r"\d{2}", "%m"),
    "dd": ("day", r"\d{2}", "%d"),
    "HH": ("hour", r"\d{2}", "%H"),
    "mm": ("minute", r"\d{2}", "%M"),
    "ss": ("second", r"\d{2}", "%S"),
}
_PATTERN = re.compile(r"yyyy|uuuu|MM|dd|HH|mm|ss|'([^']*)'|([^A-Za-z])|(.)", re.DOTALL)
_REGEXES = {
    "strict_date_optional_time": _OPTIONAL_TIME,
    "date_optional_time": _OPTIONAL_TIME,
    "strict_date_optional_time_nanos": _OPTIONAL_TIME_NANOS,
    "strict_date": re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})", re.ASCII),
}
_EPOCH_UNITS = {"epoch_millis": NANOS_PER_MS, "epoch_second": NANOS_PER_SECOND}


class DateFormatError(ValueError):
    """A text is not a date in the wanted format."""


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One or several alternatives of Elasticsearch's date formats, as in `a||b`."""

    text: str

    def parse(self, value: str, *, round_up: bool = False, zone: dt.tzinfo = dt.UTC) -> int:
        """Return the instant; with `round_up`, a time of day that is left out is the day's last.

        Raises DateFormatError when no alternative fits.
        """
        for name in self.text.split("||"):
            instant = _parse_one(name, value, round_up, zone)
            if instant is not None:
                return instant
        raise DateFormatError(f"failed to parse date field [{value}] with format [{self.text}]")

    def format(self, instant: int, zone: dt.tzinfo = dt.UTC) -> str:
        """Write the instant in the first alternative."""
        name = self.text.split("||", maxsplit=1)[0]
        if name in _EPOCH_UNITS:
            return str(instant // _EPOCH_UNITS[name])
        moment = to_datetime(instant, zone)
        if name in ("strict_date", "strict_date_optional_time", "date_optional_time"):
            return _iso(moment, instant - instant % NANOS_PER_MS, date_only=name == "strict_date")
        if name == "strict_date_optional_time_nanos":
            return _iso(moment, instant)
        return moment.strftime(_compiled_pattern(name)[1])


DATE_DEFAULT = DateFormat("strict_date_optional_time||epoch_millis")
NANOS_DEFAULT = DateFormat("strict_date_optional_time_nanos||epoch_millis")


def date_format(text: str) -> DateFormat:
    """Return the format of that text. Raises illegal_argument_exception for one this store does not know."""
    for name in text.split("||"):
        if name not in _REGEXES and name not in _EPOCH_UNITS:
            _compiled_pattern(name)
    return DateFormat(text)


@lru_cache(maxsize=256)
def time_zone(name: str) -> dt.tzinfo:
    """Return the zone of an offset (`+01:00`) or a region (`Europe/Paris`)."""
    if name in ("Z", "UTC"):
        return dt.UTC
    if re.fullmatch(r"[+-]\d{2}(:?\d{2})?", name, re.ASCII):
        return dt.timezone(_offset(name))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise illegal_argument(f"Unknown time-zone ID: {name}") from error


def to_datetime(instant: int, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """Return the instant as a date-time of that zone, cut to microseconds."""
    return (_EPOCH + dt.timedelta(microseconds=instant // 1000)).astimezone(zone)


def from_datetime(moment: dt.datetime) -> int:
    """Return the instant of an aware date-time."""
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _iso(moment: dt.datetime, instant: int, *, date_only: bool = False) -> str:
    if date_only:
        return f"{moment:%Y-%m-%d}"
    digits = f"{instant % NANOS_PER_SECOND:09d}"
    fraction = digits[:3] + digits[3:].rstrip("0")
    offset = moment.isoformat()[-6:] if moment.utcoffset() else "Z"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}{offset}"


def _parse_one(name: str, value: str, round_up: bool, zone: dt.tzinfo) -> int | None:
    unit = _EPOCH_UNITS.get(name)
    if unit is not None:
        return _parse_epoch(value, unit, round_up)
    expression = _REGEXES.get(name) or _compiled_pattern(name)[0]
    match = expression.fullmatch(value)
    if match is None:
        return None
    try:
        return _instant_of(match.groupdict(), round_up, zone)
    except ValueError:
        return None


def _parse_epoch(value: str, unit: int, round_up: bool) -> int | None:
    match = _EPOCH_NUMBER.fullmatch(value)
    if match is None:
        return None
    digits = len(str(unit)) - 1
    part = match["part"]
    below = (part or ("9" * digits if round_up else ""))[:digits].ljust(digits, "9" if round_up else "0")
    instant = int(match["whole"]) * unit + int(below)
    return -instant if match["sign"] else instant


def _instant_of(parts: dict[str, str | None], round_up: bool, zone: dt.tzinfo) -> int:
    year = int(parts.get("year") or 1970)
    # Rounding up ends the day; a missing month or day is the first either way, as in Elasticsearch.
    month = int(parts.get("month") or 1)
    day = int(parts.get("day") or 1)
    hour = int(parts.get("hour") or (23 if round_up else 0))
    minute = int(parts.get("minute") or (59 if round_up else 0))
    second = int(parts.get("second") or (59 if round_up else 0))
    fraction = parts.get("fraction")
    nanos = int(fraction.ljust(9, "0")) if fraction else (999_999_999 if round_up else 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(parts)
    days = dt.date(year, month, day).toordinal() - _EPOCH_ORDINAL
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    given = parts.get("zone")
    if given not in (None, "Z"):
        seconds -= int(_offset(given or "").total_seconds())
    elif given is None and zone is not dt.UTC:
        local = dt.datetime(year, month, day, hour, minute, second, tzinfo=zone)
        seconds -= int((local.utcoffset() or dt.timedelta()).total_seconds())
    return seconds * NANOS_PER_SECOND + nanos


def _offset(text: str) -> dt.timedelta:
    digits = text[1:].replace(":", "").ljust(4, "0")
    span = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -span if text[0] == "-" else span


@lru_cache(maxsize=64)
def _compiled_pattern(name: str) -> tuple[re.Pattern[str], str]:
    """Return a Java date pattern as an expression to read with and a strftime format to write with."""
    expression, output = "", ""
    for match in _PATTERN.finditer(name):
        token = match[0]
        if token in _PATTERN_TOKENS:
            group, digits, code = _PATTERN_TOKENS[token]
            expression += f"(?P<{group}>{digits})"
            output += code
        elif match[3] is not None:
            raise illegal_argument(
                f"Invalid format: [{name}]: Unknown pattern letter or format name: {token}"
            )
        else:
            literal = match[1] if match[1] is not None else token
            expression += re.escape(literal)
            output += literal.replace("%", "%%")
    return re.compile(expression, re.ASCII), output
