"""Numbers as people write them: 12,345.6 in English, 12 345,6 in French."""

from __future__ import annotations

from typing import Final

from vigie.ui.language import Language

NARROW_SPACE: Final = "\u202f"
"""Groups the digits in French, and does not break at the end of a line."""
SPACE: Final = "\u00a0"


def number(language: Language, value: float, digits: int = 0) -> str:
    """Return `value` with `digits` decimals and grouped thousands."""
    written = f"{value:,.{digits}f}"
    if language == "fr":
        return written.replace(",", NARROW_SPACE).replace(".", ",")
    return written


def percent(language: Language, share: float, digits: int = 1) -> str:
    """Return a `share` (0-1) in percent."""
    sign = f"{SPACE}%" if language == "fr" else "%"
    return number(language, 100 * share, digits) + sign
