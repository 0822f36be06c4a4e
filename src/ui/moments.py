"""Times and durations as people read them."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from vigie.ui.language import Language
from vigie.ui.numbers import SPACE, number

_DECIMALS: Final = ((100.0, 0), (10.0, 1), (1.0, 2))
"""From a size on, so many decimals: three significant digits."""


def moment(timestamp: str, zone: ZoneInfo) -> str:
    """Return an ISO 8601 time as date and time of day to the millisecond in `zone`; itself if it is none."""
    try:
        when = datetime.fromisoformat(timestamp).astimezone(zone)
    except (ValueError, OverflowError):
        return timestamp
    return when.strftime("%Y-%m-%d %H:%M:%S.") + f"{when.microsecond // 1000:03d}"


def significant(language: Language, value: float) -> str:
    """Return `value` with three significant digits, and at most three decimals."""
    decimals = next((decimals for bound, decimals in _DECIMALS if abs(value) >= bound), 3)
    return number(language, value, decimals)


def milliseconds(language: Language, value: float) -> str:
    """Return a duration of `value` milliseconds."""
    return f"{significant(language, value)}{SPACE}ms"
