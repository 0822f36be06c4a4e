"""A whole remote installation is collected by another: its front end polled, its events stored once here."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.servers import wait_for
from tests.stack import Stack

from vigie.model.cohort import draw
from vigie.schema import FeatureSchema
from vigie.telemetry.stream.admission import Admission, bridges
from vigie.telemetry.stream.keys import FOREIGN_LIST
from vigie.telemetry.stream.stream import Stream

PREDICTIONS = 120
PUSHED = 6000
KILLS = 2


@pytest.fixture
def remote(tmp_path: Path, package_path: Path) -> Iterator[Stack]:
    """An installation that predicts and shows its events; it has no store."""
    one = Stack(tmp_path / "remote", package_path)
    try:
        one.start("redis", "api")
        one.launch("ui")  # the pipeline asks it until it is there
        yield one
    finally:
        one.stop()


@pytest.fixture
def local(tmp_path: Path, package_path: Path, remote: Stack) -> Iterator[Stack]:
    """An installation of its own that collects from the remote one and from its list."""
    sources = {"PIPELINE_SOURCES": "redis,http,list", "POLL_INTERVAL": "0.2", "GRADIO_URL": remote.url("ui")}
    one = Stack(tmp_path / "local", package_path, sources)
    try:
        one.start("redis", "store")
        yield one
    finally:
        one.stop()


def pushed(number: int) -> dict[str, Any]:
    """An event of a program in another language: every other one numbered by itself."""
    own = {"producer": "cobol", "number": number} if number % 2 else {}
    return {
        "timestamp": f"2026-11-20T10:30:45.{number:06}Z",
        "level": "INFO",
        "message": f"pushed {number}",
        "data": own,
    }


def predict(remote: Stack, records: list[dict[str, Any]]) -> list[str]:
    """Ask the remote installation for predictions; return the answered ids."""
    with httpx.Client(base_url=remote.url("api"), timeout=30) as client:
        return [
            client.post("/predict", json=dict(one)).raise_for_status().json()["transaction_id"]
            for one in records
        ]


def shown(stream: Stream) -> set[str]:
    """The transaction ids in a stream."""
    events = (orjson.loads(entry.event) for entry in stream.after("", 10_000))
    return {event["data"].get("transaction_id", "") for event in events}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_remote_events_are_stored_exactly_once_through_kills(
    remote: Stack, local: Stack, schema: FeatureSchema
) -> None:
    """The polling pipeline is killed at random moments, front end and Redis are restarted: the ids that the
    remote API answered, and what was pushed, are each stored once."""
    dice = random.Random(5)
    records, _ = draw(schema, PREDICTIONS, seed=3)
    here, there = Stream.open(local.settings.redis), Stream.open(remote.settings.redis)
    admission, url = Admission(here.client, 1), remote.url("ui")
    answered: list[str] = []
    interrupted = 0
    for part in range(KILLS):
        answered += predict(remote, records[part * PREDICTIONS // KILLS : (part + 1) * PREDICTIONS // KILLS])
        if part == 0:
            local.launch("pipeline")
            wait_for(lambda: admission.cursor(url), 150, "the front end to be collected")
        before = here.ledger.totals().written
        for number in range(part * PUSHED // KILLS, (part + 1) * PUSHED // KILLS):
            text = orjson.dumps(pushed(number + 1))
            here.client.lpush(FOREIGN_LIST, *[text] * dice.choice([1, 1, 1, 2]))
        if part > 0:
            local.launch("pipeline")
        goal = before + dice.randrange(1, PUSHED // KILLS // 2)
        wait_for(lambda goal=goal: here.ledger.totals().written >= goal, 120, "events to be admitted")
        local.kill("pipeline")
        interrupted += here.backlog() > 0
        if part == 0:
            remote.kill("ui")
            remote.launch("ui")
        else:
            for stack in (remote, local):
                stack.kill("redis")
                stack.start("redis")
    assert interrupted > 0, "a kill met events on their way"
    local.start("pipeline")
    wait_for(lambda: set(answered) <= shown(there), 120, "the remote's journal to be in its stream")
    last = there.newest(1)[0].id
    wait_for(lambda: _reached(admission.cursor(url), last), 120, "the remote's events to be admitted")
    wait_for(lambda: not admission.waiting() and here.backlog() == 0, 120, "everything to be indexed")
    stored = Counter(d["transaction_id"] for d in local.documents("ml-api-message"))
    assert stored == Counter(answered)
    messages = Counter(
        d["message"] for d in local.documents("ml-api-logs") if d["message"].startswith("pushed ")
    )
    assert messages == Counter(f"pushed {number + 1}" for number in range(PUSHED))
    assert here.client.xlen("api_dead") == 0
    assert there.cursors()[f"vigie-{admission.installation()}"] != "0-0"
    assert int(bridges(here.client)["http"]["admitted"]) >= PREDICTIONS
    assert local.finish("verify") == 0, local.output("verify")


def _reached(cursor: str, goal: str) -> bool:
    return bool(cursor) and tuple(map(int, cursor.split("-"))) >= tuple(map(int, goal.split("-")))
