"""The bridges at work: from list and front end into the stream, once and continuously."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson
import pytest
import redis
from fastapi import FastAPI
from loguru import logger
from tests.servers import RedisServer, free_port, wait_for
from tests.ui.doubles import served

from vigie.logs_pipeline.bridges import Bridges
from vigie.logs_pipeline.bridges.bridge import BridgeError, Step
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.admission import PAGE, Admission, bridges, losses
from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.keys import FOREIGN_LIST
from vigie.telemetry.stream.ledger_state import LedgerState
from vigie.telemetry.stream.stream import Record, Stream, Verdict
from vigie.ui.api_client import ApiClient
from vigie.ui.logs_api import LogsReader
from vigie.ui.routes import build_router, install_problems

HERE, THERE = 2, 3
REMOTE = "7f6f2d1c-0000-4000-8000-000000000001"


def event(number: int, producer: str = REMOTE) -> bytes:
    """An event as a journal has it."""
    data = {"kind": "log", "producer": producer, "number": number}
    parts = {"timestamp": f"2026-11-20T10:30:45.{number:06}Z", "level": "INFO", "message": f"event {number}"}
    return orjson.dumps({**parts, "data": data})


def records(first: int, last: int) -> list[Record]:
    """Events `first` to `last`."""
    return [Record(number, event(number)) for number in range(first, last + 1)]


def settle_all(stream: Stream) -> None:
    """Index everything that waits."""
    stream.ensure_group()
    while entries := stream.read("w", 500, 0):
        stream.settle([Verdict(entry, "indexed") for entry in entries])


@pytest.fixture
def here(redis_server: RedisServer, redis_settings: RedisSettings) -> Stream:
    """The local stream, with its group, in a database in which no other test's server writes."""
    stream = Stream.open(redis_server.settings(HERE))
    stream.ensure_group()
    return stream


@pytest.fixture
def there(redis_server: RedisServer, redis_settings: RedisSettings) -> Stream:
    """The remote stream: another database of the same server."""
    return Stream.open(redis_server.settings(THERE, redis_logs_max_size=0))


@pytest.fixture
def front_end(
    there: Stream, redis_server: RedisServer, settings_for: Callable[..., Settings]
) -> Iterator[str]:
    """The remote front end's routes, served on the remote stream."""
    remote = settings_for(REDIS_PORT=redis_server.port, REDIS_DB=THERE)
    reader = LogsReader(remote)
    app = FastAPI()
    install_problems(app)
    app.include_router(build_router(reader, ApiClient(remote.api)))
    with served(app) as url:
        yield url
    reader.close()


@pytest.fixture
def local(redis_server: RedisServer, settings_for: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings of the local installation."""

    def make(sources: str, **environment: object) -> Settings:
        given = {"REDIS_PORT": redis_server.port, "REDIS_DB": HERE, "POLL_INTERVAL": 0.05, **environment}
        return settings_for(PIPELINE_SOURCES=sources, **given)

    return make


def once(settings: Settings) -> tuple[bool, str]:
    """Move what waits; whether all went in, and the problem."""
    found = Bridges.open(settings, threading.Event())
    try:
        return found.move_waiting(), found.problem
    finally:
        found.close()


def told(level: str = "INFO") -> tuple[list[str], int]:
    """What is logged from now on, and the sink's number."""
    messages: list[str] = []
    return messages, logger.add(lambda message: messages.append(str(message)), level=level)


def numbers(stream: Stream, producer: str = REMOTE) -> list[int]:
    """The numbers of a producer's entries, in their order."""
    return [entry.number for entry in stream.after("", 10_000) if entry.producer == producer]


def test_the_list_is_moved_at_once_and_in_order(here: Stream, local: Callable[..., Settings]) -> None:
    """More events than go into one call, oldest first, all with one producer; nothing is left."""
    texts = [orjson.dumps({"message": str(number)}) for number in range(2 * PAGE + 7)]
    here.client.lpush(FOREIGN_LIST, *texts)
    assert once(local("redis,list")) == (True, "")
    assert here.client.llen(FOREIGN_LIST) == 0
    found = here.after("", 5000)
    assert [orjson.loads(entry.event)["message"] for entry in found] == [str(n) for n in range(2 * PAGE + 7)]
    assert [entry.number for entry in found] == list(range(1, 2 * PAGE + 8))
    assert {entry.producer for entry in found} == {bridges(here.client)["list"]["producer"]}


def test_a_front_end_is_collected_and_told_what_was_admitted(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """All its entries under their own numbers, page after page; what is confirmed may be trimmed there."""
    for first in (1, 501, 1001):
        there.write(REMOTE, records(first, first + 499))
    settle_all(there)
    settings = local("redis,http", GRADIO_URL=front_end)
    assert once(settings) == (True, "")
    assert numbers(here) == list(range(1, 1501))
    (consumer,) = there.cursors()
    assert consumer == f"vigie-{Admission(here.client, 1).installation()}"
    while there.trim():
        pass
    there.write(REMOTE, records(1501, 1503))
    assert once(settings) == (True, "")
    assert numbers(here)[-3:] == [1501, 1502, 1503]
    assert losses(here.client) == [], "what was trimmed had been confirmed"


def test_the_same_event_through_both_ways_is_one(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """With and without a number of its own, whichever way comes first."""
    nameless = orjson.dumps(
        {"timestamp": "2026-11-20T10:30:45Z", "level": "INFO", "message": "m", "data": {"kind": "log"}}
    )
    there.write(REMOTE, records(1, 3))
    there.client.xadd("api_logs", {"event": nameless})
    settings = local("http,list", GRADIO_URL=front_end)
    here.client.lpush(FOREIGN_LIST, event(2), nameless, event(9))
    assert once(settings) == (True, "")
    here.client.lpush(FOREIGN_LIST, event(1), nameless, event(9))
    assert once(settings) == (True, "")
    assert sorted(numbers(here)) == [1, 2, 3, 9]
    assert here.length() == 5
    assert here.client.llen(FOREIGN_LIST) == 0


def test_a_front_end_on_our_own_redis_adds_nothing(
    here: Stream,
    redis_server: RedisServer,
    settings_for: Callable[..., Settings],
    local: Callable[..., Settings],
) -> None:
    """Its events are here already, and what the bridge admits is not collected again."""
    own = settings_for(REDIS_PORT=redis_server.port, REDIS_DB=HERE)
    reader = LogsReader(own)
    app = FastAPI()
    app.include_router(build_router(reader, ApiClient(own.api)))
    here.write(REMOTE, records(1, 5))
    here.client.lpush(FOREIGN_LIST, b'{"message": "x"}', event(1, "alien"))
    with served(app) as url:
        for _ in range(3):
            assert once(local("http,list", GRADIO_URL=url)) == (True, "")
    reader.close()
    assert here.length() == 7


def test_a_loss_at_the_remote_is_declared(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """Beyond its bound the remote forgets what was not collected: the numbers are named, here and in the log."""
    there.write(REMOTE, records(1, 4))
    settings = local("http", GRADIO_URL=front_end)
    assert once(settings) == (True, "")
    there.write(REMOTE, records(5, 20))
    oldest = there.after("", 50)[13].id
    there.client.xtrim("api_logs", minid=oldest, approximate=False)
    messages, sink = told("WARNING")
    try:
        assert once(settings) == (True, "")
    finally:
        logger.remove(sink)
    assert numbers(here) == [1, 2, 3, 4, *range(14, 21)]
    (gap,) = LedgerState(here.client).producer(REMOTE).gaps
    assert (gap.first, gap.last, front_end in gap.reason) == (5, 13, True)
    (loss,) = losses(here.client)
    assert (loss.url, loss.oldest) == (front_end, oldest)
    assert any(f"{front_end} no longer has its entries between" in message for message in messages)
    assert any("9 numbers" in message for message in messages)
    here.client.lpush(FOREIGN_LIST, event(7))
    assert once(local("list")) == (True, "")
    assert numbers(here)[-1] == 7
    gaps = LedgerState(here.client).producer(REMOTE).gaps
    assert [(gap.first, gap.last) for gap in gaps] == [(5, 6), (8, 13)]
    assert isinstance(gaps[0], Gap)


def test_a_full_stream_takes_nothing_until_there_is_room(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """List and remote wait at the bound, the reason is told, and all of it arrives afterwards."""
    there.write(REMOTE, records(1, 400))
    settings = local("http,list", GRADIO_URL=front_end, REDIS_STREAM_MAX_ENTRIES=1000)
    here.client.lpush(FOREIGN_LIST, *(orjson.dumps({"message": str(number)}) for number in range(900)))
    done, problem = once(settings)
    assert not done
    assert "REDIS_STREAM_MAX_ENTRIES" in problem
    assert here.length() == 1000
    settle_all(here)
    assert once(settings) == (True, "")
    assert here.length() == 1300
    assert numbers(here) == list(range(1, 401))


def test_one_process_polls_at_a_time(
    here: Stream,
    there: Stream,
    front_end: str,
    local: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one waits for its turn, and gets it when the first gives it away."""
    monkeypatch.setattr("vigie.logs_pipeline.bridges.runner.TURN_SECONDS", -1)
    there.write(REMOTE, records(1, 1))
    settings = local("http", GRADIO_URL=front_end)
    first, second = (Bridges.open(settings, threading.Event()) for _ in range(2))
    assert first.move_waiting()
    there.write(REMOTE, records(2, 2))
    assert (second.move_waiting(), second.problem, numbers(here)) == (True, "", [1])
    assert first.move_waiting()
    assert numbers(here) == [1, 2]
    first.close()
    there.write(REMOTE, records(3, 3))
    assert second.move_waiting()
    assert numbers(here) == [1, 2, 3]
    second.close()


def test_threads_move_events_as_they_come_and_end(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """A named thread per source; after the stop none is left, and the turn is free."""
    stop = threading.Event()
    with Bridges.open(local("redis,http,list", GRADIO_URL=front_end), stop):
        names = {thread.name for thread in threading.enumerate()}
        assert {"bridge-list", "bridge-http"} <= names
        here.client.lpush(FOREIGN_LIST, b'{"message": "x"}')
        there.write(REMOTE, records(1, 2))
        wait_for(lambda: here.length() == 3, 60)
        there.write(REMOTE, records(3, 3))
        wait_for(lambda: numbers(here) == [1, 2, 3], 60)
    wait_for(lambda: not any(thread.name.startswith("bridge-") for thread in threading.enumerate()), 60)
    assert here.client.keys("*:turn") == []


def test_a_source_that_fails_is_told_and_touches_no_other(
    here: Stream, there: Stream, local: Callable[..., Settings]
) -> None:
    """The list goes on while the front end is away; when it is back, that is told too."""
    port = free_port()
    messages, sink = told()
    settings = local("http,list", GRADIO_URL=f"http://127.0.0.1:{port}")
    found = Bridges.open(settings, threading.Event())
    try:
        with found:
            wait_for(lambda: "does not answer" in found.problem, 60)
            assert "source http: " in found.problem
            here.client.lpush(FOREIGN_LIST, b'{"message": "x"}')
            wait_for(lambda: here.length() == 1, 60)
            assert "does not answer" in found.problem
    finally:
        logger.remove(sink)
    assert sum("does not answer" in message for message in messages) == 1, "told once, not at each attempt"


class Failing:
    """A bridge that fails as often as it is told."""

    name = "failing"
    pause_seconds = 0.01

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.steps = 0

    def step(self) -> Step:
        """Fail, or do nothing."""
        self.steps += 1
        if self.failures:
            raise self.failures.pop(0)
        return Step()

    def waiting(self) -> int | None:
        """Nothing is known."""
        return None

    def close(self) -> None:
        """Nothing is held."""


def test_a_bridge_outlives_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the source, of Redis and of our own: each is told, and the thread goes on."""
    monkeypatch.setattr("vigie.logs_pipeline.bridges.runner.backoff", lambda *_, **__: 0.0)
    messages, sink = told()
    bridge = Failing(BridgeError("asleep"), redis.ConnectionError("gone"), RuntimeError("a defect"))
    try:
        with Bridges([bridge], threading.Event()) as found:
            wait_for(lambda: bridge.steps > 4, 60)
            wait_for(lambda: found.problem == "", 60)
    finally:
        logger.remove(sink)
    for part in ("source failing: asleep", "Redis does not answer", "a defect", "source failing works again"):
        assert any(part in message for message in messages), part


def test_a_fault_of_our_own_ends_one_run_in_its_problem() -> None:
    """Moving once never raises: what went wrong is told, and the other sources are moved all the same."""
    broken, other = Failing(RuntimeError("a defect")), Failing()
    other.name = "other"
    found = Bridges([broken, other], threading.Event())
    assert found.move_waiting()
    assert found.problem.startswith("source failing: a fault of the program (RuntimeError('a defect'))")
    assert (broken.steps, other.steps) == (1, 1)


def test_an_event_nested_too_deeply_comes_through_another_front_end(
    here: Stream, there: Stream, front_end: str, local: Callable[..., Settings]
) -> None:
    """Its page is answered and admitted: the event as its text, under its number, and what lies behind it."""
    start = b'{"timestamp":"2026-11-20T10:30:45Z","level":"INFO","message":"deep","data":'
    deep = start + b'{"a":' * 300 + b"1" + b"}" * 301
    there.write(REMOTE, [Record(1, deep), *records(2, 3)])
    assert once(local("http", GRADIO_URL=front_end)) == (True, "")
    assert numbers(here) == [1, 2, 3]
    assert here.after("", 1)[0].event == deep


def test_a_pause_that_the_source_asks_for_is_kept() -> None:
    """No attempt is made before it is over; the stop does not wait for it."""
    stop = threading.Event()
    bridge = Failing(BridgeError("asked too often", retry_seconds=3600))
    with Bridges([bridge], stop) as found:
        wait_for(lambda: found.problem == "source failing: asked too often", 60)
    assert bridge.steps == 1
