"""The ledger as it was measured: per producer and in total, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich import box
from rich.table import Table

from vigie.telemetry.ledger_figures import LedgerFigures

TERMS: Final = (
    "indexed",
    "filtered",
    "dead",
    "cleared",
    "expired",
    "erased",
    "removed",
    "pending",
    "dropped",
    "missing",
)
"""What becomes of an event; together they are what was produced, and the last is 0 when it balances."""
COUNTS: Final = ("produced", *TERMS, "doubled")
"""Everything that is counted, in the order in which it is told."""
ALWAYS_SHOWN: Final = ("produced", "indexed", "dead", "pending", "dropped", "missing")
TERMINAL_COLUMNS: Final = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One producer's account, in events; `indexed` is None where the store could not be asked."""

    producer: str
    role: str
    closed: bool
    produced: int
    indexed: int | None
    filtered: int
    dead: int
    cleared: int
    expired: int
    erased: int
    removed: int
    """Indexed, and their index was removed by somebody else."""
    pending: int
    dropped: int
    missing: int
    doubled: int
    """Stored more than once; in no sum."""
    faulty: bool
    """Whether a problem is told of it."""

    def count(self, name: str) -> int:
        """Return produced or one of the terms; 0 for what could not be measured."""
        return getattr(self, name) or 0

    @property
    def settled(self) -> bool:
        """Whether nothing more will become of it, and nothing is wrong with it."""
        done = self.closed or self.role == "foreign"  # which never says that it is
        return done and not (self.faulty or self.pending or self.missing)


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """One index: documents that the ledger expects, those that the store counts, those gone on record."""

    index: str
    expected: int
    stored: int
    expired: int
    erased: int

    def __str__(self) -> str:
        gone = [f", {n:,} {what}" for n, what in ((self.expired, "expired"), (self.erased, "erased")) if n]
        return f"{self.index}: {self.stored:,} documents stored, {self.expected:,} expected{''.join(gone)}"


@dataclass(frozen=True, slots=True)
class Report:
    """The ledger as measured."""

    rows: tuple[Row, ...]
    documents: tuple[StoredDocuments, ...]
    """Index by index, the documents expected and those counted in the store."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    """What is worth knowing and no fault of the account."""
    complete: bool = True
    """Whether the store could be asked too."""

    @property
    def balanced(self) -> bool:
        """Whether every event is accounted for, and the store holds what it should."""
        return not self.problems

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the producers: produced and its terms, and doubled, which is no term."""
        return {name: sum(row.count(name) for row in self.rows) for name in COUNTS}

    def figures(self) -> LedgerFigures:
        """Return the totals for the pipeline's report."""
        totals = self.totals
        return LedgerFigures(
            produced=totals["produced"],
            indexed=totals["indexed"],
            filtered=totals["filtered"],
            dead=totals["dead"],
            cleared=totals["cleared"],
            expired=totals["expired"],
            erased=totals["erased"],
            removed=totals["removed"],
            pending=totals["pending"],
            dropped=totals["dropped"],
            # a problem may be of another kind than a missing event: each must raise the alarm
            unaccounted=max(totals["missing"] + totals["doubled"], len(self.problems)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        totals: dict[str, int | None] = dict(self.totals)
        if not self.complete:
            totals["indexed"] = None
        return {
            "balanced": self.balanced,
            "totals": totals,
            "producers": [
                {
                    "producer": row.producer,
                    "role": row.role,
                    "closed": row.closed,
                    **{name: getattr(row, name) for name in COUNTS},
                }
                for row in self.rows
            ],
            "documents": [asdict(found) for found in self.documents],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def equation(self) -> str:
        """Return the sum as one line, without the terms that are 0; "?" for what was not measured."""
        totals = self.totals
        indexed = f"{totals['indexed']:,}" if self.complete else "?"
        parts = [f"indexed {indexed}", *(f"{name} {totals[name]:,}" for name in TERMS[1:] if totals[name])]
        return f"produced {totals['produced']:,} = {' + '.join(parts)}"

    def as_table(self) -> Table:
        """Return the report as a table of at most 80 columns for ordinary counts.

        Producers that are closed, settled and without a problem share one row, and so do foreign ones.
        """
        shown = [row for row in self.rows if not row.settled]
        together = {
            "closed": [row for row in self.rows if row.settled and row.closed],
            "foreign": [row for row in self.rows if row.settled and not row.closed],
        }
        table = Table(title="Ledger, in events", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        table.add_column("producer", no_wrap=True)
        table.add_column("role", no_wrap=True)
        columns = self._columns()
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        for row in shown:
            table.add_row(
                row.producer[-8 if "other" in columns else -12 :], row.role, *self._cells(columns, [row])
            )
        for kind, rows in together.items():
            if rows:
                table.add_row(f"{len(rows):,}", kind, *self._cells(columns, rows))
        table.add_section()
        table.add_row("total", "", *self._cells(columns, self.rows))
        return table

    def lines(self) -> Iterator[str]:
        """Yield what is said below the table: the sum, the documents, notes, problems, the verdict."""
        yield self.equation()
        if self.complete:
            yield from map(str, self.documents)
        yield from self.notes
        yield from self.problems
        yield "balanced" if self.balanced else "NOT balanced"

    def _columns(self) -> list[str]:
        totals = self.totals
        names = [name for name in ("produced", *TERMS) if name in ALWAYS_SHOWN or totals[name]]
        width = 12 + 1 + 8 + sum(1 + max(len(name), len(f"{totals[name]:,}")) for name in names)
        if width <= TERMINAL_COLUMNS:
            return names
        return ["produced", "indexed", "dead", "other", "pending", "dropped", "missing"]

    def _cells(self, columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
        others = [name for name in TERMS if name not in ALWAYS_SHOWN]
        for column in columns:
            if column == "indexed" and not self.complete:
                yield "?"
            else:
                names = others if column == "other" else [column]
                yield f"{sum(row.count(name) for name in names for row in rows):,}"
