"""Which events an erasure is about, and the record of them."""

from __future__ import annotations

import json

import orjson
import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.stream.erased import Erasable, ErasedRecord, Subject
from vigie.telemetry.stream.stream import Record, Stream, Verdict

TRANSACTION = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("subject", "event", "is_meant"),
    [
        (Subject(transactions=frozenset({"t"})), orjson.dumps({"data": {"transaction_id": "t"}}), True),
        (Subject(subjects=frozenset({"é/7"})), orjson.dumps({"data": {"subject_id": "é/7"}}), True),
        (Subject(subjects=frozenset({"é/7"})), json.dumps({"data": {"subject_id": "é/7"}}).encode(), True),
        (Subject(subjects=frozenset({"7"})), orjson.dumps({"data": {"subject_id": "77"}}), False),
        (Subject(subjects=frozenset({"7"})), orjson.dumps({"data": {"number": 7}}), False),
        (Subject(subjects=frozenset({"7"})), b"[7]", False),
        (Subject(subjects=frozenset({"7"})), b"cut off at 7", False),
        (Subject(transactions=frozenset({TRANSACTION})), b"cut off " + TRANSACTION.encode(), True),
    ],
)
def test_an_event_is_meant_by_its_own_fields(subject: Subject, event: bytes, is_meant: bool) -> None:
    """A short id that only occurs somewhere means nothing; text that is no event is known by a whole UUID."""
    assert subject.of(event) is is_meant


def test_recording_is_one_step_and_repeated_without_harm(redis_settings: RedisSettings) -> None:
    """Each event by what it is: new, known, on its way, or of another state; documents count once."""
    stream = Stream.open(redis_settings)
    stream.ensure_group()
    stream.write("p", [Record(n, b"{}") for n in range(1, 5)])
    entries = stream.read("w", 10, 0)
    stream.settle(
        [Verdict(entries[0], "indexed"), Verdict(entries[1], "filtered"), Verdict(entries[2], "dead")]
    )
    record = ErasedRecord(stream.client)
    asked = [Erasable("p", n, documents={"i": 2}) for n in range(1, 5)]
    assert record.add(asked) == ["new", "other", "new", "unsettled"]
    assert record.add(asked) == ["known", "other", "known", "unsettled"]
    assert record.settled([("p", 1), ("p", 4), ("q", 1)]) == [True, False, False]
    bits = stream.ledger.bits("p", 4)
    assert (set(bits.erased), set(bits.erased_dead), bits.erased_documents) == ({1, 3}, {3}, {"i": 4})
    assert stream.ledger.with_erasures("p", bits).erased == bits.erased
    assert stream.ledger.totals().erased == 2
