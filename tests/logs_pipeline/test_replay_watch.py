"""Replays that were asked for over Redis: a worker does them, once, and says what became of each letter."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.logs_pipeline.fault_store import FaultStore, fault_store
from tests.servers import free_port, wait_for

from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.replay_watch import ENDS_WORKERS, ReplayWatch
from vigie.settings import Settings
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.stream.keys import REPLAY_TURN
from vigie.telemetry.stream.replay_requests import Replay, ReplayRequests
from vigie.telemetry.stream.stream import Record, Stream


@pytest.fixture
def refusing() -> Iterator[FaultStore]:
    """A store that refuses a latency that is no number, until it is told otherwise."""
    misfit = (400, {"type": "document_parsing_exception", "reason": "not a number"})
    with fault_store() as found:
        found.refuse = lambda line: misfit if line[2].get("latency_ms") == "slow" else None
        yield found


@pytest.fixture
def broken(settings: Settings, refusing: FaultStore) -> Settings:
    """An installation on that store, with letters 1 and 2 that it refused and 3 that was no event."""
    port = int(refusing.url.rpartition(":")[2])
    found = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": port})})
    stream = Stream.open(found.redis)
    today = iso_timestamp(time.time_ns())
    slow = [record({**prediction(n, latency_ms="slow"), "timestamp": today}, n) for n in (1, 2)]
    stream.write(PRODUCER, [*slow, Record(3, b"\xffnot json")])
    run_once(found)
    assert stream.letters.count() == 3
    return found


def replayed(settings: Settings, letters: list[str] | None) -> Replay:
    """Ask for a replay, let a worker look, and return how it ended."""
    stream = Stream.open(settings.redis)
    requests = ReplayRequests(stream.client)
    asked = requests.ask(letters)
    assert ReplayWatch(settings).look(stream.client) == 1
    ended = requests.get(asked.id)
    assert ended is not None
    assert requests.next() is None
    return ended


def test_what_was_asked_for_is_replayed_and_told(broken: Settings, refusing: FaultStore) -> None:
    """Before the cause is gone every letter stays, each with its reason; afterwards the named one is indexed."""
    letters = Stream.open(broken.redis).letters
    ids = {letter.number: letter.id for letter in letters.after("")}
    before = replayed(broken, None)
    assert (before.state, before.counts) == ("done", {"failed": 3})
    assert {one.id for one in before.still_there} == set(ids.values())
    assert any("not a number" in one.reason for one in before.still_there)

    refusing.refuse = lambda line: None
    after = replayed(broken, [ids[2], ids[3]])
    assert (after.state, after.counts) == ("done", {"indexed": 1, "failed": 1})
    assert [one.id for one in after.still_there] == [ids[3]]
    assert {letter.number for letter in letters.after("")} == {1, 3}


def test_letters_that_are_gone_meanwhile_are_counted_as_gone(broken: Settings) -> None:
    """Asking for what somebody discarded since is no failure."""
    ended = replayed(broken, ["1-1"])
    assert (ended.state, ended.counts) == ("done", {"gone": 1})


def test_a_store_that_is_away_fails_the_replay_in_words(broken: Settings) -> None:
    """Nothing was replayed, the problem says why, and no letter is lost."""
    away = broken.model_copy(update={"store": broken.store.model_copy(update={"es_port": free_port()})})
    ended = replayed(away, None)
    assert (ended.state, ended.counts) == ("failed", {})
    assert "nothing was replayed" in ended.problem
    assert Stream.open(broken.redis).letters.count() == 3


def test_a_replay_that_ends_its_workers_is_given_up(broken: Settings) -> None:
    """The third worker does not begin what two did not survive: the others' work goes on, and it says why."""
    client = Stream.open(broken.redis).client
    requests = ReplayRequests(client)
    asked = requests.ask(None)
    requests.note(asked.begun(0).begun(0))
    assert ReplayWatch(broken).look(client) == 1
    ended = requests.get(asked.id)
    assert ended is not None
    assert (ended.state, ended.problem) == ("failed", ENDS_WORKERS)
    assert Stream.open(broken.redis).letters.count() == 3


def test_one_worker_at_a_time_replays(broken: Settings) -> None:
    """While another worker has the turn nothing is begun, and what was asked for stays."""
    client = Stream.open(broken.redis).client
    requests = ReplayRequests(client)
    asked = requests.ask(None)
    with client.lock(REPLAY_TURN, timeout=60):
        assert ReplayWatch(broken).look(client) == 0
        assert requests.next() == asked
    assert ReplayWatch(broken).look(client) == 1


def test_a_running_worker_takes_replays_up_by_itself(broken: Settings) -> None:
    """The watch of a pipeline that runs does what was asked for, and stops when it is told to."""
    watch = ReplayWatch(broken, period_seconds=0.01)
    watch.start()
    requests = ReplayRequests(Stream.open(broken.redis).client)
    asked = requests.ask(None)

    def ended() -> bool:
        found = requests.get(asked.id)
        return found is not None and found.state == "done"

    wait_for(ended, 60, "the replay")
    watch.stop()
    assert not watch.is_alive()
