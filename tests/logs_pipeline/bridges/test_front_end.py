"""The front end as the http source sees it: a page, or words that say what is wrong and what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from tests.servers import free_port

from vigie.logs_pipeline.bridges.bridge import BridgeError
from vigie.logs_pipeline.bridges.front_end import FrontEnd, Page

HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
ENTRY = {
    "id": "5-1",
    "producer": "p",
    "number": 1,
    "timestamp": None,
    "level": None,
    "message": "",
    "data": {},
}
PAGE = {"logs": [ENTRY], "next": "5-1", "oldest": "5-1"}


class Space(ThreadingHTTPServer):
    """Answers as it is told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, JSON, orjson.dumps(PAGE))
        self.drip: Callable[[], bool] | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request to the Space."""

    server: Space

    def do_GET(self) -> None:
        """Answer as told."""
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        while self.server.drip and self.server.drip():
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def space() -> Iterator[Space]:
    """A Space in a thread."""
    server = Space()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def ask(space: Space, token: str | None = None, after: str = "", **options: Any) -> Page:
    """The page after `after`."""
    front_end = FrontEnd(space.url + "/", SecretStr(token) if token else None, **options)
    try:
        return front_end.page(after, 500, "vigie-x", lambda: None)
    finally:
        front_end.close()


def problem(space: Space, *answer: Any, token: str | None = None, after: str = "") -> BridgeError:
    """What is said of an answer that is no page."""
    if answer:
        space.answer = answer
    with pytest.raises(BridgeError) as caught:
        ask(space, token, after)
    return caught.value


def test_a_page_is_asked_for_with_consumer_and_token(space: Space) -> None:
    """`after` confirms what was admitted; the token goes along as bearer."""
    page = ask(space, "hf_secret", after="4-0")
    assert (page.logs[0].id, page.next, page.oldest) == ("5-1", "5-1", "5-1")
    assert page.logs[0].model_dump() == ENTRY
    ((path, headers),) = space.asked
    assert path == "/logs_api?after=4-0&limit=500&consumer=vigie-x"
    assert headers["Authorization"] == "Bearer hf_secret"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, HTML, b"<!doctype html>Preparing Space"), "a Space that is asleep or starts"),
        ((200, HTML, b"<html>building</html>"), "a Space that is asleep or starts"),
        ((200, {}, b"  <html>no type</html>"), "a Space that is asleep or starts"),
        ((200, JSON, b'{"logs": ['), "does not answer JSON"),
        ((200, JSON, b"[]"), "answers no page"),
        ((200, JSON, b'{"logs": [{"x": 1}], "next": "", "oldest": null}'), "logs.0.id: Field required"),
        ((200, JSON, orjson.dumps({**PAGE, "oldest": "yesterday"})), "oldest: Value error"),
        ((200, JSON, orjson.dumps({**PAGE, "logs": [ENTRY, ENTRY]})), "out of order"),
        ((401, JSON, b"{}"), "set HF_TOKEN to one that may read the Space"),
        ((403, HTML, b"<html>no</html>"), "set HF_TOKEN"),
        ((403, PROBLEM, b'{"title": "Role missing", "detail": "needs read-logs"}'), "needs read-logs"),
        ((404, HTML, b"<html>not found</html>"), "set HF_TOKEN if the Space is private"),
        ((503, PROBLEM, b'{"title": "Logs unavailable", "detail": "Redis is away"}'), "(503): Redis is away"),
        ((500, JSON, b"oops"), "fails (500)"),
        ((429, {}, b""), "asked too often"),
    ],
)
def test_what_is_no_page_is_told_with_its_remedy(space: Space, answer: Any, said: str) -> None:
    """Whatever a Space answers, the operator reads what it means; every message names the address."""
    message = str(problem(space, *answer))
    assert said in message
    assert message.startswith(space.url)


def test_a_refused_token_is_told_and_never_printed(space: Space) -> None:
    """With a token set, the remedy is another token."""
    message = str(problem(space, 401, JSON, b"{}", token="hf_secret"))
    assert "refuses HF_TOKEN" in message
    assert "hf_secret" not in message
    assert "HF_TOKEN" not in str(problem(space, 404, HTML, b"", token="hf_secret"))


def test_a_redirect_is_not_followed(space: Space) -> None:
    """The token goes to GRADIO_URL alone, and where the redirect leads is told."""
    message = str(problem(space, 302, {"Location": f"{space.url}/waking"}, b"", token="hf_secret"))
    assert f"sends to {space.url}/waking (302)" in message
    assert len(space.asked) == 1


def test_an_entry_that_is_not_after_the_cursor_is_refused(space: Space) -> None:
    """A front end that ignores `after` would be collected for ever."""
    assert "out of order" in str(problem(space, after="5-1"))


def test_the_pause_that_is_asked_for_is_kept_within_reason(space: Space) -> None:
    """Retry-After in seconds, at most five minutes; anything else is no pause."""
    assert problem(space, 429, {"Retry-After": "17"}, b"").retry_seconds == 17
    assert problem(space, 429, {"Retry-After": "86400"}, b"").retry_seconds == 300
    assert problem(space, 429, {"Retry-After": "Wed, 21 Oct"}, b"").retry_seconds == 0


def test_nobody_there_is_told() -> None:
    """A port that nothing listens on."""
    front_end = FrontEnd(f"http://127.0.0.1:{free_port()}", None)
    with pytest.raises(BridgeError, match=r"does not answer .* correct GRADIO_URL"):
        front_end.page("", 500, "c", lambda: None)
    with pytest.raises(BridgeError, match="does not answer"):
        FrontEnd("nonsense", None).page("", 500, "c", lambda: None)


def test_an_answer_that_drips_ends(space: Space) -> None:
    """Byte by byte for ever is cut off; the turn is renewed meanwhile."""
    going, renewed = threading.Event(), threading.Event()
    space.answer, space.drip = (200, JSON, b" "), lambda: not going.wait(0.01)
    front_end = FrontEnd(space.url, None, longest_seconds=0.2)
    try:
        with pytest.raises(BridgeError, match="still answering"):
            front_end.page("", 500, "c", renewed.set)
    finally:
        going.set()
    assert renewed.is_set()


def test_an_answer_without_end_is_cut(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded whatever the other side sends."""
    monkeypatch.setattr("vigie.logs_pipeline.bridges.front_end.LARGEST_ANSWER_BYTES", 1000)
    assert "more than 1000 bytes" in str(problem(space, 200, JSON, b" " * 5000))
