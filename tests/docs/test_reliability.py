"""docs/reliability.md promises nothing that no test proves."""

from __future__ import annotations

import ast
import re

import pytest
from tests.servers import ROOT

PAGE = ROOT / "docs" / "reliability.md"
MARKER = re.compile(r"<!-- test: (\S+)::(\w+) -->")
CAMPAIGN = re.compile(r"<!-- campaign begins -->.*<!-- campaign ends -->", re.DOTALL)
"""Generated from measurements."""
ENDS = re.compile(r"[.!?](?=\s|$)")
TABLE_HEAD = re.compile(r"^\|.*\|\n\|(?:-+\|)+$", re.MULTILINE)
SAYS_NOTHING = (
    "What becomes of an event in each accident, what the settings trade, and how it is proven.",
    '"Kill" is SIGKILL of a process; "crash" is the machine losing its memory.',
    "How many those were, nobody else knows.",
)
"""Sentences that announce or define."""


def statements(page: str) -> list[str]:
    """Cut a page into its statements: cells of tables, and the sentences of everything else, markers behind."""
    text = TABLE_HEAD.sub("", CAMPAIGN.sub("", page))
    for sentence in SAYS_NOTHING:
        text = text.replace(sentence, "")
    found: list[str] = []
    for block in map(str.strip, re.split(r"\n\s*\n|\n(?=[|-] ?)", text)):
        if block.startswith("#") or not block:
            continue
        parts = [block]
        if block.startswith("|"):
            parts = [
                cell for cell in block.strip("|").split("|") if ENDS.search(MARKER.sub("", cell).strip())
            ]
            assert parts, f"a row that states nothing: {block}"
        for part in parts:
            found += [one.strip() for one in re.split(r"(?<=-->)\s+(?!<!--)", part.strip())]
    return found


def faults(page: str) -> list[str]:
    """Name the statements without a test, and the tests that do not exist."""
    found = []
    for statement in statements(page):
        said = MARKER.sub("", statement).strip()
        if len(ENDS.findall(said)) > 1 or not MARKER.search(statement):
            found.append(f"no test: {said}")
    for path, name in MARKER.findall(page):
        if name not in names_in(path):
            found.append(f"no such test: {path}::{name}")
    return found


def names_in(path: str) -> set[str]:
    """The names of the tests in a file of this project; empty when there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_sentence_names_a_test_that_exists() -> None:
    """Each sentence and each cell that states something is followed by the test that proves it."""
    page = PAGE.read_text(encoding="utf-8")
    assert faults(page) == []
    assert len(statements(page)) > 50


HERE = "<!-- test: tests/docs/test_reliability.py::test_every_sentence_names_a_test_that_exists -->"


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("All is well.", "no test: All is well."),
        (f"All is well. Nothing is lost. {HERE}", "no test: All is well. Nothing is lost."),
        (f"All is well. {HERE} Nothing is lost.", "no test: Nothing is lost."),
        (f"- All is well. {HERE}\n- Nothing is lost.", "no test: - Nothing is lost."),
        (f"| a | b |\n|---|---|\n| x | All is well. {HERE} |\n| y | Lost. |", "no test: Lost."),
        (f"{HERE} All is well.", "no test: All is well."),
        ("Well. <!-- test: tests/none.py::test_x -->", "no such test: tests/none.py::test_x"),
        (
            "Well. <!-- test: tests/docs/test_reliability.py::test_none -->",
            "no such test: tests/docs/test_reliability.py::test_none",
        ),
    ],
)
def test_a_statement_without_proof_is_found(page: str, fault: str) -> None:
    """The check fails for a sentence without a test, wherever it stands, and for a test that is not there."""
    assert fault in faults(page)


def test_what_is_proven_passes() -> None:
    """Several tests behind a sentence, lists, tables and headings are read as they are written."""
    page = f"# Title\n\nAll is well. {HERE} {HERE} So it stays. {HERE}\n\n- One. {HERE}\n- Two. {HERE}\n"
    table = f"\n| a | b |\n|---|---|\n| x, y | One; two. {HERE} |\n"
    assert faults(page + table) == []
    assert len(statements(page + table)) == 5
