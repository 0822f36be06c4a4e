"""Rules of the house that a reader could break without noticing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.servers import ROOT

SOURCES = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".lua", ".yaml"})
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())
LONGEST_MODULE = 350


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_nothing_in_src_names_an_example(example: Path) -> None:
    """An example is its schema and nothing else: neither its name nor its features occur in src/."""
    schema = yaml.safe_load((example / "schema.yaml").read_text(encoding="utf-8"))
    names = {example.name, schema["name"], schema["target"]["name"], *schema["target"]["classes"]}
    names |= {feature["name"] for feature in schema["features"]}
    word = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(names) if len(name) > 3))
    found = {
        str(source.relative_to(ROOT)): match[0]
        for source in SOURCES
        if (match := word.search(source.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_one_schema(example: Path) -> None:
    """A model on a known data set needs no code of its own."""
    assert [path.name for path in example.iterdir() if not path.name.startswith((".", "__"))] == [
        "schema.yaml"
    ]


def test_modules_fit_in_the_head() -> None:
    """No module of src/ grows beyond the length where its seam should have been found."""
    long = {
        str(source.relative_to(ROOT)): lines
        for source in SOURCES
        if (lines := len(source.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_every_test_states_its_guarantee() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name, body in re.findall(
            r"^\s*(?:async )?def (test_\w+)\((?:[^()]|\([^()]*\))*\)[^:]*:\n\s+(\S+)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        if not body.startswith('"""')
    ]
    assert silent == []
