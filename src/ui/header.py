"""The frame around every page: what stands in the document's head, and the header above the page."""

from __future__ import annotations

from typing import Final, Literal, cast

from pydantic import BaseModel, ValidationError

from vigie.ui.bundle import Bundle
from vigie.ui.language import Language
from vigie.ui.page import PAGES, Page
from vigie.ui.site import Site
from vigie.ui.texts import sentence

NAMES: Final[tuple[tuple[Language, str], ...]] = (("en", "English"), ("fr", "Français"))
HEALTH_SECONDS: Final = 3.0
"""The API's own probes take half a second each at most."""
COMPONENT_WORDS: Final = ("frame.component_upload", "frame.component_file")
"""Names that Gradio gives to parts of its components in English, whatever the language."""
THEME_COOKIE: Final = "theme"

Theme = Literal["system", "light", "dark"]
State = Literal["ok", "degraded", "unavailable", "away"]
BADGES: Final[dict[State, str]] = {
    "ok": "ok",
    "degraded": "refused",
    "unavailable": "failed",
    "away": "failed",
}


def theme_of(cookie: str | None) -> Theme:
    """Return the appearance that the visitor chose; without a choice the system's."""
    return cast(Theme, cookie) if cookie in {"light", "dark"} else "system"


class Frame:
    """Makes the frame's HTML."""

    def __init__(self, site: Site, theme_hash: str, style: Bundle, script: Bundle) -> None:
        self._site = site
        self._theme_hash = theme_hash
        self._style = style
        self._script = script

    def head(self, language: Language) -> str:
        """Return what stands in the head of the document, before anything of Gradio's."""
        return self._site.templates.render(
            language, "base/head.html", theme_hash=self._theme_hash, script=self._script.name
        )

    def header(self, language: Language, theme: Theme, page: Page) -> str:
        """Return what stands at the beginning of the body of `page`."""
        return self._site.templates.render(
            language,
            "base/header.html",
            style=self._style.name,
            theme=theme,
            model_title=self._site.schema.title.in_language(language),
            languages=NAMES,
            pages=PAGES,
            current=page.path,
            words=self._component_words(language),
            notice=sentence(self._site.notice(language)),
        )

    def _component_words(self, language: Language) -> dict[str, str]:
        texts = [self._site.texts.both(key) for key in COMPONENT_WORDS]
        return {text["en"]: text[language] for text in texts if language != "en"}

    def title(self, language: Language, page: Page) -> str:
        """Return the document's title."""
        say = self._site.texts.say
        return f"{say(language, f'frame.{page.key}')} · {say(language, 'frame.title')}"


class _Model(BaseModel):
    version: str = ""


class _Health(BaseModel):
    """The part of the API's /health that the header shows."""

    status: Literal["ok", "degraded", "unavailable"]
    reasons: tuple[str, ...] = ()
    model: _Model = _Model()


async def health(site: Site, language: Language) -> str:
    """Return how the API is, as HTML; also when it does not answer."""
    document = await site.api.health(HEALTH_SECONDS)
    try:
        found = _Health.model_validate(document)
    except ValidationError:
        reason = site.texts.say(language, "frame.health_away_reason", url=site.api.url)
        return _badge(site, language, "away", (reason,), "")
    return _badge(site, language, found.status, found.reasons, found.model.version)


def _badge(site: Site, language: Language, state: State, reasons: tuple[str, ...], version: str) -> str:
    return site.templates.render(
        language, "base/health.html", state=state, kind=BADGES[state], reasons=reasons, version=version
    )
