"""The proof that nothing is lost: each event in exactly one state, each state measured at its own place.

Everything is measured on a cut: first the producers' highest numbers, then what is pending in the order
in which events flow (journals, stream), then what is settled. An event that moves on meanwhile is seen
where it arrives, so a busy healthy system passes; a number that is nowhere is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import redis
from rich.table import Table

from vigie.errors import VigieError
from vigie.ledger.stored import StoredDocuments, compare
from vigie.settings import Settings
from vigie.telemetry.journal_survey import JournalSurvey, survey
from vigie.telemetry.ledger_state import Bits, Flags, ProducerState
from vigie.telemetry.stream import Stream
from vigie.telemetry.stream_keys import CHUNK_SIZE

MOST_RANGES: Final = 5
"""Ranges of numbers named in one problem; the rest is counted."""


class LedgerError(VigieError):
    """The ledger cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One producer's account, in events."""

    producer: str
    role: str
    produced: int
    indexed: int
    filtered: int
    dead: int
    cleared: int
    pending: int
    dropped: int
    missing: int


COLUMNS: Final = ("produced", "indexed", "filtered", "dead", "cleared", "pending", "dropped", "missing")


@dataclass(frozen=True, slots=True)
class Report:
    """The ledger as measured."""

    rows: tuple[Row, ...]
    documents: tuple[StoredDocuments, ...]
    """Index by index, the documents expected and those counted in the store."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    """What is worth knowing and no fault of the account."""

    @property
    def balanced(self) -> bool:
        """Whether every event is accounted for, and the store holds what it should."""
        return not self.problems

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the producers."""
        return {name: sum(getattr(row, name) for row in self.rows) for name in COLUMNS}

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "balanced": self.balanced,
            "totals": self.totals,
            "producers": [
                {"producer": row.producer, "role": row.role, **{name: getattr(row, name) for name in COLUMNS}}
                for row in self.rows
            ],
            "documents": [asdict(found) for found in self.documents],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def as_table(self) -> Table:
        """Return the report as a table for the terminal."""
        table = Table(title="Ledger, in events")
        table.add_column("producer")
        table.add_column("role")
        for name in COLUMNS:
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(row.producer[-12:], row.role, *(f"{getattr(row, name):,}" for name in COLUMNS))
        table.add_section()
        table.add_row("total", "", *(f"{count:,}" for count in self.totals.values()))
        for found in self.documents:
            table.caption = f"{table.caption or ''}{found}\n"
        return table


@dataclass(frozen=True, slots=True)
class Account:
    """What was measured of one producer."""

    producer: str
    role: str
    bits: Bits
    in_journal: Flags
    in_stream: Flags
    dropped: Flags

    def row(self) -> Row:
        """Count it: a number that moved on between two measurements counts where it arrived."""
        settled = self.bits.settled
        waiting = (self.in_journal | self.in_stream) & ~settled & ~self.dropped
        missing = ~(settled | waiting | self.dropped)
        return Row(
            producer=self.producer,
            role=self.role,
            produced=self.bits.upto,
            indexed=self.bits.counts["indexed"],
            filtered=self.bits.counts["filtered"],
            dead=self.bits.counts["dead"],
            cleared=self.bits.counts["cleared"],
            pending=int(waiting.sum()),
            dropped=int(self.dropped.sum()),
            missing=int(missing.sum()),
        )

    def problems(self) -> Iterator[str]:
        """Name the numbers that are in no state, or in more than one."""
        settled = self.bits.settled
        missing = ~(settled | self.in_journal | self.in_stream | self.dropped)
        if missing.any():
            yield f"producer {self.producer}: missing {ranges(missing)}"
        states = sum(flags.astype(np.int8) for flags in self.bits.states.values())
        doubled = (np.asarray(states) > 1) | (settled & self.dropped)
        if doubled.any():
            yield f"producer {self.producer}: in more than one state {ranges(doubled)}"
        unstated = settled & (np.asarray(states) == 0)
        for chunk in self.bits.folded:
            unstated[_chunk(chunk)] = False
        if unstated.any():
            yield f"producer {self.producer}: settled in no state {ranges(unstated)}"


def verify(settings: Settings) -> Report:
    """Measure the ledger and compare it with the store.

    Raises LedgerError when Redis is away; a store that is away is a problem in the report.
    """
    stream = Stream.open(settings.redis, timeout=10.0)
    try:
        accounts = measure(stream, {found.producer: found for found in survey(settings.api.vigie_home)})
        in_store = compare(settings, stream, accounts)
        letters, totals = stream.dead_count(), stream.ledger.totals()
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise LedgerError(f"Redis at {host}:{port} does not answer ({error})") from error
    problems = [problem for account in accounts for problem in account.problems()]
    buried = sum(account.bits.counts["dead"] for account in accounts)
    if not buried <= letters <= totals.dead + totals.strays:
        problems.append(f"api_dead holds {letters:,} letters, {buried:,} events are dead")
    notes = list(in_store.notes)
    if totals.strays:
        notes.append(f"{totals.strays} entries had no producer and number: they are dead letters")
    if totals.vanished:
        notes.append(f"{totals.vanished} pending entries were deleted from the stream by somebody else")
    rows = tuple(account.row() for account in accounts)
    return Report(rows, in_store.documents, (*problems, *in_store.problems), tuple(notes))


def measure(stream: Stream, journals: Mapping[str, JournalSurvey]) -> list[Account]:
    """Measure every producer that a journal of this host or Redis knows, on one cut."""
    known = {state.producer: state for state in stream.producers()}
    cuts = {name: _cut(known.get(name), journals.get(name)) for name in {*known, *journals}}
    waiting = stream.waiting()
    accounts = []
    for name in sorted(cuts):
        bits = stream.ledger.bits(name, cuts[name])
        journal = journals.get(name)
        gaps = [*bits.gaps, *(journal.gaps if journal else ())]
        state = known.get(name)
        accounts.append(
            Account(
                producer=name,
                role=state.attributes.get("role", "") if state else "",
                bits=bits,
                in_journal=spans(journal.unshipped if journal else (), bits.upto),
                in_stream=_numbers(waiting.get(name, ()), bits.upto),
                dropped=spans([(gap.first, gap.last) for gap in gaps], bits.upto),
            )
        )
    return accounts


def spans(pairs: Iterable[tuple[int, int]], upto: int) -> Flags:
    """Return flags for the numbers of the (first, last) `pairs`, both included."""
    flags = np.zeros(upto, dtype=np.bool_)
    for first, last in pairs:
        flags[first - 1 : last] = True
    return flags


def ranges(flags: Flags, most: int = MOST_RANGES) -> str:
    """Name the numbers that are set, such as "3 (12–13, 40)"."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    named = [
        f"{first + 1}" if last == first + 1 else f"{first + 1}–{last}"
        for first, last in edges.reshape(-1, 2)[:most]
    ]
    more = ", …" if len(edges) // 2 > most else ""
    return f"{int(flags.sum()):,} ({', '.join(named)}{more})"


def _cut(state: ProducerState | None, journal: JournalSurvey | None) -> int:
    if journal is not None:
        return journal.high
    if state is None:
        return 0
    return state.high if state.closed is None else state.closed


def _numbers(numbers: Sequence[int], upto: int) -> Flags:
    flags = np.zeros(upto, dtype=np.bool_)
    within = np.asarray(numbers, dtype=np.int64)
    flags[within[within <= upto] - 1] = True
    return flags


def _chunk(chunk: int) -> slice:
    return slice(chunk * CHUNK_SIZE, (chunk + 1) * CHUNK_SIZE)
