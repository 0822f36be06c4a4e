"""Lengths of time as people say them: the largest unit that fits."""

from __future__ import annotations

from typing import Final

from vigie.ui.language import Language
from vigie.ui.moments import significant
from vigie.ui.numbers import SPACE

_UNITS: Final[tuple[tuple[float, str, str], ...]] = (
    (172_800_000.0, "days", "jours"),
    (3_600_000.0, "h", "h"),
    (60_000.0, "min", "min"),
    (1_000.0, "s", "s"),
    (0.0, "ms", "ms"),
)
"""From so many milliseconds on, the unit in English and French; days from two of them on."""
_LENGTHS: Final = {"days": 86_400_000.0, "h": 3_600_000.0, "min": 60_000.0, "s": 1_000.0, "ms": 1.0}


def span(language: Language, milliseconds: float) -> str:
    """Return a length of time of so many milliseconds with its unit."""
    if not milliseconds:
        return f"0{SPACE}ms"
    english, french = next((en, fr) for least, en, fr in _UNITS if milliseconds >= least or not least)
    unit = french if language == "fr" else english
    return f"{significant(language, milliseconds / _LENGTHS[english])}{SPACE}{unit}"
