"""The letters in Redis: what they hold, and one decision for each whoever decides."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.dead_letters import Decision, Failure
from vigie.telemetry.stream.stream import Record, Stream, Verdict, connect

PRODUCER = "5b1a3c1e-0000-4000-8000-000000000001"
LOGS = "ml-api-logs-2026.11.20"
PERFS = "ml-api-perfs-2026.11.20"
FAILURE = Failure(PERFS, f"{PRODUCER}-1", 400, "document_parsing_exception", "not a number")


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream on an empty database."""
    found = Stream(connect(redis_settings))
    found.ensure_group()
    return found


def bury(stream: Stream, count: int) -> list[str]:
    """Let events 1 to `count` die with a document stored in ml-api-logs; return the letters' ids."""
    stream.write(PRODUCER, [Record(number, b'{"n": %d}' % number) for number in range(1, count + 1)])
    entries = stream.read("worker", count, 0)
    stream.settle([Verdict(entry, "dead", {LOGS: 1}, "why", (FAILURE,), 3, "then") for entry in entries])
    return [letter.id for letter in stream.letters.after("", count)]


def documents(stream: Stream) -> dict[str, int]:
    """The documents expected of the producer."""
    return dict(stream.ledger.producer(PRODUCER).documents)


def counts(stream: Stream) -> dict[str, int]:
    """The producer's events by state, without those that are none."""
    return {state: count for state, count in stream.ledger.producer(PRODUCER).counts.items() if count}


def test_a_letter_says_everything(stream: Stream) -> None:
    """Event, refused documents with status, type and reason, attempts, first and last time, as it was written."""
    (letter_id,) = bury(stream, 1)
    letter = stream.letters.get(letter_id)
    assert letter is not None
    assert (letter.producer, letter.number, letter.event) == (PRODUCER, 1, b'{"n": 1}')
    assert (letter.reason, letter.failures, letter.stored) == ("why", (FAILURE,), {LOGS: 1})
    assert (letter.attempts, letter.first_at, letter.stray) == (3, "then", False)
    assert letter.last_at.endswith("Z")
    assert letter.as_dict()["event"] == {"n": 1}
    assert stream.letters.newest(10, before=letter_id) == []


@pytest.mark.parametrize("event", [b"[1]", b"\xff", b'{"a":' * 300 + b"1" + b"}" * 300])
def test_a_letter_whose_event_is_none_shows_its_text(stream: Stream, event: bytes) -> None:
    """Every letter can be written as JSON, however deeply its event is nested."""
    letter = stream.letters.get(bury(stream, 1)[0])
    assert letter is not None
    shown = replace(letter, event=event).as_dict()
    assert shown["event"] == event.decode("utf-8", "replace")
    assert orjson.loads(orjson.dumps(shown))["event"] == shown["event"]


def test_every_delivery_counts_as_an_attempt(stream: Stream) -> None:
    """An event that was given to three workers has two attempts more than the last one made."""
    stream.write(PRODUCER, [Record(1, b"{}")])
    (entry,) = stream.read("worker", 1, 0)
    for name in ("second", "third"):
        assert len(stream.take_over(name, 0).entries) == 1
    stream.settle([Verdict(entry, "dead", {}, "why")])
    assert stream.letters.after("")[0].attempts == 3


def test_a_replayed_event_moves_once(stream: Stream) -> None:
    """The first decision removes the letter and moves the event; a second one finds nothing to do."""
    first, second = bury(stream, 2)
    decision = Decision(first, "indexed", {LOGS: 1, PERFS: 2})
    assert stream.letters.decide([decision, decision]) == [True, False]
    assert stream.letters.decide([decision]) == [False]
    assert counts(stream) == {"indexed": 1, "dead": 1}
    assert documents(stream) == {LOGS: 2, PERFS: 2}
    totals = stream.ledger.totals()
    assert (totals.indexed, totals.dead, totals.settled) == (1, 1, 2)
    assert [letter.id for letter in stream.letters.after("")] == [second]
    assert stream.letters.decide([Decision(second, "filtered")]) == [True]
    assert counts(stream) == {"indexed": 1, "filtered": 1}


def test_documents_stored_by_failed_replays_count_once(stream: Stream) -> None:
    """Two replays fail at the same time after storing the same document: it is expected once."""
    (letter_id,) = bury(stream, 1)
    failed = Decision(letter_id, "dead", {LOGS: 1, PERFS: 1}, "still", (FAILURE,))
    assert stream.letters.decide([failed, failed]) == [True, True]
    letter = stream.letters.get(letter_id)
    assert letter is not None
    assert (letter.attempts, letter.reason, letter.stored) == (5, "still", {LOGS: 1, PERFS: 1})
    assert (letter.first_at, letter.event) == ("then", b'{"n": 1}')
    assert documents(stream) == {LOGS: 1, PERFS: 1}
    assert stream.letters.decide([Decision(letter_id, "indexed", {LOGS: 1, PERFS: 2})]) == [True]
    assert documents(stream) == {LOGS: 1, PERFS: 2}
    assert stream.client.keys(keys.letter_key("*")) == []


def test_a_folded_chunks_counts_change(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only counts are left of a chunk, a replay moves one from dead to indexed."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    ids = bury(stream, 8)
    assert stream.client.keys(f"{keys.PREFIX}bits:*:dead:0") == []
    assert stream.letters.decide([Decision(ids[0], "indexed", {LOGS: 1})]) == [True]
    assert stream.letters.decide([Decision(ids[1], "discarded")]) == [True]
    assert counts(stream) == {"indexed": 1, "dead": 7}
    assert list(stream.ledger.bits(PRODUCER, 8).discarded) == [2]


def test_a_letter_made_by_hand_moves_nothing(stream: Stream) -> None:
    """A letter for an event that is not dead is shown, and replayed or discarded outside the ledger."""
    stream.write(PRODUCER, [Record(1, b"{}")])
    (entry,) = stream.read("worker", 1, 0)
    stream.settle([Verdict(entry, "indexed", {LOGS: 1})])
    stream.client.xadd(
        keys.DEAD_LETTERS, {"producer": PRODUCER, "number": 1, "stored": "[", "failures": "{}"}
    )
    stream.client.xadd(keys.DEAD_LETTERS, {"hello": b"\xff", "attempts": "many", "stored": '{"a": "b"}'})
    first, second = stream.letters.after("")
    assert (first.number, first.attempts, first.failures, first.stored) == (1, 1, (), {})
    assert (second.producer, second.number, second.event) == ("", 0, b"")
    decided = [Decision(first.id, "indexed", {LOGS: 1}), Decision(second.id, "discarded")]
    assert stream.letters.decide(decided) == [True, True]
    assert counts(stream) == {"indexed": 1}
    assert documents(stream) == {LOGS: 1}
    assert not stream.ledger.bits(PRODUCER, 1).discarded


def test_letters_are_found_by_producer_and_by_id(stream: Stream) -> None:
    """The ledger learns whose letters wait; what is no id is no letter."""
    ids = bury(stream, 3)
    stream.client.xadd(keys.STREAM, {"by": "hand"})
    (stray,) = stream.read("worker", 1, 0)
    stream.settle([Verdict(stray, "dead", {}, "nobody's")])
    assert stream.letters.count() == 4
    assert stream.letters.numbers() == {PRODUCER: [1, 2, 3]}
    assert [[letter.id for letter in page][:3] for page in stream.letters.pages()] == [ids]
    for text in ("", "1-1", "rubbish", "-", "1700000000000", ids[0].partition("-")[0] + "-99999"):
        assert stream.letters.get(text) is None


def test_no_letters_have_no_pages(stream: Stream) -> None:
    """Nothing waits, nothing is decided."""
    assert list(stream.letters.pages()) == []
    assert stream.letters.decide([]) == []
    assert stream.letters.numbers() == {}


def test_closing_a_letter_hands_it_to_the_index_of_letters(stream: Stream) -> None:
    """What was decided waits, whole, until the index shows it; an event that is no text stays as it is."""
    stream.write(PRODUCER, [Record(1, b"\xff\x00"), Record(2, b"{}")])
    stream.settle([Verdict(entry, "dead", {}, "why", (FAILURE,)) for entry in stream.read("worker", 2, 0)])
    first, second = stream.letters.after("")
    stream.letters.decide([Decision(second.id, "dead", {}, "still"), Decision(first.id, "discarded")])
    changed, closed = stream.letters.changes("")
    assert (changed.letter_id, changed.state, changed.letter) == (second.id, "waiting", None)
    assert (closed.letter_id, closed.state, closed.letter) == (first.id, "discarded", first)
    assert first.event == b"\xff\x00"
    assert closed.closed_at >= first.last_at
    stream.letters.forget_changes([changed.id])
    assert [change.id for change in stream.letters.changes("")] == [closed.id]
    assert stream.letters.changes(closed.id) == []
