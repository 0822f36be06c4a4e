"""Which column of a file is which input of the model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rapidfuzz import fuzz, process

from vigie.schema import FeatureSchema
from vigie.subject import Subjects
from vigie.ui.batch.sentence import FileFaultError

NEAR: Final = 60
"""Similarity (0–100) from which a column is named as what a missing input may be."""
MOST_NAMED: Final = 5
"""Columns that one sentence names."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file."""

    position: int
    """Its place, from 0 on."""
    name: str
    """As the first row has it, without spaces around."""
    target: str | None
    """The input it is, or the subject's field; None: it stays in the results, and the model never sees it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An input without a column."""

    name: str
    nearest: str | None
    """The column that is named most like it, if any is."""


@dataclass(frozen=True, slots=True)
class Matching:
    """The columns of a file, and what they are to the model."""

    columns: tuple[Column, ...]
    missing: tuple[Missing, ...]

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are sent."""
        return tuple(column for column in self.columns if column.target is not None)

    @property
    def ignored(self) -> tuple[Column, ...]:
        """The columns that only stay in the results."""
        return tuple(column for column in self.columns if column.target is None)


def simplified(name: str) -> str:
    """Return a column's name in the form in which it is compared: case and spaces do not count."""
    text = unicodedata.normalize("NFC", name).replace("\ufeff", "").casefold()
    return "_".join(part for part in re.split(r"[\s_]+", text) if part)


def known_names(schema: FeatureSchema) -> dict[str, str]:
    """Return what the columns' names are compared with: simplified name → input, or the subject's field."""
    return {simplified(name): name for name in (*Subjects(schema).names, *schema.names)}


def match(header: Sequence[str], schema: FeatureSchema) -> Matching:
    """Return what each column of `header` is.

    Raises FileFaultError when two have the same name or are the same input, or none is an input.
    """
    known = known_names(schema)
    columns = tuple(
        Column(position, name, known.get(simplified(name))) for position, name in enumerate(header)
    )
    _refuse_doubles(columns, set(Subjects(schema).names))
    inputs = {column.target for column in columns}
    missing = [name for name in schema.names if name not in inputs]
    if len(missing) == len(schema.names):
        shown = ", ".join(f"“{name[:40]}”" for name in header[:MOST_NAMED])
        raise FileFaultError("batch.fault_no_inputs", columns=shown, inputs=", ".join(schema.names[:3]))
    free = [column.name for column in columns if column.target is None and column.name]
    return Matching(columns, tuple(Missing(name, _nearest(name, free)) for name in missing))


def _refuse_doubles(columns: Sequence[Column], subjects: set[str]) -> None:
    """The subject's two fields mean the same, so they count as one."""
    meant = [
        (column, "subject" if column.target in subjects else column.target or column.name)
        for column in columns
        if column.target or column.name
    ]
    counts = Counter(meaning for _, meaning in meant)
    doubled = next((meaning for meaning, count in counts.items() if count > 1), None)
    if doubled is None:
        return
    same = [column for column, meaning in meant if meaning == doubled]
    raise FileFaultError(
        "batch.fault_doubled",
        positions=", ".join(str(column.position + 1) for column in same[:MOST_NAMED]),
        names=", ".join(f"“{column.name[:40]}”" for column in same[:MOST_NAMED]),
    )


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    found = process.extractOne(
        simplified(name), columns, scorer=fuzz.ratio, processor=simplified, score_cutoff=NEAR
    )
    return None if found is None else str(found[0])
