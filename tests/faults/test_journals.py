"""Journals under real services: producers killed at random, disks that fill, what a crash or Redis lost."""

from __future__ import annotations

import asyncio
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest
from tests.faults.client import Client
from tests.logs_pipeline.events import prediction
from tests.real_store import open_door
from tests.servers import RedisServer, free_port, wait_for
from tests.stack import Stack
from tests.store_proxy import Recording
from tests.telemetry.events import FILLING, die, segments

from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_once
from vigie.model.cohort import draw
from vigie.schema import FeatureSchema
from vigie.settings import MEBIBYTE, Settings
from vigie.telemetry.emitter import Emitter
from vigie.telemetry.journal import reader as journal_reader
from vigie.telemetry.journal.files import NO_ROOM
from vigie.telemetry.journal.framing import MARKER
from vigie.telemetry.journal.journal import FULL, Journal
from vigie.telemetry.journal.promise import LEAST_AHEAD
from vigie.telemetry.journal.reader import CRASHED, DAMAGED
from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.stream import Stream

PREDICTIONS = 600
"""By each of two clients."""
SEED = 20261120
WORKER_KILLS = 1
DISK_BYTES = 3 * MEBIBYTE
ROWS = 500
"""Rows of one batch: with the batch itself 501 events, about half a mebibyte."""
FEW_REPORTS = 20
"""More than the API says of itself meanwhile, at one report in 30 s."""


def workers_of(stack: Stack) -> list[psutil.Process]:
    """The worker processes of an API with API_WORKERS > 1."""
    children = psutil.Process(stack.processes["api"].pid).children()
    return [child for child in children if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a living process that uvicorn spawned."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # just killed
        return False


def pids(stream: Stream, *, closed: bool = False) -> set[int]:
    """The processes whose journals Redis knows, or knows the end of."""
    states = stream.ledger.producers()
    return {int(s.attributes["pid"]) for s in states if s.closed is not None or not closed}


async def kill_workers(stack: Stack, sender: Client, stream: Stream, chance: random.Random) -> set[int]:
    """Kill a worker of the first API at a random moment of its load; its sibling goes on. Return whom."""
    killed: set[int] = set()
    for moment in sorted(chance.sample(range(PREDICTIONS * 3 // 4), WORKER_KILLS)):
        while len(sender.answered) < moment:
            await asyncio.sleep(0.005)
        while not (living := [one for one in workers_of(stack) if one.pid in pids(stream) - killed]):
            await asyncio.sleep(0.02)
        victim = chance.choice(living)
        victim.send_signal(signal.SIGKILL)
        killed.add(victim.pid)
    return killed


async def kill_whole(stack: Stack, sender: Client, chance: random.Random) -> None:
    """Kill the other API somewhere in the middle of its load, and start it again."""
    moment = chance.randrange(PREDICTIONS // 4, PREDICTIONS // 2)
    while len(sender.answered) < moment:
        await asyncio.sleep(0.005)
    await asyncio.to_thread(stack.kill, "api")
    await asyncio.to_thread(stack.start, "api")


@pytest.fixture
def stacks(tmp_path: Path, package_path: Path) -> Iterator[tuple[Stack, Stack]]:
    """Two installations of the API on one VIGIE_HOME, Redis and store; the first with two workers."""
    first = Stack(tmp_path / "home", package_path, {"API_WORKERS": "2", "REQUEST_TIMEOUT": "60"})
    own = {"API_PORT": str(free_port()), "API_WORKERS": "1"}
    second = Stack(tmp_path / "home", package_path, {**first.environment, **own})
    second.ports = {**first.ports, "API_PORT": int(own["API_PORT"])}
    try:
        yield first, second
    finally:
        second.stop()
        first.stop()


def demand_each_once(stack: Stack, senders: list[Client]) -> None:
    """Every answered prediction is stored once; one that is on no list is one whose answer was cut off."""
    answered = {transaction for sender in senders for transaction in sender.answered.values()}
    requests = {request for sender in senders for request in sender.answered}
    unanswered = {request for sender in senders for request in sender.unanswered}
    stored = stack.documents("ml-api-logs", {"term": {"doc_type": "prediction"}})
    by_transaction = Counter(document["transaction_id"] for document in stored)
    assert [one for one, count in by_transaction.items() if count > 1] == []
    assert answered - set(by_transaction) == set()
    assert {d["correlation_id"] for d in stored} - requests <= unanswered


@pytest.mark.slow
def test_many_producers_on_one_home_lose_nothing(stacks: tuple[Stack, Stack], schema: FeatureSchema) -> None:
    """Two workers, a second API and the front end share a VIGIE_HOME and are killed at random moments:
    each journal is shipped once by one of the others, and closed.

    The judge is the clients' own list of answered ids.
    """
    first, second = stacks
    first.start("redis", "store")
    first.launch("ui")
    first.launch("api")
    second.start("api")
    first.start("pipeline")
    records, _ = draw(schema, 2 * PREDICTIONS, seed=SEED)
    rows = [dict(record) for record in records]
    senders = [
        Client(first.url("api"), rows[:PREDICTIONS]),
        Client(second.url("api"), rows[PREDICTIONS:]),
    ]
    wait_for(lambda: len(workers_of(first)) == 2 and first._ready("api"), 120, "both workers")
    chance = random.Random(SEED)
    stream = Stream.open(first.settings.redis)

    async def campaign() -> set[int]:
        _, _, killed, _ = await asyncio.gather(
            *(sender.send_all() for sender in senders),
            kill_workers(first, senders[0], stream, chance),
            kill_whole(second, senders[1], chance),
        )
        return killed

    killed = asyncio.run(campaign())
    wait_for(lambda: roles(stream)["ui"], 120, "the front end to have shipped something")
    first.kill("ui")
    assert [len(sender.answered) for sender in senders] == [PREDICTIONS] * 2
    wait_for(lambda: killed <= pids(stream, closed=True), 120, "the killed workers' journals to be shipped")
    wait_for(lambda: roles(stream, closed=True)["ui"], 120, "the front end's journal to be shipped")
    wait_for(lambda: stream.backlog() == 0, 90, "the backlog to be empty")
    demand_each_once(first, senders)
    assert sum(state.declared for state in stream.ledger.producers()) == 0
    assert first.finish("verify") == 0, first.output("verify")


def roles(stream: Stream, *, closed: bool = False) -> Counter[str]:
    """Count the producers by role."""
    states = stream.ledger.producers()
    return Counter(state.attributes["role"] for state in states if state.closed is not None or not closed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three mebibytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "vigie-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def predict_batch(url: str, record: Mapping[str, object]) -> list[str]:
    """Have a batch predicted; return the transaction ids of its rows."""
    answer = httpx.post(f"{url}/predict/batch", json=[record] * ROWS, timeout=60)
    assert answer.status_code == 200, answer.text
    return [row["transaction_id"] for row in answer.json()["results"]]


def in_stream(stream: Stream) -> Counter[str]:
    """Count the predictions in the stream by transaction id."""
    found: Counter[str] = Counter()
    after = "0"
    while page := stream.after(after, 500):
        data = [orjson.loads(entry.event)["data"] for entry in page]
        found.update(one["transaction_id"] for one in data if one.get("kind") == "prediction")
        after = page[-1].id
    return found


def numbers_in(stream: Stream) -> list[int]:
    """The numbers of the one producer's events in the stream."""
    found: list[int] = []
    after = "0"
    while page := stream.after(after, 500):
        found += [entry.number for entry in page]
        after = page[-1].id
    return found


def adds_up(stream: Stream) -> bool:
    """Whether each number of the one producer is an entry or declared; a report may come in between."""
    found = numbers_in(stream)
    (state,) = stream.ledger.producers()
    found += [number for gap in state.gaps for number in range(gap.first, gap.last + 1)]
    return sorted(found) == list(range(1, state.high + 1))


def health(url: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of /readyz."""
    answer = httpx.get(f"{url}/readyz", timeout=30)
    return answer.status_code, answer.json()


def fill_and_recover(stack: Stack, record: Mapping[str, object], reason: str) -> tuple[Stream, list[Gap]]:
    """With Redis away predict until the journal takes no more, and more; with Redis back all adds up.

    Returns the stream and the gaps that were declared.
    """
    url, answered = stack.url("api"), list[str]()
    while health(url)[1]["dropped"] == 0:
        answered += predict_batch(url, record)
        assert len(answered) < 40 * ROWS, "the journal never became full"
    for _ in range(2):
        answered += predict_batch(url, record)
    status, said = health(url)
    assert status == 503
    assert said["reasons"][0].startswith("the journal takes no events")
    dropped = said["dropped"]
    stack.start("redis")
    stream = Stream.open(stack.settings.redis)
    wait_for(lambda: health(url)[0] == 200, 60, "the API to be ready again")
    wait_for(lambda: health(url)[1]["backlog"] == 0, 60, "the journal to be shipped")
    later = predict_batch(url, record)
    wait_for(lambda: set(later) <= in_stream(stream).keys(), 60, "later predictions to arrive")
    (state,) = stream.ledger.producers()
    assert {gap.reason for gap in state.gaps} == {reason}
    assert state.declared == health(url)[1]["dropped"] >= dropped > 2 * ROWS
    arrived = in_stream(stream)
    assert set(arrived.values()) == {1}
    assert arrived.keys() <= {*answered, *later}
    # what is not there is declared; among the declared are the batches' own events, and reports too
    missing = len({*answered, *later} - arrived.keys())
    assert missing <= state.declared <= missing + len(answered) // ROWS + FEW_REPORTS
    wait_for(lambda: adds_up(stream), 60, "every number to be in the stream or declared, once")
    return stream, list(state.gaps)


@pytest.mark.slow
def test_a_full_disk_costs_events_by_number_and_no_answer(
    tmp_path: Path, package_path: Path, schema: FeatureSchema, small_disk: Path
) -> None:
    """Redis away and the disk full: every request is answered, health says why it is not ready, the dropped
    numbers are declared with the reason, and with Redis back events flow again."""
    stack = Stack(
        tmp_path / "home",
        package_path,
        {"VIGIE_HOME": str(small_disk), "JOURNAL_MAX_BYTES": str(8 * MEBIBYTE)},
    )
    try:
        stack.start("api")
        _, gaps = fill_and_recover(stack, schema.example(), NO_ROOM)
        assert gaps[0].first > ROWS
    finally:
        stack.stop()


@pytest.mark.slow
def test_a_full_journal_costs_events_by_number_and_no_answer(
    tmp_path: Path, package_path: Path, schema: FeatureSchema
) -> None:
    """Redis away and JOURNAL_MAX_BYTES reached: the same; and journals removed under the API cost nothing."""
    stack = Stack(tmp_path / "home", package_path, {"JOURNAL_MAX_BYTES": str(MEBIBYTE)})
    try:
        stack.start("api")
        stream, gaps = fill_and_recover(stack, schema.example(), FULL)
        assert gaps[0].first > ROWS
        shutil.rmtree(stack.home / "producers")
        after = predict_batch(stack.url("api"), schema.example())  # more than the file in use holds
        wait_for(lambda: set(after) <= in_stream(stream).keys(), 60, "predictions after the removal")
        wait_for(lambda: list(stack.home.glob("producers/*/*.segment")), 60, "the journal to be made again")
        assert health(stack.url("api"))[0] == 200
        os.kill(stack.processes["api"].pid, 0)
    finally:
        stack.stop()


def journal_of(settings: Settings, count: int) -> Journal:
    """A journal with `count` answered predictions in it, for a process to leave behind."""
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    for number in range(1, count + 1):
        journal.append([prediction(number)])  # type: ignore[list-item]  # as an event of the API looks
    return journal


Stored = Callable[[Settings, str], list[int]]


@pytest.fixture
def stored_numbers(store_url: str) -> Iterator[Stored]:
    """Settings, producer → numbers of its documents in ml-api-logs, each as often as it is there."""
    door = open_door(store_url, Recording())  # not the platform's own, which is recorded

    def numbers(settings: Settings, producer: str) -> list[int]:
        index = f"{settings.store.es_index_prefix}ml-api-logs"
        body = {"query": {"term": {"producer": producer}}, "size": 1000, "sort": [{"number": "asc"}]}
        with httpx.Client(base_url=door.url, timeout=30) as client:
            client.post(f"/{index}/_refresh").raise_for_status()
            answer = client.post(f"/{index}/_search", json=body).raise_for_status()
        return [hit["_source"]["number"] for hit in answer.json()["hits"]["hits"]]

    yield numbers
    door.stop()


def test_what_a_crash_of_the_machine_took_is_in_the_ledger(
    settings: Settings, stored_numbers: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal without its last page after a restart of the machine: what is whole is indexed, the lost end
    is declared up to what was promised, the producer is closed, and the ledger balances."""
    journal = journal_of(settings, 60)
    die(journal)
    (path,) = segments(settings.api.vigie_home)
    content = path.read_bytes()
    end = content.rindex(MARKER) // mmap.PAGESIZE * mmap.PAGESIZE  # the page in which the last one begins
    last = max(
        struct.unpack_from("<Q", content, match.start() + 12)[0]
        for match in re.finditer(re.escape(MARKER), content[:end])
    )
    path.write_bytes(content[:end] + bytes(len(content) - end))
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")
    summary = run_once(settings)
    assert summary.complete
    found = stored_numbers(settings, journal.producer)
    assert found == list(range(1, len(found) + 1))
    assert len(found) in (last - 1, last)  # the one before the page may reach into it
    state = Stream.open(settings.redis).ledger.producer(journal.producer)
    assert state.gaps == (Gap(len(found) + 1, 60, DAMAGED), Gap(61, LEAST_AHEAD, CRASHED))
    assert state.closed == LEAST_AHEAD
    report = verify(settings)
    assert report.problems == ()
    totals = report.as_dict()["totals"]
    assert (totals["indexed"], totals["dropped"]) == (len(found), LEAST_AHEAD - len(found))


def test_a_redis_that_lost_everything_gets_what_the_journals_still_have(
    settings: Settings, stored_numbers: Stored
) -> None:
    """FLUSHALL under a living producer: its journal is shipped again, what was only in Redis reaches the store,
    what was stored before is there once, and the ledger balances."""
    emitter = Emitter.start(settings, "api")
    producer = emitter.status().producer
    emitter.emit_many([prediction(n) for n in range(1, 201)])  # type: ignore[misc]  # as above
    wait_for(lambda: emitter.status().backlog == 0, 60, "everything to be shipped")
    assert run_once(settings).counts.indexed == 200
    emitter.emit_many([prediction(n) for n in range(201, 251)])  # type: ignore[misc]
    wait_for(lambda: emitter.status().backlog == 0, 60, "everything to be shipped")
    stream = Stream.open(settings.redis)
    stream.client.flushall()  # with 50 events in it that are nowhere else but in the journal
    emitter.emit(prediction(251))  # type: ignore[arg-type]
    wait_for(lambda: stream.length() == 251, 60, "the journal to be shipped again")
    assert run_once(settings).complete
    assert stored_numbers(settings, producer) == list(range(1, 252))
    emitter.stop(20)
    assert verify(settings).problems == ()


def test_what_redis_forgot_and_no_journal_has_is_named(
    settings_for: Callable[..., Settings],
    settings: Settings,
    stored_numbers: Stored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FLUSHALL when the journal has let go of its beginning: stored is stored, and the ledger names the numbers
    whose account is lost instead of balancing."""
    monkeypatch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(journal_reader, "USED_SECONDS", 0.0)
    emitter = Emitter.start(
        settings.model_copy(update={"journal": settings_for(JOURNAL_MAX_BYTES=MEBIBYTE).journal}), "api"
    )
    producer = emitter.status().producer
    for number in range(1, 41):
        emitter.emit(prediction(number, exception=FILLING))  # type: ignore[arg-type]  # as above
    wait_for(lambda: emitter.status().backlog == 0, 60, "everything to be shipped")
    assert run_once(settings).counts.indexed == 40
    stream = Stream.open(settings.redis)
    stream.client.flushall()
    emitter.emit(prediction(41))  # type: ignore[arg-type]
    wait_for(lambda: 41 in numbers_in(stream), 60, "the rest of the journal to be shipped again")
    emitter.stop(20)
    assert run_once(settings).complete
    assert stored_numbers(settings, producer) == list(range(1, 42))
    first = min(numbers_in(stream))
    assert 1 < first < 40
    problems = verify(settings).problems
    assert [problem for problem in problems if producer in problem and f"1–{first - 1}" in problem] != []


@pytest.mark.parametrize("crash", [False, True])
def test_a_killed_redis_has_what_it_took_and_its_crashed_machine_is_given_it_again(
    settings_for: Callable[..., Settings], own_redis: RedisServer, crash: bool
) -> None:
    """SIGKILL of Redis in the midst of events: each is in the stream once. With its last seconds cut off, as a
    crash of its machine leaves the append-only file, the journals of living producers bring them again."""
    emitter = Emitter.start(settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=own_redis.port), "api")
    for number in range(1, 1001):
        emitter.emit(prediction(number))  # type: ignore[arg-type]  # as above
    wait_for(lambda: emitter.status().shipped > 300, 60, "Redis to have some")
    own_redis.process.kill()
    own_redis.process.wait()
    if crash:
        cut_the_end(own_redis.directory)
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        stream = Stream.open(own_redis.settings())
        wait_for(lambda: numbers_in(stream)[999:], 60, "everything to be in the stream")
        assert sorted(numbers_in(stream)) == list(range(1, 1001))
    finally:
        emitter.stop(20)
        again.stop()


def cut_the_end(directory: Path) -> None:
    """Take the last 20 kB off Redis' append-only file."""
    (newest,) = [path for path in directory.rglob("*.aof") if ".base." not in path.name]
    size = newest.stat().st_size
    assert size > 40_000
    os.truncate(newest, size - 20_000)


def test_a_journal_elsewhere_is_not_seen(settings: Settings, settings_for: Callable[..., Settings]) -> None:
    """Who verifies under another VIGIE_HOME, as on another machine, counts only what Redis and store know."""
    die(journal_of(settings, 5))
    elsewhere = settings.model_copy(
        update={"api": settings_for(VIGIE_HOME=settings.api.vigie_home / "elsewhere").api}
    )
    run_once(elsewhere)
    seen = [verify(where).as_dict()["totals"] for where in (elsewhere, settings)]
    assert [(totals["produced"], totals["pending"]) for totals in seen] == [(0, 0), (5, 5)]
