"""The indexer against a server that fails: nothing lost, nothing twice, nothing dead without its own fault."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store
from tests.servers import wait_for

from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import indexer as indexer_module
from vigie.logs_pipeline.breaker import CircuitBreaker
from vigie.logs_pipeline.filter import Document
from vigie.logs_pipeline.indexer import Indexer, Job
from vigie.settings import Settings
from vigie.telemetry.stream.dead_letters import Failure
from vigie.telemetry.stream.stream import StreamEntry, Verdict


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "backoff", lambda attempt: 0.001)


class Indexing:
    """An indexer at work on a fault store, and the verdicts it gave."""

    def __init__(self, store: FaultStore, settings: Settings) -> None:
        self.stop = threading.Event()
        self.client: Elasticsearch = connect_store(settings.store, timeout=2.0)
        self.indexer = Indexer(self.client, store.url, self.stop, CircuitBreaker(longest=0.05))
        self.verdicts: dict[int, Verdict] = {}

    def index(self, jobs: Sequence[Job]) -> dict[int, str]:
        """Index `jobs`; return the state of each event."""
        self.indexer.index(jobs, self._settle)
        return {number: verdict.state for number, verdict in sorted(self.verdicts.items())}

    def _settle(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            assert verdict.entry.number not in self.verdicts
            self.verdicts[verdict.entry.number] = verdict

    def errors(self, number: int) -> str:
        """What a dead event's letter says."""
        return self.verdicts[number].reason


@pytest.fixture
def indexing(store: FaultStore, settings_for: Callable[..., Settings]) -> Iterator[Indexing]:
    """An indexer on the store, stopped at the end."""
    port = store.url.rpartition(":")[2]
    found = Indexing(store, settings_for(ES_HOST="127.0.0.1", ES_PORT=port))
    yield found
    found.stop.set()
    found.client.close()


def job(number: int, *, suspect: bool = False, padding: int = 0) -> Job:
    """An event with a document in two indices."""
    source = orjson.dumps({"number": number, "padding": "x" * padding})
    documents = [
        Document(name, f"{name}-2026.11.20", f"{PRODUCER}-{number}", source) for name in ("logs", "perfs")
    ]
    return Job(StreamEntry(f"{number}-0", PRODUCER, number, b"{}"), documents, suspect)


def jobs(count: int) -> list[Job]:
    """Events 1 to `count`."""
    return [job(number) for number in range(1, count + 1)]


def whole(status: int, body: object = None) -> Callable[[list[Line]], Answer]:
    """A fault that refuses a whole bulk."""
    return lambda _: (
        status,
        body if body is not None else {"error": {"type": "t", "reason": "r"}, "status": status},
    )


def test_every_document_is_created_under_its_own_id(store: FaultStore, indexing: Indexing) -> None:
    """Each event is settled with the documents that the store took of it."""
    assert indexing.index(jobs(3)) == {1: "indexed", 2: "indexed", 3: "indexed"}
    assert indexing.verdicts[2].documents == {"logs-2026.11.20": 1, "perfs-2026.11.20": 1}
    assert store.documents["logs-2026.11.20", f"{PRODUCER}-2"]["number"] == 2
    assert len(store.documents) == 6


@pytest.mark.parametrize("status", [429, 502, 503, 504, 401, 403, 404, 500])
def test_a_refused_bulk_is_sent_again(store: FaultStore, indexing: Indexing, status: int) -> None:
    """No status of a whole request loses or kills a document."""
    store.faults = [whole(status), whole(status)]
    assert indexing.index(jobs(2)) == {1: "indexed", 2: "indexed"}
    assert len(store.bulks) == 3
    assert indexing.indexer.retried == 8
    assert indexing.indexer.breaker.reason is None


def test_a_proxys_page_for_an_answer_is_sent_again(store: FaultStore, indexing: Indexing) -> None:
    """An answer that is no JSON, or not a full one, is not taken for a verdict."""
    store.faults = [
        whole(502, b"<html>bad gateway</html>"),
        whole(200, {"items": []}),
        whole(200, {"took": 1}),
        whole(200, [1, 2, 3, 4]),
        whole(200, b"<html>at your service</html>"),
        whole(200, b""),
        whole(200, b'{"items": [{"create": {"sta'),
    ]
    assert indexing.index(jobs(2)) == {1: "indexed", 2: "indexed"}
    assert len(store.bulks) == 8


def test_an_error_nobody_expected_gives_the_turn_back(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one try of an open breaker that ends so makes the others wait no longer than a failed one does."""
    breaker = CircuitBreaker(longest=100_000)
    indexing.indexer.breaker = breaker
    breaker.trip("the store is away")

    def broken(**_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(indexing.client, "bulk", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        indexing.index(jobs(1))
    assert breaker.reason == "the store is away"
    monkeypatch.undo()
    deadline = threading.Timer(60, indexing.stop.set)
    deadline.start()
    try:
        assert indexing.index(jobs(1)) == {1: "indexed"}
    finally:
        deadline.cancel()
    assert breaker.reason is None


def test_a_lost_answer_doubles_nothing(store: FaultStore, indexing: Indexing) -> None:
    """Documents that were stored by an attempt whose answer was lost count as stored, once."""
    store.lose_answers = 2
    assert indexing.index(jobs(3)) == {1: "indexed", 2: "indexed", 3: "indexed"}
    assert indexing.verdicts[1].documents == {"logs-2026.11.20": 1, "perfs-2026.11.20": 1}
    assert len(store.documents) == 6


def test_only_the_refused_documents_are_sent_again(store: FaultStore, indexing: Indexing) -> None:
    """A partial failure costs a retry of its documents, and events that are complete are settled at once."""
    left = {"n": 2}

    def busy(line: Line) -> Answer | None:
        if line[1].endswith("-2") and line[0].startswith("perfs") and left["n"]:
            left["n"] -= 1
            return 429, {"type": "es_rejected_execution_exception", "reason": "queue full"}
        return None

    store.refuse = busy
    assert indexing.index(jobs(3)) == {1: "indexed", 2: "indexed", 3: "indexed"}
    assert [len(bulk) for bulk in store.bulks] == [6, 1, 1]
    assert list(indexing.verdicts) == [1, 3, 2]


def test_a_document_at_fault_is_dead_and_blocks_nobody(store: FaultStore, indexing: Indexing) -> None:
    """The event of a document that can never be stored is dead; what else was stored of it is counted."""
    store.refuse = lambda line: (
        (400, {"type": "document_parsing_exception", "reason": "not a number"})
        if line[1].endswith("-2") and line[0].startswith("logs")
        else None
    )
    assert indexing.index(jobs(3)) == {1: "indexed", 2: "dead", 3: "indexed"}
    assert indexing.verdicts[2].documents == {"perfs-2026.11.20": 1}
    assert indexing.errors(2) == "document_parsing_exception: not a number"
    failure = Failure("logs-2026.11.20", f"{PRODUCER}-2", 400, "document_parsing_exception", "not a number")
    assert (indexing.verdicts[2].failures, indexing.verdicts[2].attempts) == ([failure], 1)
    assert indexing.verdicts[2].first_at.endswith("Z")
    assert len(store.bulks) == 1


def test_a_blocked_index_is_waited_for_and_named(store: FaultStore, indexing: Indexing) -> None:
    """A closed index kills nothing: the breaker opens with the remedy until somebody opens the index."""
    store.refuse = lambda line: (400, {"type": "index_closed_exception", "reason": "closed"})
    thread = threading.Thread(target=indexing.index, args=(jobs(2),))
    thread.start()
    reason = wait_for(lambda: indexing.indexer.breaker.reason)
    assert "open the index again" in reason
    store.refuse = lambda line: None
    thread.join(20)
    assert {number: verdict.state for number, verdict in indexing.verdicts.items()} == {
        1: "indexed",
        2: "indexed",
    }
    assert indexing.indexer.breaker.reason is None


def test_a_bulk_that_is_too_large_is_split(store: FaultStore, indexing: Indexing) -> None:
    """413 halves the bulk; an event that is too large even alone is dead."""

    def too_large(lines: list[Line]) -> Answer | None:
        store.faults.append(too_large)
        size = sum(len(fields["padding"]) for _, _, fields in lines)
        return (413, b"") if size > 1000 else None

    store.faults = [too_large]
    found = indexing.index([job(1, padding=300), job(2, padding=300), job(3, padding=5000)])
    assert found == {1: "indexed", 2: "indexed", 3: "dead"}
    assert "no request of its size" in indexing.errors(3)
    assert [(found.index, found.status) for found in indexing.verdicts[3].failures] == [
        ("logs-2026.11.20", 413),
        ("perfs-2026.11.20", 413),
    ]
    assert len(store.documents) == 4


def test_a_single_item_that_is_too_large_is_dead(store: FaultStore, indexing: Indexing) -> None:
    """A per-document 413 cannot be split further."""
    store.refuse = lambda line: (413, {"type": "too_big", "reason": "r"}) if line[1].endswith("-1") else None
    assert indexing.index(jobs(2)) == {1: "dead", 2: "indexed"}


def test_a_document_the_server_fails_on_alone_is_dead(store: FaultStore, indexing: Indexing) -> None:
    """After some attempts it is sent alone; failing while others are stored, it is the cause."""

    def crash(lines: list[Line]) -> Answer | None:
        store.faults.append(crash)
        poisonous = any(key.endswith("-2") for _, key, _ in lines)
        return (500, {"error": {"type": "panic", "reason": "index out of range"}}) if poisonous else None

    store.faults = [crash]
    assert indexing.index(jobs(3)) == {1: "indexed", 2: "dead", 3: "indexed"}
    assert "index out of range" in indexing.errors(2)


def test_a_server_that_fails_on_everything_kills_nothing(store: FaultStore, indexing: Indexing) -> None:
    """As long as the store takes no document at all, no document is to blame."""
    store.faults = [whole(500)] * 60
    assert indexing.index([job(1), job(2, suspect=True)]) == {1: "indexed", 2: "indexed"}


def test_a_suspect_is_sent_alone(store: FaultStore, indexing: Indexing) -> None:
    """An event that was delivered too often shares no bulk with others."""
    indexing.index([job(1), job(2, suspect=True)])
    assert [len(bulk) for bulk in store.bulks] == [2, 1, 1]


def test_a_store_that_is_away_is_waited_for(
    store: FaultStore, indexing: Indexing, settings_for: Callable[..., Settings]
) -> None:
    """Nothing listens: the reason names the address, and the stop ends the wait with nothing settled."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=nobody.getsockname()[1])
        away = Indexing(store, settings)
        away.indexer = Indexer(away.client, settings.store.url, away.stop, CircuitBreaker(longest=0.05))
        thread = threading.Thread(target=away.index, args=(jobs(1),))
        thread.start()
        assert settings.store.url in wait_for(lambda: away.indexer.breaker.reason)
        away.stop.set()
        thread.join(10)
        assert not thread.is_alive()
        assert away.verdicts == {}
        away.client.close()


def test_a_store_that_does_not_answer_in_time_is_tried_again(store: FaultStore, indexing: Indexing) -> None:
    """A time-out is no verdict; what the slow store stored after all is not stored twice."""
    slow = threading.Event()

    def hang(lines: list[Line]) -> None:
        slow.wait(10)

    store.faults = [hang]
    indexing.client = indexing.client.options(request_timeout=0.2)
    indexing.indexer._client = indexing.client
    assert indexing.index(jobs(2)) == {1: "indexed", 2: "indexed"}
    slow.set()
    assert len(store.documents) == 4
