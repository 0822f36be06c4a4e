"""From a cell as somebody wrote it to the value that the API takes; what is not clear stays as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from vigie.schema import Feature

Cell = str | int | float | bool | None
"""A cell of a file: text (from CSV always), or what a spreadsheet knows it to be; None where it is empty."""

LONGEST_NUMBER: Final = 40
"""Characters; more are no number that anybody means."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
"""Whole numbers that every JSON parser reads as they are."""


def is_blank(cell: Cell) -> bool:
    """Whether nothing is in the cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def number_in(text: str, decimal_comma: bool) -> int | float | None:
    """Return the number that `text` is; None when it is none.

    Only digits with a sign, one decimal point (or comma, where `decimal_comma`) and an exponent:
    nothing that groups digits, no NaN, no infinity.
    """
    text = text.strip()
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text) or ("," in text and not decimal_comma):
        return None
    if text.lstrip("+-").isdigit():
        whole = int(text)
        return whole if _SMALLEST <= whole <= _LARGEST else None
    number = float(text.replace(",", "."))
    return number if math.isfinite(number) else None


def separators_in(text: str) -> str:
    """Return the decimal separator of a number: "." or ","; nothing when it has none or is no number."""
    if number_in(text, decimal_comma=True) is None:
        return ""
    return "," if "," in text else "." if "." in text else ""


def words_of(feature: Feature) -> dict[str, int]:
    """Return the words that the schema has for a binary feature's values, in lower case.

    A word's first letter stands for it where it is no other value's, in any language: M, F, H.
    """
    labels = {word.casefold(): value for value, text in feature.values.items() for word in (text.en, text.fr)}
    initials: dict[str, set[int]] = {}
    for label, value in labels.items():
        initials.setdefault(label[:1], set()).add(value)
    return {letter: min(owners) for letter, owners in initials.items() if len(owners) == 1} | labels


def reader_of(feature: Feature, decimal_comma: bool) -> Callable[[Cell], Cell]:
    """Return what makes a cell of this feature's column, not a blank one, a value for the API."""
    if feature.type == "category":
        return _category
    whole = feature.type != "number"
    words: Mapping[str, int] = words_of(feature)

    def read(cell: Cell) -> Cell:
        value = cell
        if isinstance(cell, str):
            text = cell.strip()
            number = number_in(text, decimal_comma)
            value = words.get(text.casefold(), text) if number is None else number
        if whole and isinstance(value, float) and value.is_integer():
            return int(value)  # 60.0 is 60 written in another way
        return value

    return read


def _category(cell: Cell) -> Cell:
    """A category is text; a spreadsheet may have kept 1 as a number."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell if isinstance(cell, bool) else str(cell)


def text_in(cell: Cell) -> Cell:
    """Return a cell of the subject's column: text without stray spaces; a whole number stays one."""
    return cell.strip() if isinstance(cell, str) else cell
