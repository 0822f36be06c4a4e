"""What health says of events on their way: each stage is named, with the remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions

from vigie.api.delivery import PipelineCheck, journal_broken, journal_growing
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.stream.holders import WORTH_NAMING
from vigie.telemetry.stream.pipeline_status import Counts, beat
from vigie.telemetry.stream.stream import Stream, Verdict

WELL = EmitterStatus(
    producer=PRODUCER, high=10, shipped=10, backlog=0, journal_bytes=0, dropped=0, refused=0, accepting=True,
    redis_error=None, stream_full=False, events=10, emit_seconds=0.0,
)  # fmt: skip


@pytest.fixture
def settings(redis_settings: RedisSettings, settings_for: Callable[..., Settings]) -> Settings:
    """An installation with small bounds."""
    return settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        REDIS_STREAM_MAX_ENTRIES=1000,
        REDIS_LOGS_MAX_SIZE=100,
        JOURNAL_MAX_BYTES=1024**2,
    )


def test_the_journal_is_named_before_it_is_full_and_when_it_drops(settings: Settings) -> None:
    """An empty journal, one that fills because the stream is full, a nearly full one, one that takes nothing."""
    assert journal_growing(WELL, settings) == []
    assert journal_broken(WELL, settings) is None
    waiting = dataclasses.replace(WELL, stream_full=True, journal_bytes=5000)
    (line,) = journal_growing(waiting, settings)
    assert "1000 events wait" in line
    assert "5000 bytes" in line
    nearly = dataclasses.replace(WELL, journal_bytes=900_000)
    (line,) = journal_growing(nearly, settings)
    assert "900000 of 1048576 bytes" in line
    assert "raise JOURNAL_MAX_BYTES" in line
    dropping = dataclasses.replace(nearly, accepting=False, dropped=7)
    assert journal_growing(dropping, settings) == []
    assert "7 were dropped so far and are declared" in (journal_broken(dropping, settings) or "")


def test_the_pipeline_is_content_missing_slow_or_says_itself_what_is_wrong(settings: Settings) -> None:
    """Each with what to do about it."""
    stream = Stream.open(settings.redis)
    check = PipelineCheck(stream.client, settings)
    assert check.problem() is None
    stream.write(PRODUCER, predictions(1, 10))
    assert "no pipeline runs: 10 events wait" in (check.problem() or "")
    beat(stream.client, "worker", Counts(), "")
    assert check.problem() is None
    stream.write(PRODUCER, predictions(11, 500))
    stream.write(PRODUCER, predictions(501, 900))
    assert "run another worker" in (check.problem() or "")
    beat(stream.client, "worker", Counts(), "the index is closed: open it")
    assert check.problem() == "the index is closed: open it"


def test_a_group_that_holds_up_the_stream_is_named(settings: Settings) -> None:
    """With the command that drops it, as long as it is there."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    stream.client.xgroup_create("api_logs", "theirs", id="0")
    total = WORTH_NAMING + 101
    for first in range(1, total + 1, 500):
        stream.write(PRODUCER, predictions(first, min(first + 499, total)))
        stream.settle([Verdict(entry, "indexed") for entry in stream.read("worker", 500, 0)])
    stream.trim()
    check = PipelineCheck(stream.client, settings)
    assert "`vigie pipeline group drop theirs`" in (check.problem() or "")
    stream.client.xgroup_destroy("api_logs", "theirs")
    assert check.problem() is None
