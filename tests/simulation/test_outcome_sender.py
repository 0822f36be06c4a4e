"""Outcomes are sent when they are due, once each, and counted for what the API said of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.servers import wait_for

from vigie.simulation import outcome_sender
from vigie.simulation.outcome_sender import OutcomeSender
from vigie.simulation.requests import Request
from vigie.simulation.rows import Row


@dataclass
class MadeUpTime:
    """A clock that goes on when somebody waits."""

    at: float = 100.0

    def now(self) -> float:
        """Return the time."""
        return self.at

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Let the time pass at once."""
        self.at += seconds
        return until.is_set()


@dataclass
class Api:
    """Answers lists of outcomes, and remembers when which came."""

    clock: MadeUpTime
    answer: Callable[[list[dict[str, str]]], httpx.Response]
    lists: list[tuple[float, list[dict[str, str]]]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        assert (request.method, request.url.path) == ("POST", "/feedback")
        given = json.loads(request.content)
        self.lists.append((self.clock.at, given))
        return self.answer(given)

    @property
    def ids(self) -> list[list[str]]:
        """The ids of each list."""
        return [[one["transaction_id"] for one in given] for _, given in self.lists]


def results(*statuses: str) -> httpx.Response:
    """The API's answer, one status for each item."""
    return httpx.Response(200, json={"results": [{"status": status} for status in statuses]})


def recorded(given: list[dict[str, str]]) -> httpx.Response:
    """Take all of them."""
    return results(*["recorded"] * len(given))


def answered(*delays: float | None) -> tuple[Request, list[dict[str, Any]]]:
    """A batch whose rows' outcomes are known after so many seconds, and its answer."""
    rows = tuple(Row({}, label="YES", known_after_seconds=delay) for delay in delays)
    return Request("batch", "POST", "/predict/batch", b"[]", rows), [
        {"transaction_id": f"t{position}"} for position in range(len(rows))
    ]


def sent(
    api: Api, request: Request, results: list[dict[str, Any]], *, stop_first: bool = False
) -> OutcomeSender:
    """Tell a sender of one answer and let it run to its end."""
    sender = OutcomeSender("http://api", clock=api.clock, transport=httpx.MockTransport(api))
    sender(request, results)
    if stop_first:
        sender.stop()
        return sender
    sender.start()
    sender.finish()
    wait_for(lambda: sender.finished, 60, "all to be sent")
    sender.stop()
    return sender


def test_each_is_sent_when_it_is_due() -> None:
    """In the order of their times, those due together in one list, none for a row that comes to nothing."""
    api = Api(MadeUpTime(), recorded)
    request, found = answered(5.0, 1.0, None, 5.0, 3.0)
    found[4] = {"error": "it failed"}
    sender = sent(api, request, found)
    assert api.ids == [["t1"], ["t0", "t3"]]
    assert [at for at, _ in api.lists] == pytest.approx([101.0, 105.0], abs=0.06)
    assert api.lists[0][1] == [{"transaction_id": "t1", "label": "YES"}]
    assert (sender.tally.sent, sender.tally.taken, sender.tally.waiting) == (3, 3, 0)
    assert list(sender.tally.lines()) == ["3 outcomes sent, 3 taken (3 recorded)"]


def test_they_are_counted_for_what_became_of_them() -> None:
    """Recorded, known and kept are taken; a conflict is not; a list that is refused is counted as that."""
    api = Api(MadeUpTime(), lambda _: results("recorded", "kept", "known", "conflict"))
    tally = sent(api, *answered(0, 0, 0, 0)).tally
    assert tally.as_dict() == {
        "sent": 4, "taken": 3, "failed": 0, "not_sent": 0, "left_out": 0,
        "statuses": {"recorded": 1, "kept": 1, "known": 1, "conflict": 1},
    }  # fmt: skip
    refusing = Api(MadeUpTime(), lambda _: httpx.Response(401))
    assert dict(sent(refusing, *answered(0, 0)).tally.statuses) == {"refused": 2}
    assert len(refusing.lists) == 1


def test_what_fails_is_sent_again_and_in_the_end_given_up() -> None:
    """A fault is waited out; nothing of it is counted twice, and after five tries it is a failure."""
    faults = iter([httpx.Response(503), httpx.Response(200, text="hello"), httpx.Response(429)])
    api = Api(MadeUpTime(), lambda given: next(faults, None) or recorded(given))
    tally = sent(api, *answered(0, 0)).tally
    assert api.ids == [["t0", "t1"]] * 4
    assert [at for at, _ in api.lists] == pytest.approx([100, 102, 104, 106], abs=0.2)
    assert (tally.sent, tally.taken, tally.failed) == (2, 2, 0)
    failing = Api(MadeUpTime(), lambda _: httpx.Response(500))
    tally = sent(failing, *answered(0)).tally
    assert (len(failing.lists), tally.sent, tally.taken, tally.failed, tally.waiting) == (5, 1, 0, 1, 0)
    assert list(tally.lines())[1] == "1 outcomes failed: no good answer in 5 tries"


def test_at_a_stop_the_rest_is_said_to_be_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not due is not sent but counted, and so is what there was no room for."""
    monkeypatch.setattr(outcome_sender, "MOST_WAITING", 2)
    api = Api(MadeUpTime(), recorded)
    tally = sent(api, *answered(9, 9, 9), stop_first=True).tally
    assert api.lists == []
    assert (tally.sent, tally.waiting, tally.left_out) == (0, 2, 1)
    assert list(tally.lines())[1] == "2 outcomes were not sent: they were not due when it ended"


def test_a_long_list_is_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list is longer than the API takes."""
    monkeypatch.setattr(outcome_sender, "MOST_AT_ONCE", 2)
    api = Api(MadeUpTime(), recorded)
    assert sent(api, *answered(*[0.0] * 5)).tally.taken == 5
    assert api.ids == [["t0", "t1"], ["t2", "t3"], ["t4"]]


def test_what_it_stumbles_over_is_not_hidden() -> None:
    """A defect ends it, and `stop` raises it."""

    def broken(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("a defect")

    sender = OutcomeSender("http://api", transport=httpx.MockTransport(broken))
    sender(*answered(0))
    sender.start()
    sender.finish()
    wait_for(lambda: sender.finished, 60, "the end")
    with pytest.raises(RuntimeError, match="a defect"):
        sender.stop()
