"""Sending: open loop, counted for what it was, stopped when asked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import pytest
from tests.servers import free_port, wait_for

from vigie.simulation.requests import Request
from vigie.simulation.rows import Row
from vigie.simulation.run import Result, Run

PAGE = Request("browse", "GET", "/model")


@dataclass
class MadeUpTime:
    """A clock that goes on when somebody waits, or when it is told to."""

    at: float = 100.0

    def now(self) -> float:
        """Return the time."""
        return self.at

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Let the time pass at once."""
        self.at += max(0.0, seconds)
        return until.is_set()


def test_a_slow_answer_is_counted_against_all_that_had_to_wait() -> None:
    """Due every second, the first answered after 3.5 s: the next are sent late, and their latency tells it."""
    clock = MadeUpTime()
    takes = iter([3.5, 0.25, 0.25, 0.25, 0.25, 0.25])

    def answer(_: httpx.Request) -> httpx.Response:
        clock.at += next(takes)
        return httpx.Response(200)

    planned = ((float(second), PAGE) for second in range(6))
    run = Run("http://api", planned, clock=clock, transport=httpx.MockTransport(answer))
    run.start()
    run.join()
    latencies = run.tally.kinds["browse"].latencies_ms
    assert latencies.tolist() == [3500, 2750, 2000, 1250, 500, 250]
    assert run.tally.late == 4
    assert clock.now() == 105.25


def test_answers_are_counted_for_what_they_are() -> None:
    """Answered, refused, failed; predictions by row; what is not the API's answer is a failure."""
    row = Row({})
    answers = {
        "/predict": httpx.Response(200, json={"transaction_id": "t0"}),
        "/batch": httpx.Response(200, json={"results": [{"transaction_id": "b0"}, {"error": "no"}]}),
        "/short": httpx.Response(200, json={"results": [{"transaction_id": "b0"}]}),
        "/foreign": httpx.Response(200, text="hello"),
        "/refused": httpx.Response(422),
        "/broken": httpx.Response(503),
    }
    planned = [
        Request("predict", "POST", "/predict", b"{}", (row,)),
        Request("batch", "POST", "/batch", b"[]", (row, row)),
        Request("batch", "POST", "/short", b"[]", (row, row)),
        Request("predict", "POST", "/foreign", b"{}", (row,)),
        Request("bad", "POST", "/refused", b"{}"),
        Request("browse", "GET", "/broken"),
    ]
    heard: list[Sequence[Result]] = []
    run = Run(
        "http://api",
        zip(itertools.repeat(0.0), planned, strict=False),
        heard=lambda _, results: heard.append(results),
        transport=httpx.MockTransport(lambda request: answers[request.url.path]),
    )
    run.start()
    run.join()
    tally = run.tally
    assert (tally.answered, tally.predictions, tally.refused, tally.failed) == (2, 2, 1, 3)
    assert dict(tally.statuses) == {200: 2, 422: 1, 503: 1, 0: 2}
    assert (tally.kinds["batch"].answered, tally.kinds["batch"].failed) == (1, 1)
    assert heard == [[{"transaction_id": "t0"}], [{"transaction_id": "b0"}, {"error": "no"}]]


def test_an_absent_api_is_counted_and_the_traffic_goes_on() -> None:
    """Requests that nobody answers count as failed; stop ends every user."""
    endless = zip(itertools.repeat(0.0), itertools.repeat(PAGE), strict=False)
    run = Run(f"http://127.0.0.1:{free_port()}", endless, users=3)
    run.start()
    wait_for(lambda: run.tally.failed >= 10)
    assert not run.finished
    run.stop()
    assert run.finished
    assert run.tally.sent == run.tally.failed == run.tally.statuses[0]


def test_what_a_user_stumbles_over_is_not_hidden() -> None:
    """A plan that breaks ends the run with its error."""

    def broken() -> None:
        raise RuntimeError("no more rows")

    run = Run("http://127.0.0.1:9", ((0.0, PAGE) for _ in iter(broken, 1)), users=2)
    run.start()
    with pytest.raises(RuntimeError, match="no more rows"):
        run.join()
