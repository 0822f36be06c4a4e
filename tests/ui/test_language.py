"""Which language a visitor reads."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from vigie.ui.language import language_of, preferred


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("de-DE,de;q=0.9,fr;q=0.3,en;q=0.2", "fr"),
        ("fr;q=0.5, EN;q=0.7", "en"),
        ("de", "en"),
        ("fr;q=0", "en"),
        ("fr;q=nonsense", "en"),
        ("frr", "en"),
        ("*;q=1;;,=", "en"),
    ],
)
def test_the_browsers_wish_decides(accepted: str, language: str) -> None:
    """The language of ours with the highest weight; what cannot be read, and every other language, is English."""
    assert preferred(accepted) == language


@pytest.mark.parametrize(
    ("cookie", "language"), [("language=fr", "fr"), ("language=en", "en"), ("language=de", "fr"), ("", "fr")]
)
def test_the_switch_goes_before_the_browser(cookie: str, language: str) -> None:
    """The cookie that the switch sets decides, if it names a language of ours."""
    headers = [(b"accept-language", b"fr"), (b"cookie", cookie.encode())]
    assert language_of(Request({"type": "http", "headers": headers})) == language
