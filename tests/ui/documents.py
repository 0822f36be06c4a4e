"""Documents of the served front end, as a browser gets them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Document:
    """A page's document, and Gradio's description of the page in it."""

    html: str
    config: dict[str, Any]

    @property
    def texts(self) -> str:
        """Everything the components say, as one text."""
        return json.dumps([found["props"] for found in self.config["components"]], ensure_ascii=False)

    def dependency(self, elem_id: str, event: str) -> dict[str, Any]:
        """Return the event of the component with that id in the document."""
        ids = {found["id"] for found in self.config["components"] if found["props"].get("elem_id") == elem_id}
        (dependency,) = [
            found
            for found in self.config["dependencies"]
            if any(target in ids and name == event for target, name in found["targets"])
        ]
        return dict(dependency)


def document(front_end: str, path: str = "/", language: str = "en", cookies: str = "") -> Document:
    """Return what a browser of `language` with `cookies` gets at `path`."""
    answer = httpx.get(
        f"{front_end}{path}",
        headers={"Accept-Language": language, "Cookie": cookies},
        timeout=60,
    )
    answer.raise_for_status()
    (config,) = re.findall(r"window\.gradio_config = (\{.*?\});</script>", answer.text, re.DOTALL)
    return Document(answer.text, json.loads(config))
