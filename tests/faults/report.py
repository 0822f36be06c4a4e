"""The campaign's result: kept as JSON, shown as a table in docs/reliability.md."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import httpx
import orjson
from tests.faults.campaign import Row
from tests.faults.place import Place
from tests.servers import ROOT

RESULTS: Final = ROOT / "tests" / "faults" / "results.json"
PAGE: Final = ROOT / "docs" / "reliability.md"
BEGINS: Final = "<!-- campaign begins -->"
ENDS: Final = "<!-- campaign ends -->"
COLUMNS: Final = (
    "faults (times seen to act)",
    "events",
    "lost",
    "duplicated",
    "unaccounted",
    "declared drops",
    "recovery, s",
)


@dataclass(frozen=True, slots=True)
class Result:
    """One campaign."""

    store: str
    """Name and version."""
    redis: str
    python: str
    campaign: str
    seed: int
    balanced: bool
    """What `vigie verify` said in the end."""
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, place: Place, campaign: str, seed: int, rows: Sequence[Row], *, balanced: bool) -> Self:
        """Describe what `rows` were measured on."""
        about = httpx.get(place.store_url, timeout=30).raise_for_status().json()["version"]
        name = f"Elasticsearch {about['number']}" if place.real else "embedded store"
        with place.redis as client:
            version: Any = client.info("server")
        return cls(
            name, version["redis_version"], platform.python_version(), campaign, seed, balanced, tuple(rows)
        )

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Return what `as_dict` wrote."""
        rows = tuple(Row(**{**row, "problems": tuple(row["problems"])}) for row in found["rows"])
        return cls(**{**found, "rows": rows})

    @property
    def events(self) -> int:
        """Answered predictions of all rounds."""
        return sum(row.events for row in self.rows)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or unaccounted for, and the ledger agrees."""
        return self.balanced and all(row.clean for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def table(result: Result) -> str:
    """Return the campaign as Markdown: a row for each round, and the sums."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(row) for row in result.rows), _sums(result)]
    head = (
        f"**{result.store}**, Redis {result.redis}, Python {result.python}: "
        f"`make faults CAMPAIGN={result.campaign} SEED={result.seed}"
        f"{' STORE=elasticsearch' if result.store.startswith('Elastic') else ''}`; "
        f"`vigie verify` said in the end: {'balanced' if result.balanced else 'NOT balanced'}.\n\n"
    )
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    faults = ", ".join(f"{name} ({times:,})" for name, times in row.faults.items())
    counts = (row.events, row.lost, row.duplicated, row.unaccounted, row.dropped)
    return faults, *(f"{count:,}" for count in counts), f"{row.recovery_seconds:.1f}"


def _sums(result: Result) -> tuple[str, ...]:
    names = ("events", "lost", "duplicated", "unaccounted", "dropped")
    sums = (sum(getattr(row, name) for row in result.rows) for name in names)
    longest = max(row.recovery_seconds for row in result.rows)
    return f"**{len(result.rows)} rounds**", *(f"**{count:,}**" for count in sums), f"at most {longest:.1f}"


def record(store: str, result: Result) -> None:
    """Keep the result of the campaign on `store`, and bring the page up to date."""
    results = {**kept(), store: result}
    content = {name: found.as_dict() for name, found in results.items()}
    RESULTS.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    if PAGE.exists():
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(page: str) -> str:
    """Return the page with the tables of the kept results between its markers."""
    before, rest = page.split(BEGINS)
    _, after = rest.split(ENDS)
    tables = "\n".join(table(result) for _, result in sorted(kept().items(), reverse=True))
    return f"{before}{BEGINS}\n\n{tables}\n{ENDS}{after}"


def kept() -> dict[str, Result]:
    """Return the kept results by kind of store."""
    found: dict[str, Any] = orjson.loads(RESULTS.read_bytes()) if RESULTS.exists() else {}
    return {name: Result.read(result) for name, result in found.items()}
