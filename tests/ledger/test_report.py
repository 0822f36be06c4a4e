"""How the ledger is shown: readable in a terminal, complete as JSON."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from vigie.cli import app
from vigie.ledger.report import COUNTS, TERMS, Report, Row, StoredDocuments


def row(producer: str, role: str = "api", **counts: Any) -> Row:
    """An account; what is not given is 0."""
    terms = dict.fromkeys(("produced", *TERMS, "doubled"), 0)
    return Row(producer=producer, role=role, **{"closed": False, "faulty": False, **terms, **counts})


def shown(report: Report) -> list[str]:
    """The lines of the table on a terminal of 80 columns."""
    out = StringIO()
    Console(file=out, width=80, highlight=False).print(report.as_table())
    return [line.rstrip() for line in out.getvalue().splitlines()]


def report(*rows: Row, **parts: Any) -> Report:
    """A report of these accounts."""
    return Report(
        rows, parts.get("documents", ()), parts.get("problems", ()), (), parts.get("complete", True)
    )


def words(lines: list[str]) -> list[list[str]]:
    """The words of each line that has any."""
    return [line.split() for line in lines if line.strip()]


def test_producers_that_are_done_share_a_row() -> None:
    """A year of restarts is one line; who lives or has something to say keeps a row."""
    done = [row(f"old-{n}", closed=True, produced=10, indexed=10) for n in range(4000)]
    far = [row(f"far-{n}", "foreign", produced=2, indexed=2) for n in range(3)]
    faulty = row("a-faulty-producer", closed=True, produced=3, indexed=3, faulty=True)
    lines = words(shown(report(*done, *far, faulty, row("alive", "ui", produced=5, indexed=4, pending=1))))
    assert lines[1] == ["producer", "role", "produced", "indexed", "dead", "pending", "dropped", "missing"]
    assert lines[3:-1] == [
        ["lty-producer", "api", "3", "3", "0", "0", "0", "0"],
        ["alive", "ui", "5", "4", "0", "1", "0", "0"],
        ["4,000", "closed", "40,000", "40,000", "0", "0", "0", "0"],
        ["3", "foreign", "6", "6", "0", "0", "0", "0"],
    ]
    assert lines[-1] == ["total", "40,014", "40,013", "0", "1", "0", "0"]


def test_columns_appear_with_what_they_count() -> None:
    """A state that no event is in takes no room."""
    lines = words(shown(report(row("p", produced=7, indexed=5, dead=2))))
    assert lines[1] == ["producer", "role", "produced", "indexed", "dead", "pending", "dropped", "missing"]


def test_many_states_and_large_counts_fit_eighty_columns() -> None:
    """What does not fit beside one another is one column; the sum below names each term."""
    some = dict.fromkeys(TERMS, 1234) | {"produced": 123_456_789, "indexed": 123_456_789}
    found = report(row("5b1a3c1e-0000-4000-8000-000000000001", "pipeline", **some))
    lines = shown(found)
    assert max(len(line) for line in lines) <= 80
    columns = ["produced", "indexed", "dead", "other", "pending", "dropped", "missing"]
    assert words(lines)[1] == ["producer", "role", *columns]
    numbers = ["123,456,789", "123,456,789", "1,234", "6,170", "1,234", "1,234", "1,234"]
    assert words(lines)[3] == ["00000001", "pipeline", *numbers]
    assert found.equation().count(" 1,234 ") + found.equation().endswith(" 1,234") == len(TERMS) - 1


def test_a_store_that_was_not_asked_leaves_a_question_mark() -> None:
    """Nobody reads a number where none was measured."""
    documents = (StoredDocuments("ml-api-logs", 0, 0, 0, 0),)
    away = {"complete": False, "problems": ("the store is away",), "documents": documents}
    found = report(row("p", produced=2, indexed=None, pending=1), **away)
    assert list(found.lines()) == [
        "produced 2 = indexed ? + pending 1", "the store is away", "NOT balanced",
    ]  # fmt: skip
    assert words(shown(found))[-1] == ["total", "2", "?", "0", "1", "0", "0"]
    content = found.as_dict()
    assert (content["totals"]["indexed"], content["producers"][0]["indexed"]) == (None, None)
    assert (content["balanced"], list(found.lines())[-1]) == (False, "NOT balanced")


def test_help_names_every_exit_status() -> None:
    """Who calls it from a script learns what 1 and 2 mean."""
    told = " ".join(CliRunner().invoke(app, ["verify", "--help"]).output.split())
    assert "Exit status 1 when not" in told
    assert "2 when there is nothing to measure" in told


def test_json_keeps_every_producer_and_term() -> None:
    """What the table folds is all there."""
    documents = (StoredDocuments("ml-api-logs", 1, 1, 2, 3),)
    done = [row(f"old-{n}", closed=True, produced=1, indexed=1) for n in range(3)]
    content = report(*done, documents=documents).as_dict()
    assert [found["producer"] for found in content["producers"]] == ["old-0", "old-1", "old-2"]
    assert content["totals"] == {"produced": 3, **dict.fromkeys(TERMS, 0), "indexed": 3, "doubled": 0}
    assert list(content["totals"]) == list(content["producers"][0])[3:] == list(COUNTS)
    assert content["documents"] == [
        {"index": "ml-api-logs", "expected": 1, "stored": 1, "expired": 2, "erased": 3}
    ]
