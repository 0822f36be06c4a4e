"""What the pages say: every text in both languages, none missing, none left over."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from tests.servers import ROOT

from vigie.schema import Text
from vigie.ui.header import BADGES
from vigie.ui.page import PAGES
from vigie.ui.texts import Texts

UI = ROOT / "src" / "ui"
KEY = re.compile(r"""["']([a-z]+\.[a-z0-9_]+)["']""")
STEM = re.compile(r"""f?["']([a-z]+\.[a-z0-9_]*)(?:["'] *~|\{)""")
FILLED_IN = re.compile(r"\{[^}]*\}")
WRONG_IN_FRENCH = re.compile(
    r"""' | [ ][?!;:»%] | «[ ] | [^\s\u00a0\u202f?!][?!;] | [^\s\u00a0\u202f]:(?=\s|$)""", re.VERBOSE
)
"""A straight apostrophe; an ordinary space, or none, before a double mark; an ordinary space in quotation marks."""


@pytest.fixture(scope="module")
def texts() -> Texts:
    """The texts of the pages."""
    return Texts()


def sources() -> dict[Path, str]:
    """Return what the pages are written in."""
    files = [*UI.rglob("*.py"), *UI.rglob("*.html"), *UI.rglob("*.js")]
    return {file: file.read_text(encoding="utf-8") for file in files}


def test_every_key_that_is_used_has_a_text_and_every_text_is_used(texts: Texts) -> None:
    """A key is written whole where it is used, or as a beginning that the code completes."""
    pages = {key.split(".")[0] for key in texts.keys}
    used: set[str] = set()
    beginnings: set[str] = set()
    for source in sources().values():
        used |= {key for key in KEY.findall(source) if key.split(".")[0] in pages}
        beginnings |= {stem for stem in STEM.findall(source) if stem.split(".")[0] in pages}
    whole = used - beginnings
    assert {key for key in whole if not key.endswith(("_", "."))} - texts.keys == set()
    assert {key for key in texts.keys - used if not any(key.startswith(stem) for stem in beginnings)} == set()


def test_the_frames_keys_that_are_made_are_there(texts: Texts) -> None:
    """A name for each page and words for each state."""
    made = {f"frame.{page.key}" for page in PAGES} | {f"frame.health_{state}" for state in BADGES}
    assert made <= texts.keys


def test_both_languages_are_written_and_take_the_same_values(texts: Texts) -> None:
    """No text is empty, and what is filled in is filled in in both."""
    for key in sorted(texts.keys):
        both = texts.both(key)
        assert all(both.values()), key
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in both.values()
        ]
        assert fields[0] == fields[1], key


def test_french_is_set_as_french(texts: Texts) -> None:
    """Typographic apostrophes, and spaces that do not break before the double marks."""
    french = {key: FILLED_IN.sub("x", texts.both(key)["fr"]) for key in sorted(texts.keys)}
    wrong = {key: text for key, text in french.items() if WRONG_IN_FRENCH.search(text)}
    assert wrong == {}


def test_a_text_of_the_schema_is_resolved_like_one_of_ours(texts: Texts) -> None:
    """Also when it stands within other words, and twice."""
    text = texts.of(Text(en="Age", fr="Âge"))
    assert texts.resolve("fr", f"{text} / {text}") == "Âge / Âge"
    assert texts.resolve("en", "plain") == "plain"
    assert texts.resolve("fr", '__i18n__{"__type__": "translation_metadata", "key": "no.such"}').endswith("}")


def test_an_unknown_key_is_an_error(texts: Texts) -> None:
    """It never reaches a page."""
    with pytest.raises(KeyError):
        texts("frame.no_such_text")
    with pytest.raises(KeyError):
        texts.say("en", "frame.version")
