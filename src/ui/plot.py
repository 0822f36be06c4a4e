"""Vega-Lite specifications in pages, drawn by the Vega that Gradio ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import gradio
import orjson
from markupsafe import Markup

from vigie.errors import VigieError

ASSETS: Final = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
"""Gradio serves these at /assets/."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What templates/parts/chart.html needs; scripts/charts.js draws it."""

    key: str
    """Unique on its page: a chart that comes again under its key is replaced without a gap."""
    title: str
    """What a screen reader says."""
    height: int
    """In pixels."""
    specification: Markup
    """Vega-Lite as JSON, escaped for an attribute in single quotes."""
    vega: str
    """Address of the script that draws."""


def chart_of(key: str, title: str, height: int, specification: Mapping[str, Any]) -> Chart:
    """Return a chart for templates/parts/chart.html.

    Raises VigieError when Gradio has no Vega where it is looked for.
    """
    return Chart(key, title, height, _attribute(orjson.dumps(specification).decode()), embed_address())


def _attribute(json: str) -> Markup:
    """Leave the quotes, of which JSON is full, as they are; escaping them would double its length."""
    for mark, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;")):
        json = json.replace(mark, escaped)
    return Markup(json)  # nosec B704: escaped above


@cache
def embed_address() -> str:
    """Return the address, below `/`, of the module whose default export is vega-embed.

    Gradio's own charts load it. Raises VigieError when there is not exactly one.
    """
    found = sorted(ASSETS.glob("embed-*.js"))
    if len(found) != 1:
        raise VigieError(f"{ASSETS} has {len(found)} files embed-*.js, not one: this Gradio is another one")
    return f"./assets/{found[0].name}"
