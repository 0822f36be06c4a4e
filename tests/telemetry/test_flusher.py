"""Events reach Redis once, in order, however Redis and the processes come and go."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pytest
import redis
from tests.servers import RedisServer, wait_for
from tests.telemetry.events import die, event, killed_after, messages, numbers, small_journal, unpacked

from vigie.settings import RedisSettings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.flusher import LONGEST_BACKOFF_SECONDS, PAGE, Flusher, adopt_all, backoff
from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.framing import Record, Run
from vigie.telemetry.journal.home import take_dead_folders
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.stream.items import Gap, StreamEntry, Written
from vigie.telemetry.stream.stream import Stream, connect


def entries(settings: RedisSettings) -> list[StreamEntry]:
    """Everything in the stream, oldest first."""
    stream, found = Stream(connect(settings)), list[StreamEntry]()
    while page := stream.after(found[-1].id if found else "0", 500):
        found += page
    return found


def label(entry: StreamEntry) -> str:
    """The message of an entry's event."""
    return str(orjson.loads(entry.event)["message"])


class Recorder:
    """A destination in memory with the write script's rules, that can be told to fail."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Record | Gap]] = {}
        self.highs: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.registered: dict[str, dict[str, str]] = {}
        self.calls: list[int] = []
        self.failing: Exception | None = None
        self.loses_reply = False
        self.room: int | None = None

    def register(self, producer: str, attributes: Mapping[str, str]) -> None:
        self._fail()
        self.registered[producer] = dict(attributes)

    def high(self, producer: str) -> int | None:
        self._fail()
        return self.highs.get(producer, 0)

    def write(self, producer: str, items: Sequence[Run | Gap], known: int = 0) -> Written:
        self._fail()
        pieces = unpacked(items)
        self.calls.append(len(pieces))
        high, full = self.highs.get(producer, 0), False
        if high < known:
            return Written(high, 0, full)
        for item in pieces:
            last = item.number if isinstance(item, Record) else item.last
            if last <= high:
                continue
            if self.room is not None and self.room <= 0:
                full = True
                break
            self.room = None if self.room is None else self.room - 1
            self.taken.setdefault(producer, []).append(item)
            high = last
        self.highs[producer] = high
        if self.loses_reply:
            self.loses_reply = False
            raise redis.TimeoutError("the reply was lost")
        return Written(high, 0, full)

    def close_producer(self, producer: str, last: int) -> None:
        self._fail()
        self.closed[producer] = last

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal of its own, closed at the end."""
    made = small_journal(tmp_path, 64 * 1024 * 1024)
    yield made
    made.close(delete=True)


def test_a_journal_is_shipped_in_order_and_pages(journal: Journal, tmp_path: Path) -> None:
    """Events go in the order of their numbers, at most 500 in a call, and the producer is known."""
    journal.append([event(n) for n in range(1234)])
    recorder = Recorder()
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    wait_for(lambda: journal.backlog == 0)
    flusher.stop(5)
    taken = recorder.taken[journal.producer]
    assert numbers(taken) == list(range(1, 1235))
    assert messages(taken) == [str(n) for n in range(1234)]
    assert max(recorder.calls) == PAGE
    assert recorder.registered == {journal.producer: journal.attributes}
    assert flusher.finished
    assert recorder.closed == {journal.producer: 1234}


def test_a_lost_reply_writes_nothing_twice(journal: Journal, tmp_path: Path) -> None:
    """When the reply is lost after the write was done, the retry goes on behind it."""
    journal.append([event(n) for n in range(10)])
    recorder = Recorder()
    recorder.loses_reply = True
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    wait_for(lambda: journal.backlog == 0)
    flusher.stop(5)
    assert numbers(recorder.taken[journal.producer]) == list(range(1, 11))


def test_any_failure_is_told_and_retried(journal: Journal, tmp_path: Path) -> None:
    """Whatever the destination raises, the thread lives, says why, and ships when it is over."""
    recorder = Recorder()
    recorder.failing = RuntimeError("out of order")
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    journal.append([event("a")])
    wait_for(lambda: flusher.error is not None)
    assert flusher.error == "RuntimeError: out of order"
    recorder.failing = None
    wait_for(lambda: journal.backlog == 0)
    wait_for(lambda: flusher.error is None)
    flusher.stop(5)
    assert numbers(recorder.taken[journal.producer]) == [1]


def test_a_full_destination_is_waited_for(journal: Journal, tmp_path: Path) -> None:
    """What the destination has no room for stays in the journal and follows once there is room."""
    recorder = Recorder()
    recorder.room = 3
    journal.append([event(n) for n in range(10)])
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    wait_for(lambda: flusher.full)
    assert (journal.shipped, flusher.error) == (3, None)
    recorder.room = None
    wait_for(lambda: journal.backlog == 0)
    flusher.stop(5)
    assert not flusher.full
    assert numbers(recorder.taken[journal.producer]) == list(range(1, 11))


def test_a_destination_that_forgot_gets_its_end_again(journal: Journal, tmp_path: Path) -> None:
    """A Redis that came back without its last writes is given them again, from the journal."""
    recorder = Recorder()
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    journal.append([event(n) for n in range(10)])
    wait_for(lambda: journal.backlog == 0)
    recorder.failing = redis.ConnectionError("down")
    wait_for(lambda: flusher.error is not None)
    del recorder.taken[journal.producer][7:]
    recorder.highs[journal.producer] = 7
    recorder.failing = None
    wait_for(lambda: recorder.highs[journal.producer] == 10)
    flusher.stop(5)
    assert numbers(recorder.taken[journal.producer]) == list(range(1, 11))


def test_the_end_does_not_wait_for_a_redis_that_was_away(journal: Journal, tmp_path: Path) -> None:
    """A destination that failed before the end is tried once more, not until the grace time is over."""
    recorder = Recorder()
    recorder.failing = redis.ConnectionError("down")
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    journal.append([event("a")])
    wait_for(lambda: flusher.error is not None)
    before = time.monotonic()
    flusher.stop(600)
    assert time.monotonic() - before < 60
    assert (flusher.is_alive(), flusher.finished) == (False, False)


def test_the_end_ships_what_is_left(journal: Journal, tmp_path: Path) -> None:
    """Events appended just before the end are shipped within the grace time, over a failure too."""
    recorder = Recorder()
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    wait_for(lambda: recorder.registered)
    recorder.loses_reply = True
    journal.append([event(n) for n in range(1100)])
    flusher.stop(30)
    assert flusher.finished
    assert numbers(recorder.taken[journal.producer]) == list(range(1, 1101))


def test_the_end_leaves_what_a_full_destination_does_not_take(journal: Journal, tmp_path: Path) -> None:
    """With no room within the grace time the rest stays in the journal."""
    recorder = Recorder()
    recorder.room = 1
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    journal.append([event(n) for n in range(3)])
    flusher.stop(0.3)
    assert (flusher.finished, journal.backlog) == (False, 2)


def test_a_dead_process_s_journal_is_adopted(journal: Journal, tmp_path: Path) -> None:
    """Its events are shipped under its own name, it is closed with its last number, and its folder goes."""
    dead = small_journal(tmp_path)
    dead.append([event(n) for n in range(1200)])
    dead.advance(300)
    die(dead)
    recorder = Recorder()
    recorder.highs[dead.producer] = 310
    flusher = Flusher(journal, recorder, tmp_path)
    flusher.start()
    journal.append([event("own")])
    wait_for(lambda: dead.producer in recorder.closed)
    wait_for(lambda: journal.backlog == 0)
    flusher.stop(5)
    assert numbers(recorder.taken[dead.producer]) == list(range(311, 1201))
    assert recorder.registered[dead.producer] == dead.attributes
    assert recorder.closed == {dead.producer: 1200, journal.producer: 1}
    assert not (tmp_path / "producers" / dead.producer).exists()


def test_a_dead_process_is_closed_at_what_redis_has(journal: Journal, tmp_path: Path) -> None:
    """When Redis has more than the journal still holds, its number is the last."""
    dead = small_journal(tmp_path)
    die(dead)
    recorder = Recorder()
    recorder.highs[dead.producer] = 77
    assert adopt_all(tmp_path, recorder) == 1
    assert recorder.closed == {dead.producer: 77}


def test_adoption_waits_for_the_destination(journal: Journal, tmp_path: Path) -> None:
    """Adopted journals survive failures and the end of the adopter: nothing is removed unshipped."""
    dead = small_journal(tmp_path)
    dead.append([event("a")])
    die(dead)
    recorder = Recorder()
    flusher = Flusher(journal, recorder, tmp_path)
    recorder.room = 0
    flusher.start()
    wait_for(lambda: dead.producer in recorder.registered)
    assert take_dead_folders(tmp_path) == []
    recorder.failing = redis.ConnectionError("down")
    wait_for(lambda: flusher.error is not None)
    flusher.stop(0.1)
    recorder.failing = None
    assert adopt_all(tmp_path, recorder) == 0  # still no room
    recorder.room = None
    assert adopt_all(tmp_path, recorder) == 1
    assert numbers(recorder.taken[dead.producer]) == [1]
    assert DeadJournal.recover(tmp_path) == []


def test_two_adopters_share_the_dead(tmp_path: Path) -> None:
    """However many look at once, each dead journal is shipped by one of them, whole."""
    producers = {}
    for count in range(1, 9):
        dead = small_journal(tmp_path)
        dead.append([event(n) for n in range(count)])
        producers[dead.producer] = count
        die(dead)
    recorders = [Recorder() for _ in range(4)]
    adopted = [0] * 4
    start = threading.Barrier(4)

    def adopt(index: int) -> None:
        start.wait()
        adopted[index] = adopt_all(tmp_path, recorders[index])

    threads = [threading.Thread(target=adopt, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(adopted) == 8
    closed = [item for recorder in recorders for item in recorder.closed.items()]
    assert sorted(closed) == sorted(producers.items())


DIES_WITH_EVENTS = """
import sys, time
from pathlib import Path
from tests.telemetry.events import event, small_journal

journal = small_journal(Path(sys.argv[1]))
journal.append([event(n) for n in range(700)])
print(journal.producer, flush=True)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_killed_process_s_events_arrive_in_redis(tmp_path: Path, redis_settings: RedisSettings) -> None:
    """Events of a process killed before it could ship any are all in the stream once another starts."""
    producer, *_ = killed_after(DIES_WITH_EVENTS, [tmp_path], "ready")
    journal = small_journal(tmp_path)
    flusher = Flusher(journal, RedisDestination(connect(redis_settings)), tmp_path)
    flusher.start()
    stream = Stream(connect(redis_settings))
    states = wait_for(
        lambda: [state for state in stream.ledger.producers() if state.producer == producer and state.closed]
    )
    flusher.stop(5)
    journal.close(delete=True)
    assert [(state.high, state.closed) for state in states] == [(700, 700)]
    found = [entry for entry in entries(redis_settings) if entry.producer == producer]
    assert [entry.number for entry in found] == list(range(1, 701))
    assert [label(entry) for entry in found] == [str(n) for n in range(700)]


def test_a_stopped_redis_gets_everything_when_it_is_back(tmp_path: Path, own_redis: RedisServer) -> None:
    """Events emitted while Redis is down arrive in order behind those from before, once each."""
    settings = own_redis.settings()
    journal = small_journal(tmp_path / "home")
    flusher = Flusher(journal, RedisDestination(connect(settings)), tmp_path / "home")
    flusher.start()
    journal.append([event(n) for n in range(100)])
    wait_for(lambda: journal.backlog == 0)
    own_redis.stop()
    journal.append([event(n) for n in range(100, 900)])
    wait_for(lambda: flusher.error is not None)
    assert journal.backlog == 800
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        wait_for(lambda: journal.backlog == 0)
        flusher.stop(5)
        found = entries(settings)
    finally:
        again.stop()
    journal.close(delete=True)
    assert [label(entry) for entry in found] == [str(n) for n in range(900)]


def test_a_redis_that_never_answers_holds_up_nobody(tmp_path: Path) -> None:
    """Behind a server that accepts and is silent, appends return and the reason is told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = RedisSettings(redis_host="127.0.0.1", redis_port=silent.getsockname()[1])
        journal = small_journal(tmp_path)
        flusher = Flusher(journal, RedisDestination(connect(settings, timeout=0.2)), tmp_path)
        flusher.start()
        journal.append([event(n) for n in range(600)])
        assert journal.high == 600
        wait_for(lambda: flusher.error is not None)
        assert flusher.error is not None
        assert "Timeout" in flusher.error
        flusher.stop(0.1)
    assert journal.backlog == 600
    journal.close(delete=True)


def test_the_bound_of_the_stream_is_kept(tmp_path: Path, redis_settings: RedisSettings) -> None:
    """At REDIS_STREAM_MAX_ENTRIES events stay in the journal; the stream says it is full."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(700)])
    destination = RedisDestination(connect(redis_settings), max_entries=600)
    flusher = Flusher(journal, destination, tmp_path)
    flusher.start()
    wait_for(lambda: flusher.full)
    flusher.stop(0.1)
    assert (journal.backlog, len(entries(redis_settings))) == (100, 600)
    journal.close(delete=True)


def test_backoff_grows_to_its_bound() -> None:
    """Pauses have jitter, grow with the failures, and never exceed the longest."""
    first = [backoff(1) for _ in range(200)]
    assert 0.05 <= min(first) < max(first) <= 0.2
    late = [backoff(50) for _ in range(200)]
    assert max(first) < max(late) <= LONGEST_BACKOFF_SECONDS


def test_a_redis_that_forgot_behind_a_living_connection_is_noticed(
    redis_settings: RedisSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FLUSHALL, or a fast restart without its last writes, between two events: none is passed over."""
    monkeypatch.setattr("vigie.telemetry.flusher.CHECK_SECONDS", 600.0)  # only the writing may notice
    journal = small_journal(tmp_path)
    flusher = Flusher(journal, RedisDestination(connect(redis_settings)), tmp_path)
    flusher.start()
    journal.append([event(n) for n in range(50)])
    wait_for(lambda: journal.backlog == 0)
    connect(redis_settings).flushall()
    journal.append([event(n) for n in range(50, 55)])
    wait_for(lambda: len(entries(redis_settings)) == 55)
    flusher.stop(20)
    assert [entry.number for entry in entries(redis_settings)] == list(range(1, 56))
    assert [label(entry) for entry in entries(redis_settings)] == [str(n) for n in range(55)]
    (state,) = Stream(connect(redis_settings)).ledger.producers()
    assert (state.attributes["role"], state.closed) == ("api", 55)
    journal.close(delete=True)


def test_a_dead_journal_is_shipped_again_to_a_redis_that_forgot_it(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """A journal is removed only when its last page is where the pages before it are."""
    dead = small_journal(tmp_path)
    dead.append([event(n) for n in range(PAGE + 10)])
    die(dead)
    stream = Stream(connect(redis_settings))

    class Forgets(RedisDestination):
        calls = 0

        def write(self, producer: str, items: Sequence[Run | Gap], known: int = 0) -> Written:
            self.calls += bool(items)
            if items and self.calls == 2:
                self.client.flushall()
            return super().write(producer, items, known)

    assert adopt_all(tmp_path, Forgets(connect(redis_settings))) == 1
    assert [entry.number for entry in entries(redis_settings)] == list(range(1, PAGE + 11))
    assert stream.ledger.producers()[0].closed == PAGE + 10
