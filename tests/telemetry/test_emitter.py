"""`emit` returns at once and loses nothing; the emitter ends cleanly, in forked children too."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.servers import RedisServer, wait_for
from tests.telemetry.events import (
    die,
    event,
    gaps,
    killed_after,
    messages,
    numbers,
    read,
    recovered,
    segments,
    small_journal,
)

from vigie.settings import MEBIBYTE, RedisSettings, Settings
from vigie.telemetry import emitter as emitting
from vigie.telemetry.emitter import Emitter, JournalError, journal_home
from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.journal import FULL
from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.stream import Stream, connect

SettingsFor = Callable[..., Settings]


def on(redis_settings: RedisSettings, settings_for: SettingsFor, **values: object) -> Settings:
    """Settings whose events go to the given Redis."""
    host, port = redis_settings.address
    given = {"REDIS_HOST": host, "REDIS_PORT": port, "REDIS_DB": redis_settings.redis_db, **values}
    return settings_for(**given)


def test_events_reach_redis_and_nothing_stays(
    redis_settings: RedisSettings, settings_for: SettingsFor
) -> None:
    """Emitted events are in the stream; after the end the producer is closed and its journal gone."""
    settings = on(redis_settings, settings_for)
    emitter = Emitter.start(settings, "api")
    emitter.emit(event("one"))
    emitter.emit_many([event("two"), event("three")])
    wait_for(lambda: emitter.status().backlog == 0)
    status = emitter.status()
    assert (status.high, status.shipped, status.events, status.dropped, status.refused) == (3, 3, 3, 0, 0)
    assert (status.accepting, status.redis_error, status.stream_full, status.journal_bytes) == (
        True,
        None,
        False,
        0,
    )
    assert status.emit_seconds > 0
    emitter.stop()
    assert not emitter.status().accepting
    stream = Stream(connect(redis_settings))
    found = stream.after("0", 10)
    assert [(entry.producer, entry.number) for entry in found] == [(status.producer, n) for n in (1, 2, 3)]
    assert [orjson.loads(entry.event)["message"] for entry in found] == ["one", "two", "three"]
    (state,) = stream.ledger.producers()
    assert (state.producer, state.high, state.closed) == (status.producer, 3, 3)
    assert (state.attributes["role"], state.attributes["pid"]) == ("api", str(os.getpid()))
    assert segments(settings.api.vigie_home) == []


def test_the_end_ships_what_was_just_emitted(
    redis_settings: RedisSettings, settings_for: SettingsFor
) -> None:
    """Events emitted right before the end are shipped by it."""
    emitter = Emitter.start(on(redis_settings, settings_for), "ui")
    emitter.emit_many([event(n) for n in range(2000)])
    emitter.stop(30)
    assert Stream(connect(redis_settings)).length() == 2000


def test_emit_waits_for_no_redis(settings_for: SettingsFor) -> None:
    """With a Redis that accepts and never answers every emit is in the journal when it returns, and stays."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=silent.getsockname()[1])
        emitter = Emitter.start(settings, "api")
        for n in range(1000):
            emitter.emit(event(n))
        status = emitter.status()
        assert (status.high, status.backlog, status.accepting) == (1000, 1000, True)
        emitter.stop(0.1)
    dead = recovered(settings.api.vigie_home)
    assert messages(read(dead, 2000)) == [str(n) for n in range(1000)]
    dead.close(delete=True)


def test_the_next_process_ships_what_was_left(settings_for: SettingsFor, own_redis: RedisServer) -> None:
    """Ended while Redis is away, a process leaves its journal, and the next one ships it."""
    redis_settings = own_redis.settings()
    settings = on(redis_settings, settings_for)
    own_redis.stop()
    first = Emitter.start(settings, "api")
    first.emit_many([event(n) for n in range(10)])
    wait_for(lambda: first.status().redis_error is not None)
    first.stop(0.1)
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        second = Emitter.start(settings, "api")
        stream = Stream(connect(redis_settings))
        left = first.status().producer
        wait_for(lambda: [s for s in stream.ledger.producers() if s.producer == left and s.closed == 10])
        second.stop()
        assert [entry.number for entry in stream.after("0", 100)] == list(range(1, 11))
    finally:
        again.stop()
    assert segments(settings.api.vigie_home) == []


def test_a_full_journal_drops_and_declares(settings_for: SettingsFor, own_redis: RedisServer) -> None:
    """With Redis away and the journal full, later events are dropped, and Redis learns their exact numbers."""
    redis_settings = own_redis.settings()
    settings = on(redis_settings, settings_for, JOURNAL_MAX_BYTES=MEBIBYTE)
    own_redis.stop()
    emitter = Emitter.start(settings, "api")
    for n in range(150):
        emitter.emit(event(n, filling="x" * 10_000))
    status = emitter.status()
    assert (status.high, status.dropped, status.accepting) == (150, 54, False)
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        wait_for(lambda: emitter.status().backlog == 0)
        emitter.emit(event("after"))
        emitter.stop(20)
        stream = Stream(connect(redis_settings))
        assert stream.ledger.producers()[0].gaps == (Gap(97, 150, FULL),)
        assert [entry.number for entry in stream.after("0", 500)] == [*range(1, 97), 151]
    finally:
        again.stop()


PRINTS_EVENTS = """
import sys
from vigie.settings import load_settings
from vigie.telemetry.emitter import Emitter
from tests.telemetry.events import event

emitter = Emitter.start(load_settings({"VIGIE_HOME": sys.argv[1], "LOG_TO_REDIS": "false"}, None), "api")
emitter.emit_many([event("one"), event("two")])
emitter.stop()
"""


def test_without_redis_events_are_lines_on_stdout(tmp_path: Path) -> None:
    """LOG_TO_REDIS=false: each event is a line of JSON; what a dead process owes to Redis is not printed."""
    owed = small_journal(tmp_path)
    owed.append([event("owed to Redis")])
    die(owed)
    run = subprocess.run(
        [sys.executable, "-c", PRINTS_EVENTS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [orjson.loads(line) for line in run.stdout.splitlines()]
    assert [line["message"] for line in lines] == ["one", "two"]
    assert [line["data"]["number"] for line in lines] == [1, 2]
    assert segments(tmp_path / "stdout") == []
    dead = recovered(tmp_path)
    assert messages(read(dead, 10)) == ["owed to Redis"]
    dead.close(delete=True)


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path, settings_for: SettingsFor) -> None:
    """Where there can be no journal the message names the place and the variable."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"no journal can be made under .*file: .* Set VIGIE_HOME"):
        Emitter.start(settings_for(VIGIE_HOME=tmp_path / "file"), "api")


def test_a_forked_child_is_a_producer_of_its_own(
    redis_settings: RedisSettings, settings_for: SettingsFor
) -> None:
    """Parent and child number their events apart, under two ids, and neither loses any."""
    settings = on(redis_settings, settings_for)
    emitter = Emitter.start(settings, "api")
    emitter.emit(event("parent 1"))
    child = os.fork()
    if child == 0:
        try:
            emitter.emit(event("child 1"))
            emitter.emit(event("child 2"))
            emitter.stop(20)
        finally:
            os._exit(0 if emitter.status().backlog == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    emitter.emit(event("parent 2"))
    emitter.stop(20)
    by_producer: dict[str, list[tuple[int, str]]] = {}
    for entry in Stream(connect(redis_settings)).after("0", 10):
        message = orjson.loads(entry.event)["message"]
        by_producer.setdefault(entry.producer, []).append((entry.number, message))
    own = by_producer.pop(emitter.status().producer)
    assert own == [(1, "parent 1"), (2, "parent 2")]
    assert list(by_producer.values()) == [[(1, "child 1"), (2, "child 2")]]
    assert segments(settings.api.vigie_home) == []


def test_a_child_that_emits_nothing_ends_without_a_trace(settings_for: SettingsFor) -> None:
    """Stopping an inherited emitter in a child leaves the parent's telemetry alone."""
    settings = settings_for(LOG_TO_REDIS="false")
    emitter = Emitter.start(settings, "api")
    child = os.fork()
    if child == 0:
        emitter.stop()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert emitter.status().accepting
    assert DeadJournal.recover(journal_home(settings)) == []
    emitter.stop()


def test_a_child_that_can_make_no_journal_keeps_serving(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the renewal fails, emit still does not raise and the event is counted as refused."""
    emitter = Emitter.start(settings_for(LOG_TO_REDIS="false"), "api")

    def no_journal(*_: object) -> None:
        raise OSError("no room")

    child = os.fork()
    if child == 0:
        monkeypatch.setattr("vigie.telemetry.journal.journal.Journal.create", no_journal)
        emitter.emit(event("lost"))
        os._exit(0 if emitter.status().refused == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    emitter.stop()


def test_what_is_logged_of_a_failed_renewal_may_be_an_event(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that is emitted through the same emitter waits for nothing, and is refused like the event."""
    emitter = Emitter.start(settings_for(LOG_TO_REDIS="false"), "api")
    monkeypatch.setattr(emitting, "LAST_NUMBER", 1)
    emitter.emit(event("the last number"))
    makings = 0

    def no_journal(*_: object) -> None:
        nonlocal makings
        makings += 1
        raise OSError("no room")

    monkeypatch.setattr("vigie.telemetry.journal.journal.Journal.create", no_journal)
    monkeypatch.setattr(emitting.logger, "warning", lambda *_: emitter.emit(event("a log")))
    emitter.emit(event("an event"))
    emitter.emit(event("another"))
    assert makings == 1, "the disk is not asked again for each event"
    monkeypatch.setattr(emitting, "RENEW_SECONDS", 0.0)
    emitter._renew_at = 0.0
    monkeypatch.setattr(emitting.logger, "warning", lambda *_: None)
    emitter.emit(event("later"))
    assert makings == 2
    emitter.stop()


def own_threads() -> list[threading.Thread]:
    """The threads of journals in this process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("vigie-telemetry")]


def test_a_producer_goes_on_as_another_before_its_numbers_end(
    redis_settings: RedisSettings, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are bounded in the ledger: near the bound the process becomes a new producer, nothing lost."""
    monkeypatch.setattr(emitting, "LAST_NUMBER", 5)
    emitter = Emitter.start(on(redis_settings, settings_for), "api")
    first = emitter.status().producer
    for n in range(8):
        emitter.emit(event(n))
    stream = Stream(connect(redis_settings))
    wait_for(lambda: [state for state in stream.ledger.producers() if state.closed == 5])
    emitter.stop(20)
    found = [(entry.producer, entry.number) for entry in stream.after("0", 20)]
    assert sorted(number for producer, number in found if producer == first) == [1, 2, 3, 4, 5]
    assert [number for producer, number in found if producer != first] == [1, 2, 3]
    wait_for(lambda: not own_threads(), 60, "the threads of both journals to end")


EMITS_UNTIL_KILLED = """
import sys
from vigie.settings import load_settings
from vigie.telemetry.emitter import Emitter
from tests.telemetry.events import event

emitter = Emitter.start(load_settings({"VIGIE_HOME": sys.argv[1], "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": sys.argv[2], "REDIS_DB": sys.argv[3]}, None), "api")
print(emitter.status().producer, flush=True)
n = 0
while True:
    n += 1
    emitter.emit(event(n, filling="x" * 500))
    print(n, flush=True)
"""


def test_kill_while_shipping_loses_and_doubles_nothing(
    redis_settings: RedisSettings, settings_for: SettingsFor
) -> None:
    """A process killed while it emits and ships: with its successor every event is in the stream exactly once."""
    settings = on(redis_settings, settings_for)
    port = settings.redis.redis_port
    arguments = [settings.api.vigie_home, port, settings.redis.redis_db]
    producer, *told = killed_after(EMITS_UNTIL_KILLED, arguments, "3000")
    acknowledged = int([line for line in told if line][-1])
    successor = Emitter.start(settings, "api")
    stream = Stream(connect(redis_settings))
    state = wait_for(
        lambda: next((s for s in stream.ledger.producers() if s.producer == producer and s.closed), None)
    )
    successor.stop(20)
    found: list[int] = []
    after = "0"
    while page := stream.after(after, 500):
        found += [entry.number for entry in page if entry.producer == producer]
        after = page[-1].id
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged
    assert (state.high, state.closed, state.gaps) == (len(found), len(found), ())


def test_a_disk_that_cannot_be_synced_is_told_once(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing sync neither ends the keeper nor fills the log, and events are still kept."""
    from loguru import logger

    told: list[str] = []
    handler = logger.add(lambda message: told.append(message.record["message"]), level="WARNING")
    failures = threading.Semaphore(0)

    def fails(_: int) -> None:
        failures.release()
        raise OSError("I/O error")

    monkeypatch.setattr(os, "fsync", fails)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        emitter = Emitter.start(
            settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=port, JOURNAL_FSYNC_MS=10), "api"
        )
        emitter.emit(event("a"))
        for _ in range(3):
            assert failures.acquire(timeout=20)
        monkeypatch.undo()
        emitter.stop(0.1)
    logger.remove(handler)
    assert [line for line in told if "disk" in line] == [
        "the journal cannot be brought to the disk: I/O error"
    ]
    assert emitter.status().high == 1


def test_an_emitter_s_gaps_survive_without_redis(settings_for: SettingsFor) -> None:
    """What was dropped by a process that never reached Redis is still declared by its journal."""
    settings = settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=1, JOURNAL_MAX_BYTES=MEBIBYTE)
    emitter = Emitter.start(settings, "api")
    emitter.emit_many([event(n, filling="x" * 10_000) for n in range(120)])
    emitter.stop(0.1)
    dead = recovered(settings.api.vigie_home)
    items = read(dead, 500)
    assert gaps(items) == [Gap(97, 120, FULL)]
    assert numbers(items) == list(range(1, 121))
    dead.close(delete=True)


def test_journals_removed_under_a_living_process_lose_nothing_that_redis_takes(
    settings_for: SettingsFor, own_redis: RedisServer
) -> None:
    """rm -rf VIGIE_HOME/producers with Redis away: emitting goes on, and Redis gets every event once back."""
    settings = on(own_redis.settings(), settings_for)
    own_redis.stop()
    emitter = Emitter.start(settings, "api")
    emitter.emit_many([event(n) for n in range(10)])
    shutil.rmtree(settings.api.vigie_home / "producers")
    emitter.emit(event(10))
    wait_for(lambda: segments(settings.api.vigie_home), 60, "the journal to be made again")
    emitter.emit(event(11))
    assert (emitter.status().accepting, emitter.status().dropped) == (True, 0)
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        wait_for(lambda: emitter.status().backlog == 0, 60, "everything to be shipped")
        emitter.stop(20)
        found = Stream(connect(own_redis.settings())).after("0", 100)
        assert [orjson.loads(entry.event)["message"] for entry in found] == [str(n) for n in range(12)]
    finally:
        again.stop()
    assert segments(settings.api.vigie_home) == []


LEAVES_A_JOURNAL = """
import os, signal, sys
from vigie.settings import load_settings
from vigie.telemetry.emitter import Emitter
from tests.telemetry.events import event

emitter = Emitter.start(load_settings({"VIGIE_HOME": sys.argv[1], "LOG_TO_REDIS": sys.argv[2],
    "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}, None), "api")
sys.stdout.close()  # nobody reads: what is printed fails, as with Redis away
emitter.emit(event(f"LOG_TO_REDIS={sys.argv[2]}"))
os.kill(os.getpid(), signal.SIGKILL)
"""


PRINTS_WHAT_IS_LEFT = """
import sys
from pathlib import Path
from tests.servers import wait_for
from vigie.settings import load_settings
from vigie.telemetry.emitter import Emitter

emitter = Emitter.start(load_settings({"VIGIE_HOME": sys.argv[1], "LOG_TO_REDIS": "false"}, None), "api")
wait_for(lambda: len(list(Path(sys.argv[1], "stdout", "producers").glob("*/lock"))) == 1, 60)
emitter.stop()
"""


def test_switching_where_events_go_loses_none(
    redis_settings: RedisSettings, settings_for: SettingsFor
) -> None:
    """LOG_TO_REDIS there and back: each journal waits for the setting under which it was written."""
    settings = on(redis_settings, settings_for)
    home = settings.api.vigie_home
    for value in ("false", "true"):
        subprocess.run([sys.executable, "-c", LEAVES_A_JOURNAL, str(home), value], timeout=60, check=False)
    assert len(segments(home)) > 0
    assert len(segments(home / "stdout")) > 0
    emitter = Emitter.start(settings, "api")
    stream = Stream(connect(redis_settings))
    wait_for(lambda: [s for s in stream.ledger.producers() if s.closed == 1], 60, "the event owed to Redis")
    wait_for(lambda: len(list((home / "producers").glob("*/lock"))) == 1, 60, "its journal to be removed")
    emitter.stop(20)
    (entry,) = stream.after("0", 10)
    assert orjson.loads(entry.event)["message"] == "LOG_TO_REDIS=true"
    assert (segments(home), len(segments(home / "stdout")) > 0) == ([], True)
    run = subprocess.run(
        [sys.executable, "-c", PRINTS_WHAT_IS_LEFT, str(home)],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert [orjson.loads(line)["message"] for line in run.stdout.splitlines()] == ["LOG_TO_REDIS=false"]
    assert segments(home / "stdout") == []


def test_the_clock_decides_nothing(
    redis_settings: RedisSettings, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back, again and again and over midnight, neither holds up nor reorders events."""
    day = 86_400.0
    steps = itertools.cycle([0.0, -day, -1.0, -3650 * day, day])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(steps))
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    settings = on(redis_settings, settings_for)
    dead = small_journal(settings.api.vigie_home)
    for n in range(100):
        dead.append([event(n)])
    die(dead)
    emitter = Emitter.start(settings, "api")
    for n in range(100):
        emitter.emit(event(n))
    stream = Stream(connect(redis_settings))
    wait_for(lambda: stream.ledger.producer(dead.producer).closed == 100, 60, "the dead journal's end")
    emitter.stop(30)
    by_producer: dict[str, list[int]] = {dead.producer: [], emitter.status().producer: []}
    for entry in stream.after("0", 500):
        by_producer[entry.producer].append(entry.number)
    assert list(by_producer.values()) == [list(range(1, 101))] * 2


def test_the_disk_is_synced_by_interval(settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Redis has not yet is brought to the disk within JOURNAL_FSYNC_MS, without anybody asking."""
    asked: list[tuple[threading.Thread, float | None]] = []
    real = threading.Event.wait
    synced = threading.Semaphore(0)
    fsync = os.fsync

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        asked.append((threading.current_thread(), timeout))
        return real(self, timeout)

    def counted(descriptor: int) -> None:
        fsync(descriptor)
        synced.release()

    monkeypatch.setattr(threading.Event, "wait", wait)
    monkeypatch.setattr(os, "fsync", counted)
    emitter = Emitter.start(settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=1, JOURNAL_FSYNC_MS=40), "api")
    for n in range(4):
        emitter.emit(event(n))
        assert synced.acquire(timeout=60)
    assert {timeout for thread, timeout in asked if thread is emitter._keeper} == {0.04}
    emitter.stop(0.1)
    recovered(emitter._settings.api.vigie_home).close(delete=True)
