"""What an operator decides about dead letters: each event counted once, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store
from tests.servers import ROOT, free_port

from vigie.logs_pipeline import dead_letters
from vigie.logs_pipeline.dead_letters import DeadLetterError, Replayed, discard, replay
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import RedisSettings, Settings, load_settings
from vigie.telemetry.stream.dead_letters import DeadLetter, Failure
from vigie.telemetry.stream.stream import Record, Stream

DAY = datetime(2026, 11, 21, tzinfo=UTC)
"""A day after the events: nothing of theirs is expired."""
MISFIT: Answer = (400, {"type": "document_parsing_exception", "reason": "not a number"})


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told, and refuses a latency that is no number."""
    with fault_store() as found:
        found.refuse = lambda line: MISFIT if line[2].get("latency_ms") == "slow" else None
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
    return Stream.open(settings.redis)


def in_message(line: Line) -> Answer | None:
    """Refuse every document of ml-api-message: its mapping is wrong."""
    return MISFIT if line[0].startswith("ml-api-message") else None


def repaired(line: Line) -> Answer | None:
    """Refuse nothing."""
    return None


def misfit(number: int, **changes: Any) -> Record:
    """An event that every index refuses."""
    return record(prediction(number, **{"latency_ms": "slow", **changes}), number)


def of(found: list[Replayed], outcome: str) -> list[int]:
    """Return the numbers of the letters with that outcome."""
    return [one.letter.number for one in found if one.outcome == outcome]


def letters(stream: Stream) -> dict[int, DeadLetter]:
    """The letters that wait, by number."""
    return {letter.number: letter for letter in stream.letters.after("")}


def events(stream: Stream) -> dict[str, int]:
    """The producer's events by state, without the states that none is in."""
    return {state: count for state, count in stream.ledger.producer(PRODUCER).counts.items() if count}


def expected(stream: Stream) -> dict[str, int]:
    """The documents that the ledger expects of the producer."""
    return dict(stream.ledger.producer(PRODUCER).documents)


def test_a_replay_that_fails_again_keeps_the_letter(
    settings: Settings, stream: Stream, store: FaultStore
) -> None:
    """One attempt more, the new reason and time, the first time kept; other letters are not touched."""
    store.refuse = in_message
    stream.write(PRODUCER, [*predictions(1, 1), Record(2, b"{not json")])
    run_once(settings)
    before = letters(stream)
    assert before[1].failures == (
        Failure("ml-api-message-2026.11.20", f"{PRODUCER}-1", 400, *MISFIT[1].values()),
    )
    assert before[1].stored == {"ml-api-logs-2026.11.20": 1, "ml-api-perfs-2026.11.20": 1}
    reason = "another reason"
    store.refuse = lambda line: (400, {**MISFIT[1], "reason": reason}) if in_message(line) else None
    (found,) = replay(settings, [before[1].id], now=DAY)
    assert (found.outcome, reason in found.reason) == ("failed", True)
    after = letters(stream)
    assert after[2] == before[2]
    assert (after[1].id, after[1].attempts, after[1].first_at) == (before[1].id, 2, before[1].first_at)
    assert after[1].last_at > before[1].last_at
    assert (after[1].failures[0].reason, reason in after[1].reason) == (reason, True)
    assert (after[1].event, after[1].stored) == (before[1].event, before[1].stored)

    store.refuse = repaired
    again = list(replay(settings, None, now=DAY))
    assert (of(again, "indexed"), of(again, "failed")) == ([1], [2])
    assert letters(stream)[2].attempts == 2
    assert events(stream) == {"indexed": 1, "dead": 1}


REPLAY_AND_DIE = """
import os, signal
from datetime import datetime, UTC
from vigie.logs_pipeline.dead_letters import replay
from vigie.settings import load_settings
from vigie.telemetry.stream.dead_letters import DeadLetters

def die(self, decisions):
    if decisions:
        os.kill(os.getpid(), signal.SIGKILL)
    return []

DeadLetters.decide = die
list(replay(load_settings(dotenv=None), None, now=datetime(2026, 11, 21, tzinfo=UTC)))
"""


def test_a_replay_killed_between_storing_and_counting_is_finished_by_the_next(
    settings: Settings, environment: dict[str, str], stream: Stream, store: FaultStore
) -> None:
    """The documents are there, the letters too; the next replay finds them and counts them once."""
    store.refuse = in_message
    stream.write(PRODUCER, predictions(1, 5))
    run_once(settings)
    store.refuse = repaired
    command = [sys.executable, "-c", REPLAY_AND_DIE]
    ended = subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert sum(index.startswith("ml-api-message") for index, _ in store.documents) == 5
    assert (stream.letters.count(), events(stream)) == (5, {"dead": 5})
    assert of(list(replay(settings, None, now=DAY)), "indexed") == [1, 2, 3, 4, 5]
    assert events(stream) == {"indexed": 5}
    assert set(expected(stream).values()) == {5}
    assert len(expected(stream)) == 3


def test_poison_stays_poison_and_strays_are_handled(settings: Settings, stream: Stream) -> None:
    """What is no event fails again with its reason; a stray is in no ledger, replayed or discarded."""
    stream.write(PRODUCER, [Record(1, b"[]")])
    stream.client.xadd("api_logs", {"by": "hand"})
    foreign = {"producer": "foreign", "number": 7, "event": misfit(7).event}
    stream.client.xadd("api_logs", foreign)
    run_once(settings)
    found = list(replay(settings, None, now=DAY))
    assert sorted(of(found, "failed")) == [0, 1, 7]
    assert {one.letter.number: one.letter.stray for one in found} == {0: True, 1: False, 7: True}
    assert discard(settings, [one.letter.id for one in found if one.letter.stray]) == 2
    assert stream.letters.numbers() == {PRODUCER: [1]}
    assert events(stream) == {"dead": 1}
    totals = stream.ledger.totals()
    assert (totals.dead, totals.strays) == (1, 2)
    assert stream.client.hget("api_logs:totals", "discarded") is None


def test_a_stray_is_replayed_outside_the_ledger(
    settings: Settings, stream: Stream, store: FaultStore
) -> None:
    """An event of a producer that nobody knows is stored, its letter goes, and nothing is counted."""
    stream.client.xadd("api_logs", {"producer": "foreign", "number": 7, "event": misfit(7).event})
    run_once(settings)
    store.refuse = repaired
    assert of(list(replay(settings, None, now=DAY)), "indexed") == [7]
    assert ("ml-api-logs-2026.11.20", "foreign-7") in store.documents
    totals = stream.ledger.totals()
    assert (stream.letters.count(), totals.dead, totals.indexed, totals.strays) == (0, 0, 0, 1)
    assert stream.ledger.producer("foreign").documents == {}


def test_a_strays_number_that_became_anothers_is_not_replayed(
    settings: Settings, stream: Stream, store: FaultStore
) -> None:
    """The stray would take the place of its namesake in the store: it is left, and can only be discarded."""
    stream.client.xadd("api_logs", {"producer": PRODUCER, "number": 1, "event": misfit(1).event})
    run_once(settings)
    stream.write(PRODUCER, predictions(1, 1))
    (found,) = replay(settings, None, now=DAY)
    assert (found.outcome, found.letter.stray) == ("left", True)
    assert "another event" in found.reason
    assert {index.rpartition("-")[0] for index, _ in store.documents} <= {"ml-api-dead"}


def test_an_event_of_an_expired_day_is_left(settings: Settings, stream: Stream, store: FaultStore) -> None:
    """An index that retention dropped does not come back by a replay."""
    stream.write(PRODUCER, [misfit(1)])
    run_once(settings)
    store.refuse = repaired
    (found,) = replay(settings, None, now=datetime(2027, 11, 20, tzinfo=UTC))
    assert (found.outcome, "RETENTION_DAYS" in found.reason) == ("left", True)
    assert letters(stream)[1].attempts == 1


def test_a_letter_made_by_hand_is_left(settings: Settings, stream: Stream) -> None:
    """Without the entry that it comes from, nothing says which index the event belongs to."""
    run_once(settings)
    stream.client.xadd("api_dead", {"producer": PRODUCER, "number": 1, "event": misfit(1).event})
    (found,) = replay(settings, None, now=DAY)
    assert (found.outcome, "which index" in found.reason) == ("left", True)


def test_a_letter_whose_request_is_now_excluded_is_filtered(
    settings: Settings, environment: dict[str, str], stream: Stream
) -> None:
    """LOG_EXCLUDE_PATHS may have grown since: the event is then filtered, no longer dead."""
    stream.write(PRODUCER, [misfit(1, kind="request", path="/noise")])
    run_once(settings)
    changed = load_settings({**environment, "LOG_EXCLUDE_PATHS": "/health,/noise"}, None)
    assert of(list(replay(changed, None, now=DAY)), "filtered") == [1]
    assert (events(stream), expected(stream)) == ({"filtered": 1}, {})


def test_a_letter_that_somebody_else_decided_is_gone(
    settings: Settings, stream: Stream, store: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that is discarded while it is replayed stays discarded: the first decision holds."""
    stream.write(PRODUCER, [misfit(1)])
    run_once(settings)
    store.refuse = repaired
    letter = letters(stream)[1]
    real: Any = dead_letters.documents_of

    def slow(*given: Any) -> Any:
        assert discard(settings, [letter.id]) == 1
        return real(*given)

    monkeypatch.setattr(dead_letters, "documents_of", slow)
    assert [one.outcome for one in replay(settings, None, now=DAY)] == ["gone"]
    assert events(stream) == {"dead": 1}
    assert list(stream.ledger.bits(PRODUCER, 1).discarded) == [1]


def test_an_unknown_letter_is_named_before_anything_is_done(settings: Settings, stream: Stream) -> None:
    """With one wrong id among several, nothing is discarded or replayed."""
    stream.write(PRODUCER, [Record(number, b"not json") for number in range(1, 4)])
    run_once(settings)
    before = letters(stream)
    for wrong in ("1-1", "rubbish"):
        with pytest.raises(DeadLetterError, match=wrong):
            discard(settings, [before[1].id, wrong])
        with pytest.raises(DeadLetterError, match=wrong):
            list(replay(settings, [before[1].id, wrong]))
    assert letters(stream) == before
    assert discard(settings, [before[2].id, before[2].id]) == 1


def test_a_store_or_redis_that_is_away_is_one_line(
    settings: Settings, environment: dict[str, str], stream: Stream
) -> None:
    """Nothing is decided, and the address is named."""
    stream.write(PRODUCER, [Record(1, b"not json")])
    run_once(settings)
    port = str(free_port())
    away = load_settings({**environment, "ES_PORT": port}, None)
    with pytest.raises(DeadLetterError, match=port):
        list(replay(away, None))
    nowhere = load_settings({**environment, "REDIS_PORT": port}, None)
    with pytest.raises(DeadLetterError, match=port):
        discard(nowhere, None)
    assert letters(stream)[1].attempts == 1


def test_a_store_that_takes_nothing_leaves_the_letters_as_they_were(
    settings: Settings, stream: Stream, store: FaultStore
) -> None:
    """A closed index is no fault of the event: after some patience the rest is left, with the remedy."""
    store.refuse = in_message
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    before = letters(stream)
    store.refuse = lambda line: (400, {"type": "index_closed_exception", "reason": "closed"})
    found = list(replay(settings, None, patience_seconds=1.0, now=DAY))
    assert of(found, "left") == [1, 2]
    assert "open the index again" in found[0].reason
    assert letters(stream) == before


def test_a_fault_of_ours_is_a_failed_replay(
    settings: Settings, stream: Stream, store: FaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event on which the code itself fails stays a letter and holds up no other."""
    stream.write(PRODUCER, [misfit(1), misfit(2)])
    run_once(settings)
    store.refuse = repaired
    real: Any = dead_letters.documents_of

    def failing(entry: Any, *rest: Any) -> Any:
        if entry.number == 1:
            raise RuntimeError("a defect")
        return real(entry, *rest)

    monkeypatch.setattr(dead_letters, "documents_of", failing)
    found = list(replay(settings, None, now=DAY))
    assert [(one.letter.number, one.outcome) for one in found] == [(1, "failed"), (2, "indexed")]
    assert "a defect" in letters(stream)[1].reason
