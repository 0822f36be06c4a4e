"""What the batch page shows of a visit, in its visitor's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from vigie.schema import FeatureSchema
from vigie.ui.batch.export import Part
from vigie.ui.batch.records import Fault, Records
from vigie.ui.batch.results import RowAnswer
from vigie.ui.batch.run import Run
from vigie.ui.batch.sentence import Sentence
from vigie.ui.batch.table import LARGEST_FILE_BYTES, MOST_COLUMNS, MOST_ROWS, Table
from vigie.ui.batch.values import Cell, words_of
from vigie.ui.batch.visit import Visit
from vigie.ui.language import Language
from vigie.ui.numbers import number
from vigie.ui.site import Site

PAGE_ROWS: Final = 25
"""Rows of the results that are shown at once."""
LONGEST_CELL: Final = 60
"""Characters of a cell that the page shows; the downloads have them all."""
MOST_SHOWN_COLUMNS: Final = 30
"""Of a wider table only the columns that are used are shown."""
LIMITS: Final[Mapping[str, int]] = {
    "megabytes": LARGEST_FILE_BYTES // 1024**2,
    "rows": MOST_ROWS,
    "columns": MOST_COLUMNS,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the results a visitor looks at."""

    part: Part = "all"
    page: int = 0

    def pages(self, visit: Visit) -> int:
        """Return how many pages there are, at least one."""
        if visit.run is None:
            return 1
        rows = visit.run.total if self.part == "all" else len(visit.run.results.refused)
        return max(1, -(-rows // PAGE_ROWS))

    def moved(self, visit: Visit, by: int) -> Place:
        """Return the place `by` pages on, within what there is."""
        return Place(self.part, min(max(self.page + by, 0), self.pages(visit) - 1))


class BatchView:
    """Renders a visit's parts; holds nothing of a visitor."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._schema: FeatureSchema = site.schema

    def say(self, language: Language, sentence: Sentence) -> str:
        """Return a sentence in words, its whole numbers as the language writes them."""
        values = {
            name: number(language, value) if isinstance(value, int) else value
            for name, value in sentence.values.items()
        }
        return self._site.texts.say(language, sentence.key, **values)

    def file(self, visit: Visit | None, language: Language) -> str:
        """Return what is known of the file: why it cannot be used, else its columns and a preview."""
        if visit is None:
            return self._render(language, "batch/none.html")
        if visit.fault is not None:
            fault = self.say(language, visit.fault)
            return self._render(language, "batch/fault.html", name=visit.name, fault=fault)
        if visit.table is None or visit.preview is None:
            return self._render(
                language, "batch/reading.html", name=visit.name, share=visit.read_share, token=visit.token
            )
        table, preview = visit.table, visit.preview
        return self._render(
            language,
            "batch/file.html",
            name=visit.name,
            token=visit.token,
            preview=preview,
            notes=[self.say(language, note) for note in table.notes],
            columns=[self._column(table, position, language) for position in range(len(table.header))],
            missing=[(self._label(gap.name, language), gap) for gap in table.matching.missing],
            by_field=[(self._label(name, language), count) for name, count in preview.by_field.items()],
            shown=[table.matching.columns[position] for position in self._shown(table)],
            rows=[
                {
                    "number": row.number,
                    "faults": {fault.field: self._why(fault, language) for fault in row.faults},
                    "cells": self._cells(table, row.cells),
                }
                for row in preview.rows
            ],
            label=lambda name: self._label(name, language),
        )

    def progress(self, visit: Visit | None, language: Language) -> str:
        """Return how far the run is, and what did not go smoothly."""
        if visit is None or visit.run is None:
            return ""
        run = visit.run
        broke = None if visit.run_fault is None else self.say(language, visit.run_fault)
        left = run.seconds_left
        return self._render(
            language,
            "batch/progress.html",
            run=run,
            summary=run.results.summary,
            broke=broke,
            duration=self._duration(language, run.seconds),
            left=None if left is None else self._duration(language, left),
        )

    def results(self, visit: Visit | None, place: Place, language: Language) -> str:
        """Return the answers, one page of them; nothing while they still come."""
        if visit is None or visit.run is None or visit.table is None or visit.run.active:
            return ""
        run, table = visit.run, visit.table
        if not run.results.summary.answered:
            return ""
        return self._render(
            language,
            "batch/results.html",
            token=visit.token,
            run=run,
            summary=run.results.summary,
            classes=self._schema.target.classes,
            positive=self._schema.target.positive if len(self._schema.target.classes) == 2 else None,
            target=self._schema.target.title.in_language(language),
            place=place,
            pages=place.pages(visit),
            shown=[table.matching.columns[position] for position in self._shown(table)],
            rows=self._page(table, run, place, language),
        )

    def _page(self, table: Table, run: Run, place: Place, language: Language) -> list[dict[str, Any]]:
        first, last = place.page * PAGE_ROWS, (place.page + 1) * PAGE_ROWS
        if place.part == "all":
            places: Sequence[int] = range(first, min(last, run.total))
        else:
            places = sorted(run.results.refused)[first:last]
        records = Records(table, self._schema)
        rows = []
        for at in places:
            ((row_number, cells),) = table.rows.get(at, at + 1)
            (answer,) = run.results.get(at, at + 1)
            faults = records.faults(records.of(cells)) if answer and answer.error is not None else []
            rows.append(
                {
                    "number": row_number,
                    "cells": self._cells(table, cells),
                    "answer": answer,
                    "errors": self._errors(answer, faults, language),
                }
            )
        return rows

    def _errors(self, answer: RowAnswer | None, faults: Sequence[Fault], language: Language) -> list[str]:
        """Return why a row was refused, as far as the schema knows; the API's own words are in the answer."""
        if answer is None or answer.error is None:
            return []
        colon = self._site.texts.say(language, "failure.colon")
        return [
            f"{self._label(fault.field, language)}{colon}{self._why(fault, language)}" for fault in faults
        ]

    def _column(self, table: Table, position: int, language: Language) -> dict[str, Any]:
        column = table.matching.columns[position]
        feature = self._schema.by_name.get(column.target or "")
        words: dict[int, list[str]] = {}
        for word, value in words_of(feature).items() if feature else ():
            words.setdefault(value, []).append(word)
        return {
            "name": column.name,
            "position": position + 1,
            "target": column.target,
            "label": self._label(column.target, language) if feature and column.target else "",
            "words": {value: ", ".join(sorted(found)) for value, found in sorted(words.items())},
        }

    def _label(self, name: str, language: Language) -> str:
        feature = self._schema.by_name.get(name)
        return feature.label.in_language(language) if feature else name

    def _why(self, fault: Fault, language: Language) -> str:
        return self.say(language, fault.why)

    @staticmethod
    def _shown(table: Table) -> list[int]:
        if len(table.header) <= MOST_SHOWN_COLUMNS:
            return list(range(len(table.header)))
        return [column.position for column in table.matching.used]

    def _cells(self, table: Table, cells: Sequence[Cell]) -> list[str]:
        texts = ["" if cells[position] is None else str(cells[position]) for position in self._shown(table)]
        return [text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…" for text in texts]

    def _duration(self, language: Language, seconds: float) -> str:
        whole = round(seconds)
        kind: Literal["batch.minutes", "batch.seconds"] = "batch.minutes" if whole >= 60 else "batch.seconds"
        return self._site.texts.say(language, kind, minutes=whole // 60, seconds=whole % 60)

    def _render(self, language: Language, template: str, **values: object) -> str:
        return self._site.templates.render(language, template, **values)
