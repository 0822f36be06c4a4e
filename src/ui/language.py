"""Which language a visitor reads: the switch's cookie, else the browser's wish, else English."""

from __future__ import annotations

from typing import Final, Literal, Protocol

Language = Literal["en", "fr"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "fr")
DEFAULT: Final[Language] = "en"
COOKIE: Final = "language"


class Cookies(Protocol):
    """The cookies of a request, Starlette's as well as Gradio's."""

    def get(self, name: str, /) -> str | None:
        """Return the cookie of that name."""
        ...


class Asking(Protocol):
    """What is looked at of a request: `gr.Request` and Starlette's both have it."""

    @property
    def cookies(self) -> Cookies:
        """What the browser kept."""
        ...

    @property
    def headers(self) -> Cookies:
        """What the browser said."""
        ...


def language_of(request: Asking) -> Language:
    """Return the language in which to answer `request`."""
    chosen = request.cookies.get(COOKIE)
    for language in LANGUAGES:
        if language == chosen:
            return language
    return preferred(request.headers.get("accept-language") or "")


def preferred(accepted: str) -> Language:
    """Return the language that an Accept-Language header likes best of ours (RFC 9110, 12.5.4)."""
    best: tuple[float, Language] = (0.0, DEFAULT)
    for part in accepted.lower().split(","):
        tag, _, parameters = part.strip().partition(";")
        weight = _quality(parameters)
        for language in LANGUAGES:
            if tag.split("-")[0] == language and weight > best[0]:
                best = (weight, language)
    return best[1]


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
