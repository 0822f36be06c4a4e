"""The commands' client: answers, refusals and an absent API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.servers import free_port

from vigie.client import ApiError, ask_api
from vigie.settings import Settings

ANSWERS: dict[str, tuple[int, str]] = {
    "/good": (200, '{"a": 1}'),
    "/list": (200, "[1]"),
    "/problem": (
        409,
        json.dumps(
            {"title": "Conflict", "detail": "busy", "errors": [{"field": "force", "reason": "needed"}]}
        ),
    ),
    "/html": (502, "<h1>Bad gateway</h1>"),
}


class Handler(BaseHTTPRequestHandler):
    """Answers each path with what ANSWERS says."""

    def do_GET(self) -> None:
        """Answer."""
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Iterator[Settings]:
    """Settings whose API is the small server above."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield settings_for(API_PORT=server.server_address[1])
    server.shutdown()
    server.server_close()


def test_an_answer_is_its_json(settings: Settings) -> None:
    """The JSON object of a successful answer is returned."""
    assert ask_api(settings, "GET", "/good") == {"a": 1}


def test_a_problem_document_is_told_in_its_own_words(settings: Settings) -> None:
    """Title, detail and field reasons of a refusal reach the operator."""
    with pytest.raises(ApiError, match=r"GET /problem: 409 Conflict — busy — force: needed"):
        ask_api(settings, "GET", "/problem")


def test_an_expected_refusal_is_an_answer(settings: Settings) -> None:
    """A status that the caller expects is not an error."""
    assert ask_api(settings, "GET", "/problem", expected=(409,))["title"] == "Conflict"


@pytest.mark.parametrize(("path", "reason"), [("/html", "502 <h1>Bad"), ("/list", "not a JSON object")])
def test_an_answer_that_is_no_json_object_is_named(settings: Settings, path: str, reason: str) -> None:
    """Somebody else's answer is shown as it came."""
    with pytest.raises(ApiError, match=reason):
        ask_api(settings, "GET", path)


def test_an_absent_api_says_how_to_start_it(settings_for: Callable[..., Settings]) -> None:
    """With nothing listening, the message says which address and which command."""
    port = free_port()
    with pytest.raises(ApiError, match=rf"127\.0\.0\.1:{port} does not answer.*make run-api"):
        ask_api(settings_for(API_PORT=port), "GET", "/health")
