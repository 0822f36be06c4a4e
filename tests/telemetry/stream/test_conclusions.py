"""Events about stored events: in one step with their cursor, and in the ledger like any other."""

from __future__ import annotations

import orjson

from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.event import Event
from vigie.telemetry.stream.conclusions import Conclusions
from vigie.telemetry.stream.stream import Stream


def events(count: int) -> list[Event]:
    """Verdicts on as many features."""
    return [
        Event(
            timestamp="2026-11-20T10:00:00.000000Z",
            level="INFO",
            message=f"drift of F{n}",
            data={"kind": "drift", "drift": {"feature": f"F{n}", "verdict": "stable", "window": 1}},
        )
        for n in range(count)
    ]


def test_a_conclusion_is_written_once(settings: Settings) -> None:
    """A second one from the same cursor changes nothing; each subject has a cursor of its own."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    one = Conclusions(stream.client, "drift", 1_000_000)
    assert one.state("a") == {}
    assert one.conclude("a", after="", cursor="5", events=events(3), kept={"window": "1"}) == "done"
    again = Conclusions(stream.client, "drift", 1_000_000)
    assert again.conclude("a", after="", cursor="6", events=events(3)) == "moved"
    assert again.conclude("b", after="", cursor="6", events=events(2)) == "done"
    assert again.conclude("a", after="5", cursor="9", events=events(1), kept={"window": "2"}) == "done"
    assert one.state("a") == {"cursor": "9", "window": "2"}
    entries = stream.newest(10)[::-1]
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert len({entry.producer for entry in entries}) == 1
    assert orjson.loads(entries[0].event)["data"]["drift"]["feature"] == "F0"


def test_a_stream_without_room_takes_nothing_of_it(settings: Settings) -> None:
    """Neither some of the events nor the cursor: the window is judged again when there is room."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    conclusions = Conclusions(stream.client, "drift", 3)
    assert conclusions.conclude("a", after="", cursor="5", events=events(4)) == "full"
    assert (stream.length(), conclusions.state("a")) == (0, {})
    assert conclusions.conclude("a", after="", cursor="5", events=events(3)) == "done"
    assert conclusions.conclude("a", after="5", cursor="6", events=events(1)) == "full"


def test_they_are_in_the_ledger(settings: Settings) -> None:
    """Produced, indexed and balanced, under a producer of their own."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    Conclusions(stream.client, "drift", 1_000_000).conclude("a", after="", cursor="5", events=events(15))
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.counts.documents) == (15, 30)
    report = verify(settings)
    assert report.balanced
    assert [(row.role, row.produced, row.indexed) for row in report.rows] == [("drift", 15, 15)]
