"""The answers to a table's rows: kept on disk as they come, summed up while they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vigie.ui.batch.row_file import RowFile


class RowAnswer(NamedTuple):
    """What the API said to one row; without a prediction, `error` says why."""

    prediction: int | float | None
    label: str | None
    probability: float | None
    confidence: float | None
    transaction_id: str
    error: str | None


class _Fault(BaseModel):
    field: str = ""
    reason: str


class _Error(BaseModel):
    detail: str = ""
    errors: tuple[_Fault, ...] = ()


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    index: int
    transaction_id: str
    prediction: int | float | None = None
    label: str | None = None
    probability: float | None = None
    confidence: float | None = None
    error: _Error | None = None


_ROWS = TypeAdapter(tuple[_Row, ...])


def answers_in(document: object, count: int) -> list[RowAnswer]:
    """Return the answers to `count` rows in their order, from the API's answer to a batch.

    Raises ValueError when it is not one answer for each.
    """
    results = document.get("results") if isinstance(document, dict) else None
    try:
        rows = sorted(_ROWS.validate_python(results), key=lambda row: row.index)
    except ValidationError as error:
        raise ValueError("the answer holds no rows") from error
    if [row.index for row in rows] != list(range(count)):
        raise ValueError(f"the answer does not hold each of {count} rows once")
    if any((row.prediction is None) == (row.error is None) for row in rows):
        raise ValueError("a row has neither a prediction nor an error")
    return [
        RowAnswer(
            row.prediction,
            row.label,
            row.probability,
            row.confidence,
            row.transaction_id,
            None if row.error is None else _in_words(row.error),
        )
        for row in rows
    ]


def _in_words(error: _Error) -> str:
    reasons = "; ".join(f"{fault.field} {fault.reason}".strip() for fault in error.errors)
    return reasons or error.detail or "no prediction"


@dataclass(slots=True)
class Summary:
    """The answers so far, in figures."""

    answered: int = 0
    refused: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    """Rows by the class given."""
    probability_sum: float = 0.0
    probabilities: int = 0

    @property
    def mean_probability(self) -> float | None:
        """Mean of the probabilities (0-1) of all predicted rows; None while there are none."""
        return self.probability_sum / self.probabilities if self.probabilities else None


class Results:
    """The answers of one run, by the row's place in the table; each row is counted once."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.refused: list[int] = []
        """Places of the refused rows, in the order of their answers."""
        self._rows = RowFile()

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._rows.size_bytes

    def keep(self, first: int, answers: Sequence[RowAnswer]) -> None:
        """Keep the answers to the rows from `first` on, which had none before. Raises OSError: disk full."""
        self._rows.put(first, [[*answer] for answer in answers])
        for place, answer in enumerate(answers, start=first):
            self._count(place, answer)

    def _count(self, place: int, answer: RowAnswer) -> None:
        summary = self.summary
        summary.answered += 1
        if answer.error is not None:
            summary.refused += 1
            self.refused.append(place)
            return
        if answer.label is not None:
            summary.labels[answer.label] += 1
        if answer.probability is not None:
            summary.probability_sum += answer.probability
            summary.probabilities += 1

    def get(self, first: int, last: int) -> list[RowAnswer | None]:
        """Return the answers to the rows from `first` up to, not including, `last`; None: none yet."""
        found: list[Any] = self._rows.get(first, last)
        found += [None] * (last - first - len(found))
        return [None if row is None else RowAnswer(*row) for row in found]
