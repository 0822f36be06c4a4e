"""An API that answers as a test wants, for pages that ask it; and what a page says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vigie.ui.api_client import Answer, ApiFaultError
from vigie.ui.outcome import Failure
from vigie.ui.site import Site

HOSTILE = "<img src=x onerror=alert(1)>${1}{{2}}"


def away(status: int | None = None, document: Mapping[str, Any] | None = None) -> ApiFaultError:
    """What asking raises when the API is away, or answers so."""
    failure = Failure(
        "failure.away", "failure.nothing_answers", ("failure.stays_away",), "away", "id", url="http://api"
    )
    return ApiFaultError(failure, status, document)


class Api:
    """Answers in the API's place."""

    url = "http://api"

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, str, Any]] = []

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Return (or raise) what is kept for the path."""
        self.asked.append((method, path, options.get("json") or options.get("params")))
        found = self.answers[path]
        if isinstance(found, Exception):
            raise found
        return Answer(200, found)


def with_api(site: Site, **answers: Any) -> Api:
    """Put a double in the API's place; names are paths with _ for /."""
    api = Api({f"/{name.replace('_', '/')}": answer for name, answer in answers.items()})
    object.__setattr__(site, "api", api)
    return api


def words(html: str) -> str:
    """Return the page's words, with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("\u202f", " ").replace("\u00a0", " ").split())
