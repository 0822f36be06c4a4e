"""Reloads as operators ask for them: by command and by signal, of an API of several processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from tests.model.packages import install
from tests.servers import wait_for
from tests.stack import Stack
from typer.testing import CliRunner

from vigie.model.commands import model_app
from vigie.model.package import ONNX
from vigie.model.reload_request import answers


@contextmanager
def predicting(stack: Stack) -> Iterator[list[tuple[int, str]]]:
    """Predict without a pause on one connection; collects each answer's status and model version."""
    answers: list[tuple[int, str]] = []
    ended = threading.Event()

    def predict() -> None:
        with httpx.Client(base_url=stack.url("api"), timeout=60) as client:
            record = client.get("/openapi.json").json()["components"]["schemas"]["Record"]["examples"][0]
            while not ended.is_set():
                answer = client.post("/predict", json=record)
                answers.append((answer.status_code, answer.json().get("model_version", "")))

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def test_every_process_reloads_by_command_and_by_signal(
    tmp_path: Path, place: Path, successor_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP makes each worker judge the package without ending one; the command says what each of them did.

    No request fails meanwhile, and a broken package is refused by all.
    """
    monkeypatch.setattr("vigie.model.commands.load_settings", lambda: stack.settings)

    def reload() -> tuple[int, str]:
        result = CliRunner().invoke(model_app, ["reload", "--wait", "120"])
        return result.exit_code, result.output

    stack = Stack(tmp_path / "home", place, {"API_WORKERS": "2", "LOG_TO_REDIS": "false"})
    try:
        assert reload() == (1, f"no API runs on VIGIE_HOME={stack.home}: start it with `make run-api`\n")
        stack.launch("api")
        parent = psutil.Process(stack.processes["api"].pid)
        wait_for(
            lambda: len(parent.children()) == 3, 120, "both workers' processes and their resource tracker"
        )
        started = {child.pid for child in parent.children()}
        for pid in started:
            os.kill(pid, signal.SIGHUP)  # long before a worker can handle it
        wait_for(lambda: len([*answers(stack.home)]) == 2, 120, "both workers")
        status, told = reload()
        assert status == 0
        pids = {int(pid) for pid in re.findall(r"API process (\d+) on .*: 1.0.0 is what is served", told)}
        assert len(pids) == 2
        assert pids < {child.pid for child in parent.children()} == started

        with predicting(stack) as predictions:
            with (place / ONNX).open("ab") as graph:
                graph.write(b"!")
            refusal = "vigie.api.reload: the package at MODEL_PATH is not served"

            parent.send_signal(signal.SIGHUP)
            wait_for(lambda: stack.output("api").count(refusal) == 2, 120, "both workers to refuse")
            status, told = reload()
            assert (status, told.count("refused, 1.0.0 goes on answering:")) == (1, 2)
            assert "model.onnx: its SHA-256 is not the manifest's" in told

            install(successor_path, place)
            assert reload()[0] == 0
            seen = len(predictions)
            wait_for(lambda: len(predictions) > seen + 10, 120, "more answers")
        assert {status for status, _ in predictions} == {200}
        assert {version for _, version in predictions} == {"1.0.0", "2.0.0"}
        assert {version for _, version in predictions[seen + 2 :]} == {"2.0.0"}
        assert {child.pid for child in parent.children()} == started
    finally:
        stack.stop()


def test_workers_end_with_their_parent(tmp_path: Path, package_path: Path) -> None:
    """After its hard kill the port is free for the next start; what they had to ship is shipped."""
    stack = Stack(tmp_path / "home", package_path, {"API_WORKERS": "2", "LOG_TO_REDIS": "false"})
    try:
        stack.start("api")
        wait_for(lambda: len([*answers(stack.home)]) == 2, 120, "both workers")
        workers = psutil.Process(stack.processes["api"].pid).children()
        transaction_id = httpx.get(f"{stack.url('api')}/").headers["x-transaction-id"]
        stack.kill("api")
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (3, [])
        assert stack.output("api").count("this one ends") >= 2
        assert f'"transaction_id":"{transaction_id}"' in stack.output("api")
        stack.start("api")
    finally:
        stack.stop()


IN_A_TERMINAL = """
import os, pty, signal, sys
nohup = {nohup}
pid, terminal = pty.fork()
if pid == 0:
    from vigie.api.hangup import Hangup, lives_by_terminal
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    meaning = Hangup(lambda: os._exit(3), lambda: os._exit(7), lives_by_terminal=lives_by_terminal())
    signal.signal(signal.SIGHUP, lambda *_: meaning())
    os.write(1, b"ready")
    while True:
        signal.pause()
while b"ready" not in os.read(terminal, 1000):
    pass
{what}
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(
    ("what", "nohup", "status"),
    [
        ("os.kill(pid, signal.SIGHUP)", False, 3),
        ("os.close(terminal)", False, 7),
        ("os.close(terminal)", True, 3),
    ],
)
def test_a_terminal_that_goes_ends_what_it_started(what: str, nohup: bool, status: int) -> None:
    """SIGHUP is a reload when somebody sends it, and the end when the terminal was closed; not after `nohup`."""
    script = IN_A_TERMINAL.format(what=what, nohup=nohup)
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == status
