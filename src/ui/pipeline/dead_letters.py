"""Dead letters on the page of the pipeline: the list, one event unfolded, replay and discard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language
from vigie.ui.moments import moment
from vigie.ui.site import Site
from vigie.ui.value_tree import tree_of

PAGE: Final = 20
ENDED: Final = ("done", "failed")
ALL: Final = "all"


@dataclass(frozen=True)
class Place:
    """What one visitor sees of the letters."""

    before: str = ""
    """The page begins behind this letter; empty: with the newest."""
    unfolded: str = ""
    """The letter whose event is shown."""
    asked: str = ""
    """The letter, or all, of which it is asked whether it shall be thrown away."""


@dataclass(frozen=True)
class Pressed:
    """A button that was pressed, as the browser tells it."""

    action: str
    letter: str

    @classmethod
    def of(cls, data: object) -> Pressed:
        """Return it; of anything else than our own buttons the action is empty."""
        if not isinstance(data, Mapping):
            return cls("", "")
        action, letter = data.get("action"), data.get("letter")
        return cls(action if isinstance(action, str) else "", letter if isinstance(letter, str) else "")


class DeadLettersPart:
    """Draws the part and does what was pressed; shared by all visitors."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    async def letters(self, language: Language, place: Place) -> str:
        """Return the list as HTML, with one event unfolded where that is asked for."""
        try:
            parameters = {"limit": PAGE, "before": place.before or None}
            page = (await self._site.api.ask("GET", "/pipeline/dead", params=parameters)).json
        except ApiFaultError as error:
            return self._failed(language, "pipeline.away_letters", error)
        tree = None
        if any(letter["id"] == place.unfolded for letter in page["letters"]):
            try:
                letter = (await self._site.api.ask("GET", f"/pipeline/dead/{place.unfolded}")).json
                tree = tree_of(letter["event"])
            except ApiFaultError:  # it went meanwhile: the next drawing leaves it out
                tree = None
        return self._site.templates.render(
            language,
            "pipeline/letters.html",
            page=page,
            place=place,
            tree=tree,
            at=lambda timestamp: moment(timestamp, self._zone)[:-4],
            all=ALL,
        )

    def moved(self, pressed: Pressed, place: Place) -> Place:
        """Return what is seen after a button was pressed; any button ends a question."""
        match pressed.action:
            case "unfold":
                return replace(place, unfolded=pressed.letter, asked="")
            case "fold":
                return replace(place, unfolded="", asked="")
            case "ask":
                return replace(place, asked=pressed.letter)
            case "older":
                return Place(before=pressed.letter)
            case "newest":
                return Place()
        return replace(place, asked="")

    async def discard(self, language: Language, letter: str) -> str:
        """Throw away one letter, or all; return what became of it as HTML."""
        try:
            answer = await self._site.api.ask("POST", "/pipeline/discards", json=_chosen(letter))
        except ApiFaultError as error:
            return self._failed(language, "pipeline.discard_failed", error)
        return self._site.templates.render(language, "pipeline/discarded.html", found=answer.json)

    async def replay(self, language: Language, letter: str) -> tuple[str, str]:
        """Have one letter replayed, or all; return how far that is as HTML, and its id ("" once it ended)."""
        try:
            answer = await self._site.api.ask("POST", "/pipeline/replays", json=_chosen(letter))
        except ApiFaultError as error:
            return self._failed(language, "pipeline.replay_failed", error), ""
        return self._progress(language, answer.json)

    async def progress(self, language: Language, replay: str) -> tuple[str, str]:
        """Return how far a replay is as HTML, and its id ("" once it ended)."""
        try:
            answer = await self._site.api.ask("GET", f"/pipeline/replays/{replay}")
        except ApiFaultError as error:
            gone = error.status is not None and error.status < 500
            return self._failed(language, "pipeline.replay_failed", error), "" if gone else replay
        return self._progress(language, answer.json)

    def _progress(self, language: Language, found: Mapping[str, Any]) -> tuple[str, str]:
        html = self._site.templates.render(language, "pipeline/replay.html", replay=found)
        return html, "" if found["state"] in ENDED else str(found["id"])

    def _failed(self, language: Language, title: str, error: ApiFaultError) -> str:
        return self._site.templates.render(
            language, "pipeline/failed.html", title=title, failure=error.failure
        )


def _chosen(letter: str) -> dict[str, Any]:
    return {"letters": ALL if letter == ALL else [letter]}
