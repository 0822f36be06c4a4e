"""How the API is, in the header."""

from __future__ import annotations

import httpx
import pytest
from tests.ui.doubles import ANSWER, ApiDouble

MODEL = {"name": "lung_cancer", "version": "<1.0>"}


@pytest.mark.parametrize(
    ("status", "answer", "badge", "words"),
    [
        (200, {"status": "ok", "reasons": [], "model": MODEL}, "ok", "All is well"),
        (
            200,
            {"status": "degraded", "reasons": ["the store is <away>"], "model": MODEL},
            "refused",
            "see Pipeline",
        ),
        (
            503,
            {"status": "unavailable", "reasons": ["golden row"], "model": MODEL},
            "failed",
            "Cannot predict now",
        ),
        (200, ANSWER, "failed", "The API does not answer"),
        (500, "Traceback <b>", "failed", "The API does not answer"),
    ],
)
def test_the_header_says_how_the_api_is(
    front_end: str, api_double: ApiDouble, status: int, answer: object, badge: str, words: str
) -> None:
    """State in words, each reason, the version; nothing of it as markup."""
    api_double.answer_with(status, answer)
    found = httpx.get(f"{front_end}/frame/health")
    assert found.status_code == 200
    assert f'class="badge {badge}"' in found.text
    assert words in found.text
    assert not any(markup in found.text for markup in ("<away>", "<1.0>", "<b>"))
    if isinstance(answer, dict) and answer.get("reasons"):
        assert str(answer["reasons"][0]).replace("<", "&lt;").replace(">", "&gt;") in found.text
    french = httpx.get(f"{front_end}/frame/health", headers={"Accept-Language": "fr"}).text
    assert words not in french
