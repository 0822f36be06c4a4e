"""The rows of a panel as a table of words and numbers: for readers, screen readers and tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from vigie.dashboards.charts import range_labels
from vigie.dashboards.result import Key, Row
from vigie.dashboards.specification import Buckets, Metric, Panel, RangeBuckets, TimeBuckets
from vigie.ui.language import Language
from vigie.ui.numbers import SPACE, number, percent

NOTHING: Final = "–"
_DATES: Final[dict[Language, str]] = {"en": "%Y-%m-%d", "fr": "%d/%m/%Y"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; `metric` is empty where it holds what the rows are by."""

    text: str
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is read, and the raw value (empty where there is nothing)."""

    text: str
    value: str
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """One table."""

    panel: str
    """The panel's id."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """How one reader is told keys and values."""

    language: Language
    zone: ZoneInfo
    name: Callable[[str, Key], str]
    """Field and one of its values → how people call it."""


def numbers_of(panel: Panel, rows: Sequence[Row], wording: Wording, interval_seconds: int | None) -> Numbers:
    """Return the table of `panel`: a column per bucket and metric, a row per row, in the order of `rows`."""
    columns = [Column(buckets.label) for buckets in panel.buckets]
    columns += [Column(metric.title, metric.id) for metric in panel.metrics]
    table = tuple(
        (
            *(
                Cell(key_text(buckets, key, wording, interval_seconds), str(key))
                for buckets, key in zip(panel.buckets, row.keys, strict=True)
            ),
            *(value_cell(metric, row.values[metric.id], wording.language) for metric in panel.metrics),
        )
        for row in rows
    )
    return Numbers(panel.id, panel.title, tuple(columns), table)


def value_cell(metric: Metric, value: float | None, language: Language, *, unit: bool = False) -> Cell:
    """Return `value` of `metric` as a cell, with its unit if `unit`; a ratio always is a percentage."""
    if value is None:
        return Cell(NOTHING, "", metric.id)
    if metric.unit == "%":
        text = percent(language, value, metric.decimals)
    else:
        text = number(language, value, metric.decimals)
        text = f"{text}{SPACE}{metric.unit}" if unit and metric.unit else text
    return Cell(text, repr(value), metric.id)


def key_text(buckets: Buckets, key: Key, wording: Wording, interval_seconds: int | None) -> str:
    """Return how the bucket of `key` is called."""
    match buckets:
        case TimeBuckets():
            return time_text(int(key), wording.language, wording.zone, interval_seconds or 60)
        case RangeBuckets():
            return range_labels(buckets, wording.language)[float(key)]
        case _:
            return wording.name(buckets.field, key)


def time_text(milliseconds: int, language: Language, zone: ZoneInfo, interval_seconds: int) -> str:
    """Return the start of a bucket by the wall clock of `zone`, no finer than `interval_seconds`."""
    when = datetime.fromtimestamp(milliseconds / 1000, zone)
    if interval_seconds % 86400 == 0:
        return when.strftime(_DATES[language])
    clock = "%H:%M" if interval_seconds % 60 == 0 else "%H:%M:%S"
    return when.strftime(f"{_DATES[language]} {clock}")
