"""A logged request as a command: what a shell makes of it is what was sent."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.ui.logs.curl import curl_command

API = "http://127.0.0.1:8000"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def command(**data: Any) -> str | None:
    """The command for an event's data."""
    return curl_command(API, {"method": "POST", "path": "/predict", **data})


def body_of(line: str | None) -> str:
    """What a shell gives curl as the body."""
    assert line is not None
    words = shlex.split(line)
    return words[words.index("--data-raw") + 1]


def test_a_prediction_is_repeated_with_its_record_and_subject() -> None:
    """The command names method, address, content type and body."""
    line = command(input_data={"AGE": 60, "NOTE": "it's"}, subject_id="p-7")
    assert shlex.split(line or "") == [
        "curl", "--globoff", "--request", "POST", f"{API}/predict", "--header",
        "Content-Type: application/json", "--data-raw",
        '{"AGE": 60, "NOTE": "it\'s", "subject_id": "p-7"}',
    ]  # fmt: skip


def test_a_row_is_repeated_as_a_batch_of_one() -> None:
    """Its path is that of the batch."""
    line = command(path="/predict/batch", batch_id="b", input_data={"AGE": 60})
    assert json.loads(body_of(line)) == [{"AGE": 60}]
    refused = command(path="/predict/batch", batch_id="b", rejected_input={"AGE": 600})
    assert json.loads(body_of(refused)) == [{"AGE": 600}]


def test_a_refused_body_is_repeated_as_it_was_if_it_is_whole_and_harmless() -> None:
    """JSON as JSON, other text as it is; what may be cut, or would steer a terminal, gives no command."""
    assert json.loads(body_of(command(rejected_input=[1, "x"]))) == [1, "x"]
    assert body_of(command(rejected_input="not json\n$(reboot)")) == "not json\n$(reboot)"
    assert command(rejected_input="x" * 4096) is None
    assert command(rejected_input="\x1b]0;title\x07") is None
    assert command(rejected_input="\u202emirrored") is None


def test_what_is_no_whole_request_gives_no_command() -> None:
    """A batch's records are not stored; a log line is no request; a method or path may be made up."""
    assert command() is None
    assert curl_command(API, {}) is None
    assert command(method="POST -o /etc/passwd", input_data={}) is None
    assert command(method=7, input_data={}) is None
    assert command(path="@elsewhere.example/", input_data={}) is None
    assert command(path=None, input_data={}) is None


def test_a_request_without_a_body_needs_none() -> None:
    """What is strange in a path is encoded, and curl takes no part of it for a pattern."""
    line = command(method="GET", path="/a b/{x}[1-9]/it's/é?&#%41")
    assert shlex.split(line or "") == [
        "curl", "--globoff", "--request", "GET", f"{API}/a%20b/%7Bx%7D%5B1-9%5D/it%27s/%C3%A9%3F%26%23%2541",
    ]  # fmt: skip


@given(st.dictionaries(st.text(), ANYTHING, min_size=1, max_size=4), st.text())
def test_no_content_gets_out_of_its_quotes(record: dict[str, Any], path: str) -> None:
    """Whatever is stored, a shell reads one command with nine words, and the body is the record."""
    line = command(path=f"/{path}".encode("utf-8", "replace").decode(), input_data=record)
    words = shlex.split(line or "")
    assert len(words) == 9
    assert json.loads(words[-1]) == record
    assert line is not None
    assert line.isascii()
    assert line.isprintable()
    assert words[4].startswith(f"{API}/")


class _Keeping(BaseHTTPRequestHandler):
    """Keeps what it was sent."""

    kept: list[tuple[str, str, bytes]] = []  # noqa: RUF012 - the server makes a new object for each request

    def do_POST(self) -> None:
        """Keep method, path and body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.kept.append((self.command, self.path, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server that keeps what it was sent."""
    with HTTPServer(("127.0.0.1", 0), _Keeping) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join(60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_pasted_into_a_shell_it_sends_what_was_sent(server: HTTPServer) -> None:
    """A real shell and a real curl, with a record that tries to leave its quotes."""
    record = {"AGE": 60, "'; touch /tmp/pwned; '": "$(reboot) `reboot` \\ \" ' @file \n é"}
    line = curl_command(
        f"http://127.0.0.1:{server.server_port}/",
        {"method": "POST", "path": "/predict/[x]", "input_data": record},
    )
    subprocess.run(["sh", "-c", line or "false"], check=True, timeout=60, capture_output=True)
    ((method, path, body),) = _Keeping.kept
    assert (method, path, json.loads(body)) == ("POST", "/predict/%5Bx%5D", record)
