"""How the cells of a survey are understood: numbers, categories, and the many ways to write yes and no.

A yes/no column is coded by words (YES/NO, Y/N, TRUE/FALSE, or the names that the schema gives the two
values, whole or by their initial, such as M and F) or by numbers, 0/1 (1 is yes) or 1/2 (2 is yes). Which
numbers is decided per column: a 0 in it means 0/1, a 2 means 1/2. A column of nothing but 1s shows neither;
it takes the coding that the other yes/no columns of the file show, and is refused when they show none, or
both. A column whose two values have names of their own (such as female and male) knows no 1/2, since no
convention says which is which; nothing but 1s in it is 0/1 unless the file's other columns are 1/2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from vigie.errors import VigieError
from vigie.schema import Feature, Target, Value

Coding = Literal["0/1", "1/2"]
Decoder = Callable[[str, int], Value]
"""(cell, row number) → value; raises SurveyError."""

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
YES_NO_WORDS = {"yes": 1, "no": 0, "y": 1, "n": 0, "true": 1, "false": 0}


class SurveyError(VigieError):
    """A survey does not fit; the message names the file, the column and the row."""


def evidence(cells: set[str]) -> Coding | None:
    """Return the number coding that the distinct `cells` of a yes/no column show, None when in doubt."""
    numbers = {number for cell in cells if (number := _number(cell)) is not None}
    if 0 in numbers:
        return "0/1"
    return "1/2" if 2 in numbers else None


def decoder_for(
    feature: Feature, column: Sequence[tuple[int, str]], codings: frozenset[Coding], file: Path
) -> Decoder:
    """Return the decoder of a feature's `column`, the (row number, cell) pairs of the survey `file`.

    `codings` are the number codings that the file's yes/no columns show. Raises SurveyError when the
    column's own coding cannot be told.
    """
    match feature.type:
        case "binary":
            words = _value_words(feature) if feature.values else YES_NO_WORDS
            numbers = _binary_numbers(feature.name, column, codings, file, named=bool(feature.values))
            return _coded(feature.name, words, numbers, file)
        case "category":
            categories = {category.casefold(): category for category in feature.categories}
            return _coded(feature.name, categories, {}, file)
        case _:
            return _numeric(feature, file)


def target_decoder(
    target: Target, column: Sequence[tuple[int, str]], codings: frozenset[Coding], file: Path
) -> Decoder:
    """Return the decoder of the target's `column` to class labels.

    The labels are understood in any case; of two classes, 1/0 and 2/1 too, as in a yes/no column.
    Raises SurveyError when the column's coding cannot be told.
    """
    labels = {label.casefold(): label for label in target.classes}
    if len(target.classes) > 2:
        return _coded(target.name, labels, {}, file)
    numbers = _binary_numbers(target.name, column, codings, file, named=False)
    return _coded(
        target.name, labels, {number: target.classes[value] for number, value in numbers.items()}, file
    )


def _number(cell: str) -> float | None:
    return float(cell) if NUMBER.fullmatch(cell) else None


def _value_words(feature: Feature) -> dict[str, int]:
    """Return the names of the two values, and their initials where these differ, in each language."""
    words: dict[str, int] = {}
    for language in ("en", "fr"):
        names = {value: text.in_language(language).casefold() for value, text in feature.values.items()}
        words |= {name: value for value, name in names.items()}
        initials = {name[0]: value for value, name in names.items()}
        if len(initials) == len(names) and all(words.get(i, v) == v for i, v in initials.items()):
            words |= initials
    return words


def _binary_numbers(
    name: str, column: Sequence[tuple[int, str]], codings: frozenset[Coding], file: Path, *, named: bool
) -> dict[float, int]:
    """Return number → value for the coding of the column; empty when it holds no number to decode."""
    first_row = {number: row for row, cell in reversed(column) if (number := _number(cell)) is not None}
    if not first_row:
        return {}
    coding = evidence({cell for _, cell in column})
    if coding is None and named and "1/2" not in codings:
        coding = "0/1"
    if coding is None and first_row.keys() == {1}:
        if len(codings) != 1:
            raise SurveyError(
                f"{file}, column {name}, row {first_row[1]}: every number in it is 1, which is yes beside 0 "
                "and no beside 2, and the other columns do not tell; write it as words"
            )
        (coding,) = codings
    if named and coding == "1/2":
        row = first_row.get(2, first_row.get(1))
        raise SurveyError(
            f"{file}, column {name}, row {row}: coded 1/2, and nothing says which is which; "
            "write it as 0/1 or words"
        )
    return {1: 0, 2: 1} if coding == "1/2" else {0: 0, 1: 1}


def _coded(name: str, words: Mapping[str, Value], numbers: Mapping[float, Value], file: Path) -> Decoder:
    def decode(cell: str, row: int) -> Value:
        number = _number(cell)
        value = words.get(cell.casefold())
        if value is None and number is not None:
            value = numbers.get(number)
        if value is None:
            raise _refusal(file, name, row, cell, f"one of {', '.join([*words, *map(_plain, numbers)])}")
        return value

    return decode


def _numeric(feature: Feature, file: Path) -> Decoder:
    low, high = feature.bounds
    kind = "a whole number" if feature.type == "integer" else "a number"

    def decode(cell: str, row: int) -> Value:
        number = _number(cell)
        fits = number is not None and (low is None or number >= low) and (high is None or number <= high)
        if number is None or not fits or (feature.type == "integer" and not number.is_integer()):
            wanted = f"{kind} from {_plain(low)} to {_plain(high)}"
            raise _refusal(file, feature.name, row, cell, wanted)
        return int(number) if feature.type == "integer" else number

    return decode


def _plain(number: float | None) -> str:
    return f"{number:g}"


def _refusal(file: Path, name: str, row: int, cell: str, wanted: str) -> SurveyError:
    found = f"{cell[:40]!r} is not" if cell else "is empty, not"
    return SurveyError(f"{file}, column {name}, row {row}: {found} {wanted}")
