"""A chart in a page: its specification arrives whole, whatever it holds."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vigie.errors import VigieError
from vigie.ui import plot
from vigie.ui.plot import chart_of, embed_address
from vigie.ui.templates import Templates
from vigie.ui.texts import Texts

HOSTILE = {"data": {"values": [{"k": "'><script>alert(1)</script>&quot;&amp;\"{{x}}</div>", "é": None}]}}


class FirstTag(HTMLParser):
    """Keeps the attributes of the first tag, and counts all tags."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[str, str | None] = {}
        self.tags = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        self.tags += 1
        self.attributes = self.attributes or dict(attrs)


def test_a_specification_is_data_and_never_markup() -> None:
    """Quotes, markup and entities in it come out of the attribute as they went in."""
    chart = chart_of("key", "A <b>title</b> \"'", 120, HOSTILE)
    found = FirstTag()
    found.feed(Templates(Texts()).render("en", "parts/chart.html", chart=chart))
    assert json.loads(found.attributes["data-specification"] or "") == HOSTILE
    assert found.attributes["aria-label"] == "A <b>title</b> \"'"
    assert found.tags == 1


def test_a_gradio_without_its_vega_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another Gradio that keeps it elsewhere is named, instead of pages without charts."""
    monkeypatch.setattr(plot, "ASSETS", tmp_path)
    embed_address.cache_clear()
    with pytest.raises(VigieError, match="0 files embed"):
        embed_address()
    embed_address.cache_clear()
