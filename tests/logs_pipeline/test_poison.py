"""One poisonous entry amid a thousand good ones: it gets its letter, and takes nobody with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import redis
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store
from tests.servers import ROOT

from vigie.logs_pipeline import breaker, indexer
from vigie.logs_pipeline.collector import MOST_DELIVERIES
from vigie.logs_pipeline.filter import LARGEST_EVENT_BYTES, PoisonError
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.suspects import MOST_ALONE, Suspects
from vigie.settings import RedisSettings, Settings, load_settings
from vigie.telemetry.stream.stream import Record, Stream

DIE_AT_500 = """
import os, signal
from vigie.logs_pipeline import worker
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import load_settings

real = worker.documents_of

def deadly(entry, *rest):
    if entry.number == 500:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(entry, *rest)

worker.documents_of = deadly
print(run_once(load_settings(dotenv=None), min_idle_ms=500))
"""


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def environment(
    redis_settings: RedisSettings, store: FaultStore, settings_for: Callable[..., Settings]
) -> dict[str, str]:
    """Variables of an installation with an empty Redis and this store."""
    return {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_settings.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": store.url.rpartition(":")[2],
        "VIGIE_HOME": str(settings_for().api.vigie_home),
        "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The same as settings."""
    return load_settings(environment, None)


@pytest.fixture
def stream(settings: Settings) -> Stream:
    """The stream of the installation."""
    found = Stream.open(settings.redis)
    found.ensure_group()
    return found


def request(number: int, **changes: object) -> Record:
    """An event that makes one document."""
    return record(prediction(number, **{"kind": "request", "path": "/logs", **changes}), number)


def write(stream: Stream, poison: dict[int, Record]) -> set[int]:
    """Write a thousand good events around `poison` (number → record); return the numbers of the good ones."""
    numbers = range(1, 1001 + len(poison))
    items = [poison.get(number) or request(number) for number in numbers]
    for first in range(0, len(items), 500):
        stream.write(PRODUCER, items[first : first + 500])
    return set(numbers) - set(poison)


def demand_only_the_good(store: FaultStore, stream: Stream, good: set[int], dead: set[int]) -> None:
    """Fail unless exactly the good events are stored, and the ledger balances with a letter for each other."""
    logs = [fields["number"] for (index, _), fields in store.documents.items() if "ml-api-logs" in index]
    assert sorted(logs) == sorted(good)
    state = stream.ledger.producer(PRODUCER)
    assert {name: count for name, count in state.counts.items() if count} == {
        "indexed": len(good),
        "dead": len(dead),
    }
    assert sum(state.documents.values()) == len(good)
    assert {name: set(numbers) for name, numbers in stream.letters.numbers().items()} == {PRODUCER: dead}
    assert stream.letters.count() == len(dead)
    assert stream.backlog() == 0


def test_poison_of_every_kind_takes_nobody_with_it(
    settings: Settings, stream: Stream, store: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not JSON, no event, too large, refused by the mapping, failed on by the store: a letter each, with its reason."""
    monkeypatch.setattr(indexer, "backoff", lambda *_, **__: 0.001)
    monkeypatch.setattr(breaker, "backoff", lambda *_, **__: 0.001)
    too_large = b'{"padding": "%s"}' % (b"x" * LARGEST_EVENT_BYTES)
    poison = {
        100: Record(100, b"\xff{not json"),
        200: request(200, latency_ms="slow"),
        300: Record(300, b'["no", "event"]'),
        500: Record(500, too_large),
        900: request(900, status_code=777),
    }

    def crashes(lines: list[Line]) -> Answer | None:
        store.faults.append(crashes)
        fatal = any(fields.get("number") == 900 and "logs" in index for index, _, fields in lines)
        return (500, {"error": {"type": "panic", "reason": "out of range"}}) if fatal else None

    misfit = (400, {"type": "document_parsing_exception", "reason": "not a number"})
    store.refuse = lambda line: misfit if line[2].get("latency_ms") == "slow" else None
    store.faults = [crashes]
    good = write(stream, poison)
    summary = run_once(settings)
    assert (summary.complete, summary.counts.indexed, summary.counts.dead) == (True, 1000, 5)
    demand_only_the_good(store, stream, good, set(poison))
    letters = {letter.number: letter for letter in stream.letters.after("")}
    reasons = {
        100: "not JSON",
        300: "not a JSON object",
        500: "more than",
        200: "not a number",
        900: "out of",
    }
    for number, reason in reasons.items():
        assert reason in letters[number].reason
        assert letters[number].event == poison[number].event
    assert [letters[number].failures for number in (100, 300, 500)] == [(), (), ()]
    assert [(one.status, one.type) for one in letters[200].failures] == [(400, "document_parsing_exception")]
    assert [(one.status, one.type) for one in letters[900].failures] == [(500, "panic")]
    assert letters[200].attempts == 1
    assert letters[900].attempts > indexer.ALONE_AFTER


def test_an_event_that_ends_its_workers_is_given_up(
    settings: Settings, environment: dict[str, str], stream: Stream, store: FaultStore
) -> None:
    """Delivered too often it is filtered alone; what ended two workers alone is a dead letter, unfiltered."""
    good = write(stream, {500: request(500)})
    entries = stream.read("killed before", 500, 0)
    (suspect,) = (entry for entry in entries if entry.number == 500)
    for _ in range(MOST_DELIVERIES):
        stream.client.xclaim("api_logs", "pipeline", "killed before", 0, [suspect.id])
    stream.client.hset("api_logs:suspects", suspect.id, MOST_ALONE - 1)
    command = [sys.executable, "-c", DIE_AT_500]
    ended = subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert run_once(settings, min_idle_ms=500).complete
    demand_only_the_good(store, stream, good, {500})
    (letter,) = stream.letters.after("")
    assert "workers ended" in letter.reason
    assert letter.attempts > MOST_DELIVERIES
    assert stream.client.exists("api_logs:suspects") == 0


def test_only_what_was_filtered_when_the_worker_ended_is_suspected(stream: Stream) -> None:
    """An entry that comes back from its filter, or fails there by itself, begins anew."""
    suspects = Suspects(stream.client)
    for _ in range(MOST_ALONE + 2):
        with suspects.alone("1-0"):
            pass
        with pytest.raises(RuntimeError), suspects.alone("1-0"):
            raise RuntimeError("a defect")
    for _ in range(MOST_ALONE):
        stream.client.hincrby("api_logs:suspects", "2-0", 1)
        with suspects.alone("1-0"):
            pass
    with pytest.raises(PoisonError, match="workers ended"), suspects.alone("2-0"):
        pytest.fail("it must not be filtered")


def test_a_redis_that_fails_while_a_suspect_is_filtered_buries_nobody(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry comes again once Redis answers: its fault is not the event's."""
    stream.write(PRODUCER, [request(1)])
    (entry,) = stream.read("killed before", 1, 0)
    for _ in range(MOST_DELIVERIES):
        stream.client.xclaim("api_logs", "pipeline", "killed before", 0, [entry.id])
    real, failures = Suspects.alone, iter([True, True])

    def failing(self: Suspects, entry_id: str) -> object:
        if next(failures, False):
            raise redis.ConnectionError("cut")
        return real(self, entry_id)

    monkeypatch.setattr(Suspects, "alone", failing)
    summary = run_once(settings, min_idle_ms=500)
    assert (summary.complete, summary.counts.indexed, summary.counts.dead) == (True, 1, 0)
