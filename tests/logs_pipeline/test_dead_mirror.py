"""ml-api-dead: a copy of the letters in Redis that catches up, and never stands in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store
from tests.servers import ROOT, free_port, wait_for
from tests.store_proxy import StoreProxy

from vigie.indices.mappings import DEAD_FIELDS
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import housekeeping
from vigie.logs_pipeline.dead_letters import discard
from vigie.logs_pipeline.dead_mirror import SHOWN_BYTES, LetterMirror, document
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.dead_letters import DeadLetter, Decision
from vigie.telemetry.stream.stream import Record, Stream, Verdict

Make = Callable[[object], Settings]


@pytest.fixture
def make(redis_settings: RedisSettings, settings_for: Callable[..., Settings]) -> Make:
    """Port of a store → settings of an installation with an empty Redis and a prefix of its own there."""

    def made(port: object) -> Settings:
        return settings_for(
            REDIS_HOST="127.0.0.1",
            REDIS_PORT=redis_settings.redis_port,
            ES_HOST="127.0.0.1",
            ES_PORT=port,
            MODEL_PATH=ROOT / "model" / "lung_cancer",
        )

    return made


@pytest.fixture
def faults() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def settings(make: Make, faults: FaultStore) -> Settings:
    """An installation on that store."""
    return make(faults.url.rpartition(":")[2])


@pytest.fixture
def stream(make: Make) -> Stream:
    """Its stream, whatever the store."""
    return Stream.open(make(free_port()).redis)


def one_round(settings: Settings, stream: Stream) -> int:
    """Let one round show what it can; return how many documents that were."""
    return LetterMirror(stream.client, settings.store).run(threading.Event())


def mirror(settings: Settings, stream: Stream) -> int:
    """Bring the index up to date, in as many rounds as that takes; return how many documents that took."""
    written = 0

    def done() -> bool:
        nonlocal written
        written += one_round(settings, stream)
        letters = stream.letters
        return not letters.changes("") and not letters.after(letters.mirrored())

    wait_for(done, 90, "everything to be shown")
    return written


def states(faults: FaultStore) -> dict[int, str]:
    """What the fault store shows: number → state."""
    dead = [fields for (index, _), fields in faults.documents.items() if "ml-api-dead" in index]
    return {fields["number"]: fields["state"] for fields in dead}


def shown(store: Elasticsearch, settings: Settings) -> dict[str, dict[str, Any]]:
    """The documents of a real index by the letter's id."""
    name = f"{settings.store.es_index_prefix}ml-api-dead"
    store.indices.refresh(index=name)
    hits = store.search(index=name, size=1000, sort=[{"@timestamp": "asc"}, {"letter_id": "asc"}])["hits"][
        "hits"
    ]
    assert all(hit["_id"] == hit["_source"]["letter_id"] for hit in hits)
    return {hit["_id"]: hit["_source"] for hit in hits}


def misfits(first: int, last: int) -> list[Record]:
    """Events that every index refuses."""
    return [record(prediction(number, latency_ms="slow"), number) for number in range(first, last + 1)]


def test_letters_and_what_became_of_them_are_shown(
    make: Make, stream: Stream, store_server: StoreProxy
) -> None:
    """Waiting, failed again, replayed, discarded: one document per letter, always the last word."""
    settings = make(store_server.port)
    with connect_store(settings.store) as store:
        demand_the_last_word(settings, stream, store)


def demand_the_last_word(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """Bury four events, decide about three, and fail unless each document says so."""
    stream.write(PRODUCER, [*misfits(1, 3), Record(4, b"\xffnot json")])
    run_once(settings)
    mirror(settings, stream)
    letters = {letter.number: letter for letter in stream.letters.after("")}
    found = shown(store, settings)
    assert {one["state"] for one in found.values()} == {"waiting"}
    first = found[letters[1].id]
    assert set(first) <= set(DEAD_FIELDS)
    assert (first["producer"], first["number"], first["attempts"]) == (PRODUCER, 1, 1)
    assert first["transaction_id"] == "01900000-0000-7000-8000-000000000001"
    assert first["@timestamp"] == first["last_at"] == letters[1].last_at
    assert {failure["status"] for failure in first["failures"]} == {400}
    assert len(first["failures"]) == 3
    assert first["cause"] == "document_parsing_exception"
    assert orjson.loads(first["event"])["data"]["number"] == 1
    assert found[letters[4].id]["event"] == "�not json"
    assert "not JSON" in found[letters[4].id]["reason"]

    stream.letters.decide(
        [
            Decision(letters[1].id, "dead", {}, "still"),
            Decision(letters[2].id, "discarded"),
            Decision(letters[3].id, "dead", {}, "still"),
            Decision(letters[3].id, "indexed", {}),
        ]
    )
    assert mirror(settings, stream) == 3
    assert mirror(settings, stream) == 0
    again = shown(store, settings)
    assert {letter.number: again[letter.id]["state"] for letter in letters.values()} == {
        1: "waiting", 2: "discarded", 3: "replayed", 4: "waiting",
    }  # fmt: skip
    assert (again[letters[1].id]["reason"], again[letters[1].id]["attempts"]) == ("still", 2)
    assert again[letters[2].id]["closed_at"] >= first["last_at"]
    assert again[letters[3].id]["event"] == letters[3].event.decode()
    assert stream.client.xlen(keys.DEAD_CHANGES) == 0


def test_a_store_that_was_away_is_caught_up_with(
    make: Make, settings: Settings, stream: Stream, faults: FaultStore
) -> None:
    """Letters that came, and were discarded, while the store was away are shown afterwards."""
    stream.ensure_group()
    stream.write(PRODUCER, [Record(number, b"no") for number in range(1, 121)])
    entries = stream.read("worker", 200, 0)
    stream.settle([Verdict(entry, "dead", {}, "no event") for entry in entries])
    away = make(free_port())
    assert one_round(away, stream) == 0
    ids = [letter.id for letter in stream.letters.after("", 200)]
    discard(away, ids[:60])
    assert one_round(away, stream) == 0
    assert mirror(settings, stream) == 120
    assert states(faults) == {n: "discarded" if n <= 60 else "waiting" for n in range(1, 121)}


def test_the_running_pipeline_shows_them(
    settings: Settings, stream: Stream, faults: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask: a letter is shown while events go on being indexed."""
    monkeypatch.setattr(housekeeping, "HOUSEKEEPING_SECONDS", 0.1)
    stream.write(PRODUCER, [Record(1, b"no"), *predictions(2, 3)])
    stop = threading.Event()
    thread = threading.Thread(target=run_continuously, args=(settings, stop))
    thread.start()
    try:
        wait_for(lambda: states(faults) == {1: "waiting"}, 90, "the letter to be shown")
        wait_for(lambda: stream.ledger.totals().indexed >= 2, 90, "the other events to be indexed")
    finally:
        stop.set()
        thread.join(30)


def test_a_letter_that_is_refused_stops_no_other(
    settings: Settings, stream: Stream, faults: FaultStore
) -> None:
    """One that can never be shown is given up with a word; one that cannot be shown now is tried again."""
    refusals: dict[int, Answer] = {
        2: (400, {"type": "document_parsing_exception", "reason": "no"}),
        3: (400, {"type": "index_closed_exception", "reason": "closed"}),
    }

    def fails_on_the_fourth(lines: list[Line]) -> Answer | None:
        faults.faults.append(fails_on_the_fourth)
        fatal = any(fields.get("number") == 4 for _, _, fields in lines)
        return (500, {"error": {"type": "panic", "reason": "out of range"}}) if fatal else None

    faults.refuse = lambda line: refusals.get(line[2].get("number", 0))
    faults.faults = [fails_on_the_fourth]
    stream.write(PRODUCER, [Record(number, b"no") for number in range(1, 7)])
    run_once(settings)

    def six_seen() -> bool:
        one_round(settings, stream)
        return states(faults).keys() == {1, 5, 6} and not stream.letters.after(stream.letters.mirrored())

    wait_for(six_seen, 90, "three to be shown")
    assert [change.state for change in stream.letters.changes("")] == ["waiting", "waiting"]
    refusals.clear()
    faults.faults = []
    assert mirror(settings, stream) == 2
    assert states(faults).keys() == {1, 3, 4, 5, 6}
    assert stream.client.xlen(keys.DEAD_CHANGES) == 0
    assert stream.letters.count() == 6


def test_half_an_answer_is_no_answer(settings: Settings, stream: Stream, faults: FaultStore) -> None:
    """What a proxy says in the store's place is not taken for a verdict; the letters are shown later."""
    faults.faults = [lambda _: (200, b"<html>hello</html>"), lambda _: (200, {"items": []})]
    stream.write(PRODUCER, [Record(number, b"no") for number in (1, 2)])
    run_once(settings)
    mirror(settings, stream)
    assert states(faults) == {1: "waiting", 2: "waiting"}
    assert faults.faults == []


def test_one_process_at_a_time_shows_them(settings: Settings, stream: Stream, faults: FaultStore) -> None:
    """While another has the turn nothing is written; when it died, the turn ends by itself."""
    stream.client.set(keys.DEAD_MIRROR_TURN, "another")
    stream.write(PRODUCER, [Record(1, b"no")])
    run_once(settings)
    assert (states(faults), stream.letters.mirrored()) == ({}, "")
    stream.client.delete(keys.DEAD_MIRROR_TURN)
    assert mirror(settings, stream) == 1
    assert stream.client.exists(keys.DEAD_MIRROR_TURN) == 0


def test_a_letter_with_next_to_nothing_has_its_document() -> None:
    """What a letter made by hand lacks is left out, and its time is that of its id; a large event is cut."""
    bare = DeadLetter("1700000000000-0", "", 0, b"", "", "", (), {}, 1, "", "", True)
    assert document(bare, "waiting") == {
        "@timestamp": "2023-11-14T22:13:20.000000Z", "doc_type": "dead", "state": "waiting",
        "letter_id": "1700000000000-0", "cause": "unprocessable", "attempts": 1, "event_bytes": 0,
    }  # fmt: skip
    far = replace(bare, id="99999999999999999-0")
    assert document(far, "waiting")["@timestamp"] == "9999-12-31T23:59:59.999000Z"
    large = DeadLetter("1-0", "p", 1, b"[" + b"x" * SHOWN_BYTES, "", "", (), {}, 1, "", "", False)
    assert len(document(large, "waiting")["event"]) == SHOWN_BYTES
    assert document(large, "waiting")["event_bytes"] == SHOWN_BYTES + 1
