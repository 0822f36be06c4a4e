"""Recording outcomes in one step: each once, whoever sends it and however often."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.event import Event
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.outcomes import NewOutcome, NoRoomError, Outcomes
from vigie.telemetry.stream.stream import Stream


def outcome(transaction: str, label: str, *, stored: str = "", correct: bool = False) -> NewOutcome:
    """An outcome as the API makes it."""

    def event(correction: bool) -> Event:
        return Event(
            timestamp="2026-11-20T10:00:00.000000Z",
            level="INFO",
            message=f"[{transaction}] outcome {label}",
            data={
                "kind": "feedback",
                "transaction_id": transaction,
                "outcome": {"label": label, "position": 0, "at": "", "correction": correction},
            },
        )

    return NewOutcome(transaction, label, stored, event(False), event(True) if correct else None)


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """An empty stream."""
    return Stream.open(redis_settings)


@pytest.fixture
def outcomes(stream: Stream) -> Outcomes:
    """The outcomes of an empty Redis."""
    return Outcomes(stream.client, 1_000_000)


def recorded(stream: Stream) -> list[tuple[int, str, str, bool]]:
    """Number, id, label and correction of every event in the stream."""
    found = []
    for entry in stream.after("", 2000):
        data = orjson.loads(entry.event)["data"]
        about = data["outcome"]
        found.append((entry.number, data["transaction_id"], about["label"], about["correction"]))
    return found


def test_the_first_label_stays_unless_it_is_corrected(outcomes: Outcomes, stream: Stream) -> None:
    """The same one again adds nothing, another one is a conflict, a correction is recorded as one."""
    assert outcomes.record([outcome("a", "YES"), outcome("b", "NO")]) == [("recorded", ""), ("recorded", "")]
    assert outcomes.record([outcome("a", "YES")]) == [("known", "YES")]
    assert outcomes.record([outcome("a", "NO"), outcome("c", "NO", correct=True)]) == [
        ("conflict", "YES"),
        ("recorded", ""),
    ]
    assert outcomes.record([outcome("a", "NO", correct=True)]) == [("corrected", "YES")]
    assert outcomes.record([outcome("a", "NO", correct=True)]) == [("known", "NO")]
    assert outcomes.labels(["a", "b", "nobody"]) == ["NO", "NO", ""]
    assert recorded(stream) == [(1, "a", "YES", False), (2, "b", "NO", False), (3, "c", "NO", False),
                                (4, "a", "NO", True)]  # fmt: skip
    totals = stream.ledger.totals()
    assert (totals.written, totals.high) == (4, 4)


def test_one_call_sees_what_came_before_in_it(outcomes: Outcomes, stream: Stream) -> None:
    """A list that names a prediction twice records it once."""
    given = [outcome("a", "YES"), outcome("a", "YES"), outcome("a", "NO"), outcome("a", "NO", correct=True)]
    assert [status for status, _ in outcomes.record(given)] == ["recorded", "known", "conflict", "corrected"]
    assert len(recorded(stream)) == 2


def test_what_only_the_store_knows_counts_too(outcomes: Outcomes, stream: Stream) -> None:
    """Redis forgets a label after two days; the caller brings what the store has then."""
    assert outcomes.record([outcome("a", "YES", stored="YES")]) == [("known", "YES")]
    assert outcomes.record([outcome("a", "NO", stored="YES")]) == [("conflict", "YES")]
    assert outcomes.record([outcome("a", "NO", stored="YES", correct=True)]) == [("corrected", "YES")]
    assert recorded(stream) == [(1, "a", "NO", True)]
    assert 0 < stream.client.ttl(keys.outcome_key("a")) <= 2 * 24 * 3600


def test_a_stream_without_room_takes_nothing_of_a_call(stream: Stream) -> None:
    """Neither some of the events nor a label."""
    outcomes = Outcomes(stream.client, 2)
    with pytest.raises(NoRoomError):
        outcomes.record([outcome(name, "YES") for name in "abc"])
    assert (stream.length(), outcomes.labels(["a"])) == (0, [""])
    assert len(outcomes.record([outcome(name, "YES") for name in "ab"])) == 2


def test_a_redis_without_memory_takes_nothing_of_a_call(outcomes: Outcomes, stream: Stream) -> None:
    """The script is refused as a whole."""
    import redis

    stream.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.RedisError):
            outcomes.record([outcome(name, "YES") for name in "abc"])
    finally:
        stream.client.config_set("maxmemory", "0")
    assert (stream.length(), outcomes.labels(["a"])) == (0, [""])


def test_eight_at_once_record_each_outcome_once(outcomes: Outcomes, stream: Stream) -> None:
    """The same hundred outcomes from eight threads in calls of ten: a hundred events, the rest is known."""
    together = threading.Barrier(8)

    def send(shift: int) -> Counter[str]:
        together.wait()
        answers: Counter[str] = Counter()
        for start in range(0, 100, 10):
            given = [outcome(f"t{(n + 10 * shift) % 100}", "YES") for n in range(start, start + 10)]
            answers.update(status for status, _ in outcomes.record(given))
        return answers

    with ThreadPoolExecutor(8) as threads:
        answers = sum(threads.map(send, range(8)), Counter[str]())
    assert answers == {"recorded": 100, "known": 700}
    found = recorded(stream)
    assert sorted(number for number, *_ in found) == list(range(1, 101))
    assert len({transaction for _, transaction, _, _ in found}) == 100


def test_a_redis_that_starts_again_numbers_under_another_producer(outcomes: Outcomes, stream: Stream) -> None:
    """It may have lost its last second: a number given again would hide an outcome behind another one."""
    outcomes.record([outcome("a", "YES")])
    stream.client.hset(keys.FEEDBACK, "run", "0" * 40)  # what the Redis before it was known by
    outcomes.record([outcome("b", "NO")])
    outcomes.record([outcome("c", "NO")])
    first, second, third = stream.after("", 10)
    assert first.producer != second.producer == third.producer
    assert [first.number, second.number, third.number] == [1, 1, 2]
    assert outcomes.record([outcome("a", "YES")]) == [("known", "YES")]
