"""`vigie pipeline group` and `vigie pipeline cursor`: what keeps entries is shown, and dropped when asked."""

from __future__ import annotations

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.servers import free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.logs_pipeline.groups import GroupError, cursors, drop_cursor, drop_group, groups
from vigie.settings import RedisSettings
from vigie.telemetry.stream.stream import Stream, Verdict


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream with a bound of ten entries and twenty in it, all settled but the last two."""
    found = Stream.open(redis_settings.model_copy(update={"redis_logs_max_size": 10}))
    found.ensure_group()
    found.write(PRODUCER, predictions(1, 20))
    found.settle([Verdict(entry, "indexed") for entry in found.read("worker", 18, 0)])
    found.read("worker", 1, 0)
    return found


def run(settings: RedisSettings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run a `vigie pipeline` command to its end and return what it printed."""
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(settings.redis_port))
    result = CliRunner().invoke(app, ["pipeline", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_groups_are_listed_with_their_consumers(
    stream: Stream, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what is in flight and what is not read yet; ours is marked."""
    stream.client.xgroup_create("api_logs", "theirs", id="0")
    lines = run(redis_settings, monkeypatch, "group", "list").splitlines()
    assert lines[0] == "pipeline (the pipeline's own): 1 consumers, 1 entries in flight, 1 unread"
    assert lines[1].startswith("  worker: 1 entries in flight, silent for ")
    assert lines[2:] == ["theirs: 0 consumers, 0 entries in flight, 20 unread"]


def test_an_abandoned_group_is_dropped_and_trimming_goes_on(
    stream: Stream, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is there nothing is trimmed; afterwards only what the pipeline and /logs want stays."""
    stream.client.xgroup_create("api_logs", "theirs", id="0")
    assert stream.trim() == 0
    said = run(redis_settings, monkeypatch, "group", "drop", "theirs")
    assert said == "dropped theirs: 0 consumers, 0 entries in flight, 20 unread\n"
    assert stream.trim() == 10
    with pytest.raises(GroupError, match="no consumer group is called theirs; there are: pipeline"):
        drop_group(redis_settings, "theirs")


def test_a_group_in_use_is_dropped_by_force_only(stream: Stream, redis_settings: RedisSettings) -> None:
    """Somebody who has just read with it would lose its place."""
    stream.client.xgroup_create("api_logs", "theirs", id="0")
    stream.client.xreadgroup("theirs", "them", {"api_logs": ">"}, count=5)
    with pytest.raises(GroupError, match=r"theirs is in use: its consumer them asked .* --force"):
        drop_group(redis_settings, "theirs")
    held = drop_group(redis_settings, "theirs", force=True)
    assert (held.holder.pending, held.unread) == (5, 15)
    assert [one.holder.name for one in groups(redis_settings)] == ["pipeline"]


def test_the_pipelines_own_group_is_never_dropped(stream: Stream, redis_settings: RedisSettings) -> None:
    """Its position tells what is indexed from what waits; the message says what to do instead."""
    for force in (False, True):
        with pytest.raises(GroupError, match="clear-logs --force"):
            drop_group(redis_settings, "pipeline", force=force)
    assert stream.group_names() == ["pipeline"]


def test_cursors_are_listed_and_dropped(
    stream: Stream, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer of /logs_api that does not come back keeps entries until it is dropped."""
    assert run(redis_settings, monkeypatch, "cursor", "list") == "no consumer of /logs_api is known\n"
    oldest = stream.after("", 5)
    stream.confirm("tail", oldest[4].id)
    stream.confirm("new", "0-0")
    (new, tail) = cursors(redis_settings)
    assert [(new.holder.name, new.unread), (tail.holder.name, tail.unread)] == [("new", 20), ("tail", 15)]
    lines = run(redis_settings, monkeypatch, "cursor", "list").splitlines()
    assert lines[0] == "new: 20 entries not confirmed, the last one 0-0, written 0 s ago"
    assert lines[1].startswith(f"tail: 15 entries not confirmed, the last one {oldest[4].id}, written ")
    assert stream.trim() == 0
    assert run(redis_settings, monkeypatch, "cursor", "drop", "new").startswith("dropped new: 20 entries")
    drop_cursor(redis_settings, "tail")
    assert cursors(redis_settings) == []
    assert stream.trim() == 10
    with pytest.raises(GroupError, match="no consumer of /logs_api is called tail; there is none"):
        drop_cursor(redis_settings, "tail")


def test_an_empty_stream_has_no_groups(
    redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first pipeline there is nothing to show, and that is no error."""
    said = run(redis_settings, monkeypatch, "group", "list")
    assert said == "the stream has no consumer group yet\n"


def test_redis_away_is_one_line() -> None:
    """The error names the address and what to do."""
    settings = RedisSettings(redis_host="127.0.0.1", redis_port=free_port())
    with pytest.raises(GroupError, match=f"127.0.0.1:{settings.redis_port} does not answer.*REDIS_HOST"):
        groups(settings)
