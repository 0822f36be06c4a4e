"""`vigie simulate` against a running API: what it says is what the API answered."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.servers import ROOT, free_port, outside, wait_for
from tests.stack import Stack

from vigie.schema import FeatureSchema


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, package_path: Path) -> Iterator[Stack]:
    """An API without Redis and store: they have no part in this."""
    one = Stack(tmp_path_factory.mktemp("simulate") / "home", package_path, {"LOG_TO_REDIS": "false"})
    try:
        one.start("api")
        yield one
    finally:
        one.stop()


def simulate(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "vigie.cli", "simulate", *arguments],
        cwd=ROOT,
        env={**outside(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def counted(stack: Stack, status: str) -> int:
    """Return the requests to /predict… that the API counts with that status, in its own metrics."""
    lines = httpx.get(stack.url("api") + "/metrics", timeout=30).text.splitlines()
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in lines
        if line.startswith("vigie_http_requests_total")
        and 'path="/predict' in line
        and f'status="{status}"' in line
    )


def test_what_it_counts_is_what_the_api_counts(stack: Stack) -> None:
    """Good ones are answered, bad ones refused with 422, and the API has counted the same."""
    before = {status: counted(stack, status) for status in ("ok", "refused")}
    running = simulate(
        stack.environment, "--requests", "200", "--rate", "400", "--bad", ".2", "--batch", ".1", "--json"
    )
    said, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    summary = json.loads(said)
    kinds = summary["kinds"]
    assert {kind: (one["answered"], one["refused"]) for kind, one in kinds.items()} == {
        "bad": (0, kinds["bad"]["sent"]),
        "batch": (kinds["batch"]["sent"], 0),
        "predict": (kinds["predict"]["sent"], 0),
    }
    assert (summary["sent"], summary["failed"]) == (200, 0)
    assert summary["predictions"] == kinds["predict"]["sent"] + 8 * kinds["batch"]["sent"]
    assert summary["statuses"] == {"200": summary["answered"], "422": summary["refused"]}
    assert summary["source"] == "the simulated cohort"
    assert counted(stack, "refused") - before["refused"] == summary["refused"]
    assert counted(stack, "ok") - before["ok"] == summary["answered"]


def test_ctrl_c_ends_it_with_the_summary(stack: Stack) -> None:
    """Without an end it goes on until SIGINT, then says in 80 columns what came of it."""
    before = counted(stack, "ok")
    running = simulate(stack.environment, "--rate", "50")
    wait_for(lambda: counted(stack, "ok") > before, 60, "an answer")
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    header, row, *rest = said.splitlines()
    assert header.split() == [
        "requests",
        "sent",
        "answered",
        "refused",
        "failed",
        "p50",
        "ms",
        "p95",
        "p99",
        "max",
    ]
    assert row.split()[:3] == ["predict", *row.split()[1:2] * 2]
    assert max(map(len, said.splitlines())) <= 80
    assert any(line == "rows of the simulated cohort, seed 1" for line in rest)


def test_without_an_api_it_is_one_line_and_status_2() -> None:
    """An API that is away when it begins is said in one line."""
    running = simulate({"API_PORT": str(free_port())}, "--requests", "3")
    said, errors = running.communicate(timeout=60)
    assert (running.returncode, said) == (2, "")
    assert "does not answer" in errors
    assert len(errors.splitlines()) == 1


class Failing(BaseHTTPRequestHandler):
    """An API that knows its schema, and answers every prediction with 500."""

    schema: bytes

    def do_GET(self) -> None:
        """Answer the schema."""
        self._answer(200, self.schema)

    def do_POST(self) -> None:
        """Fail."""
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(500, b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_failed_answers_are_said_and_are_exit_status_1(schema: FeatureSchema) -> None:
    """What the API answers with 500 is counted, said in words, and makes the exit status 1."""
    Failing.schema = schema.model_dump_json().encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            running = simulate({"API_PORT": str(server.server_port)}, "--requests", "9", "--rate", "100")
            said, errors = running.communicate(timeout=60)
        finally:
            server.shutdown()
    assert running.returncode == 1, errors
    assert "9 failed: 9 with 500" in said.splitlines()
