"""Emptying the stream of recent logs, as the API allows it, and what became of that in words."""

from __future__ import annotations

from dataclasses import dataclass

from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language
from vigie.ui.numbers import number
from vigie.ui.site import Site


@dataclass(frozen=True, slots=True)
class Cleared:
    """What the page says, and whether it may offer to delete what is not indexed too."""

    html: str
    may_force: bool = False


class Clearing:
    """Asks the API, which knows who may do this."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def question(self, language: Language) -> str:
        """Return what is asked before anything is deleted."""
        return self._site.templates.render(language, "logs/clear.html", said="", kind="")

    async def clear(self, language: Language, *, force: bool) -> Cleared:
        """Empty the stream; what is not indexed goes only by `force`."""
        params = {"force": "true"} if force else None
        try:
            answer = await self._site.api.ask("DELETE", "/logs", params=params)
        except ApiFaultError as error:
            return self._failed(language, error)
        said = self._say(language, "logs.cleared", cleared=number(language, answer.json["cleared"]))
        if answer.json["pending"]:
            left = self._say(language, "logs.cleared_left", pending=number(language, answer.json["pending"]))
            said = f"{said} {left}"
        return self._told(language, said, "ok")

    def _failed(self, language: Language, error: ApiFaultError) -> Cleared:
        if error.status == 409:
            counts = {name: number(language, error.document[name]) for name in ("pending", "stored")}
            return self._told(language, self._say(language, "logs.clear_pending", **counts), "refused", True)
        if error.status in {401, 403}:
            return self._told(language, self._say(language, "logs.clear_role"), "failed")
        if error.status == 503:
            return self._told(language, self._say(language, "logs.clear_unavailable"), "failed")
        said = self._say(language, "logs.clear_failed", url=self._site.api.url)
        return self._told(language, said, "failed")

    def _say(self, language: Language, key: str, **values: str) -> str:
        return self._site.texts.say(language, key, **values)

    def _told(self, language: Language, said: str, kind: str, may_force: bool = False) -> Cleared:
        html = self._site.templates.render(language, "logs/clear.html", said=said, kind=kind)
        return Cleared(html, may_force)
