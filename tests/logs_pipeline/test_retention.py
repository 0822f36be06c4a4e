"""Retention: whole indices by their own date, never without the ledger's record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.servers import ROOT, StoreServer, free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.indices.store_client import connect_store
from vigie.ledger.proof import verify
from vigie.logs_pipeline import retention as retention_module
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.retention import RetentionError, apply_retention
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.expired import ExpiredRecord
from vigie.telemetry.stream.stream import Stream

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def make(
    redis_settings: RedisSettings, store_server: StoreServer, settings_for: Callable[..., Settings]
) -> Callable[..., Settings]:
    """Settings of an installation with an empty Redis and a prefix of its own in the store."""

    def made(**environment: object) -> Settings:
        return settings_for(
            REDIS_HOST="127.0.0.1",
            REDIS_PORT=redis_settings.redis_port,
            ES_HOST="127.0.0.1",
            ES_PORT=store_server.port,
            MODEL_PATH=ROOT / "model" / "lung_cancer",
            **environment,
        )

    return made


@pytest.fixture
def settings(make: Callable[..., Settings]) -> Settings:
    """Thirty days of retention: daily indices."""
    return make(RETENTION_DAYS=30)


@pytest.fixture
def store(settings: Settings) -> Iterator[Elasticsearch]:
    """A client of the store."""
    with connect_store(settings.store) as client:
        yield client


def write(settings: Settings, days: list[str], producer: str = PRODUCER) -> None:
    """Write one profiled prediction for each day, numbered 1, 2, 3 …, and index them."""
    stream = Stream.open(settings.redis)
    for number, day in enumerate(days, start=1):
        event = prediction(number, profiled=True)
        event["timestamp"] = f"{day}T08:00:00.000000Z"
        stream.write(producer, [record(event, number)])
    assert run_once(settings).complete


def physical(store: Elasticsearch, settings: Settings) -> set[str]:
    """Names of the installation's event indices, without its prefix."""
    prefix = settings.store.es_index_prefix
    return {
        name.removeprefix(prefix)
        for index in ("logs", "message", "perfs")
        for name in store.indices.get_settings(index=f"{prefix}ml-api-{index}-*").body
    }


def recorded(settings: Settings) -> list[tuple[str, str, int, int, int]]:
    """The ledger's record: index without prefix, producer, documents, lowest and highest number."""
    prefix = settings.store.es_index_prefix
    return sorted(
        (one.index.removeprefix(prefix), one.producer, one.documents, one.first, one.last)
        for one in ExpiredRecord(Stream.open(settings.redis).client).read()
    )


def names(drops: list[retention_module.Drop], settings: Settings) -> list[str]:
    """Names of what was dropped, without the installation's prefix."""
    return [drop.index.removeprefix(settings.store.es_index_prefix) for drop in drops]


def test_daily_indices_are_dropped_once_their_day_is_older_than_the_retention(
    settings: Settings, store: Elasticsearch
) -> None:
    """With 30 days on November 20th the last day of which nothing is kept is October 20th."""
    write(settings, ["2026-10-19", "2026-10-20", "2026-10-21", "2026-11-20"])
    drops = apply_retention(settings, now=NOW)
    assert names(drops, settings) == [
        f"ml-api-{index}-2026.10.{day}" for day in (19, 20) for index in ("logs", "message", "perfs")
    ]
    kept = physical(store, settings)
    assert {name for name in kept if "2026.10" in name} == {
        "ml-api-logs-2026.10.21",
        "ml-api-message-2026.10.21",
        "ml-api-perfs-2026.10.21",
    }
    assert str(drops[0]) == f"dropped {drops[0].index}: 1 documents, all from before 2026-10-20"
    assert apply_retention(settings, now=NOW) == []


def test_monthly_indices_are_dropped_by_the_end_of_their_month(make: Callable[..., Settings]) -> None:
    """A month is over with its last day; December ends with the year."""
    settings = make(RETENTION_DAYS=365)
    write(settings, ["2025-10-31", "2025-11-01", "2025-12-31"])
    assert names(apply_retention(settings, now=NOW), settings) == [
        f"ml-api-{index}-2025.10" for index in ("logs", "message", "perfs")
    ]
    assert names(apply_retention(settings, now=datetime(2026, 12, 31, 23, tzinfo=UTC)), settings) == [
        f"ml-api-{index}-2025.11" for index in ("logs", "message", "perfs")
    ]
    assert len(apply_retention(settings, now=datetime(2027, 1, 1, tzinfo=UTC))) == 3


def test_a_changed_granularity_leaves_nothing_behind(
    settings: Settings, make: Callable[..., Settings]
) -> None:
    """Daily and monthly indices lie side by side after a change, and both have an end."""
    write(make(RETENTION_DAYS=365), ["2026-01-05"])
    later = Stream.open(settings.redis)
    event = prediction(2)
    event["timestamp"] = "2026-02-05T00:00:00Z"
    later.write(PRODUCER, [record(event, 2)])
    run_once(settings)
    found = names(apply_retention(settings, now=NOW), settings)
    assert [name for name in found if "logs" in name] == ["ml-api-logs-2026.01", "ml-api-logs-2026.02.05"]


def test_the_record_holds_count_lowest_and_highest_per_producer(settings: Settings) -> None:
    """What was dropped stays accounted for: the ledger balances, and tells the expired documents."""
    write(settings, ["2026-10-01", "2026-10-01", "2026-11-20"])
    write(settings, ["2026-10-01"], producer="another")
    apply_retention(settings, now=NOW)
    assert recorded(settings) == [
        ("ml-api-logs-2026.10.01", PRODUCER, 2, 1, 2),
        ("ml-api-logs-2026.10.01", "another", 1, 1, 1),
        ("ml-api-message-2026.10.01", PRODUCER, 2, 1, 2),
        ("ml-api-message-2026.10.01", "another", 1, 1, 1),
        ("ml-api-perfs-2026.10.01", PRODUCER, 6, 1, 2),
        ("ml-api-perfs-2026.10.01", "another", 3, 1, 1),
    ]
    report = verify(settings)
    assert (report.problems, report.notes) == ((), ())
    assert [(d.index, d.expected, d.stored, d.expired) for d in report.documents] == [
        ("ml-api-logs", 1, 1, 3),
        ("ml-api-message", 1, 1, 3),
        ("ml-api-perfs", 3, 3, 9),
    ]
    assert str(report.documents[0]) == "ml-api-logs: 1 documents stored, 1 expected, 3 expired"


def test_more_producers_than_one_answer_holds_are_all_recorded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count goes on where an answer was full."""
    monkeypatch.setattr(retention_module, "PAGE", 2)
    producers = [f"p{position}" for position in range(5)]
    for producer in producers:
        write(settings, ["2026-10-01"], producer)
    apply_retention(settings, now=NOW)
    assert [found[1] for found in recorded(settings) if "logs" in found[0]] == producers
    assert verify(settings).balanced


def test_a_dry_run_changes_nothing(settings: Settings, store: Elasticsearch) -> None:
    """It says what it would drop; indices and ledger stay as they are."""
    write(settings, ["2026-10-01"])
    before = physical(store, settings)
    drops = apply_retention(settings, now=NOW, dry_run=True)
    assert len(drops) == 3
    assert str(drops[0]).startswith(f"would drop {drops[0].index}: 1 documents")
    assert physical(store, settings) == before
    assert recorded(settings) == []


def test_a_crash_between_record_and_drop_is_made_good_by_the_next_run(
    settings: Settings, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording twice counts once; until the index is dropped its documents are both stored and recorded."""
    write(settings, ["2026-10-01", "2026-11-20"])
    real = ExpiredRecord.add

    def crashing(self: ExpiredRecord, *held: Any) -> None:
        real(self, *held)
        raise KeyboardInterrupt

    monkeypatch.setattr(ExpiredRecord, "add", crashing)
    with pytest.raises(KeyboardInterrupt):
        apply_retention(settings, now=NOW)
    monkeypatch.undo()
    assert "ml-api-logs-2026.10.01" in physical(store, settings)
    assert verify(settings).problems == ()
    assert len(apply_retention(settings, now=NOW)) == 3
    assert [found[2] for found in recorded(settings) if "logs" in found[0]] == [1]
    assert verify(settings).problems == ()


def test_a_late_event_makes_the_index_again_and_is_recorded_too(settings: Settings) -> None:
    """An index dropped twice under one name counts both times."""
    write(settings, ["2026-10-01"])
    apply_retention(settings, now=NOW)
    write(settings, ["2026-10-01"], producer=PRODUCER.replace("1", "2"))
    stream = Stream.open(settings.redis)
    event = prediction(2)
    event["timestamp"] = "2026-10-01T09:00:00Z"
    stream.write(PRODUCER, [record(event, 2)])
    run_once(settings)
    assert verify(settings).problems == ()
    apply_retention(settings, now=NOW)
    logs = [found[2:] for found in recorded(settings) if found[:2] == ("ml-api-logs-2026.10.01", PRODUCER)]
    assert logs == [(1, 1, 1), (1, 2, 2)]
    assert verify(settings).problems == ()


def test_an_index_that_somebody_else_removed_is_noted(settings: Settings, store: Elasticsearch) -> None:
    """Its documents are not ours to account for; the ledger says which index is gone and how many they were."""
    write(settings, ["2026-11-19", "2026-11-19", "2026-11-20"])
    name = f"{settings.store.es_index_prefix}ml-api-perfs-2026.11.19"
    store.indices.delete(index=name)
    report = verify(settings)
    assert report.problems == ()
    assert report.notes == (f"index {name} was removed by somebody else, with 6 documents",)
    assert [(d.expected, d.stored) for d in report.documents] == [(3, 3), (3, 3), (3, 3)]


def test_indices_of_others_are_never_touched(settings: Settings, store: Elasticsearch) -> None:
    """Only names of the platform's own form, under a prefix in use, are looked at."""
    prefix = settings.store.es_index_prefix
    others = [
        f"{prefix}ml-api-logs-archive-2020.01.01",
        f"{prefix}ml-api-logs-2020.13.01",
        f"{prefix}ml-api-logs-old",
        f"other-{prefix}ml-api-logs-2020.01.01",
        f"{prefix}ml-api-alerts-2020.01.01",
    ]
    for name in others:
        store.indices.create(index=name)
    try:
        assert apply_retention(settings, now=NOW) == []
        assert all(store.indices.exists(index=name) for name in others)
    finally:
        for name in others:
            store.indices.delete(index=name)


def test_the_indices_of_an_earlier_prefix_expire_too(
    settings: Settings, make: Callable[..., Settings]
) -> None:
    """A changed ES_INDEX_PREFIX does not leave the old indices for ever."""
    old = make(RETENTION_DAYS=30, ES_INDEX_PREFIX=f"{settings.store.es_index_prefix}old-")
    write(old, ["2026-10-01"])
    run_once(settings)
    assert {drop.index for drop in apply_retention(settings, now=NOW)} == {
        f"{old.store.es_index_prefix}ml-api-{index}-2026.10.01" for index in ("logs", "message", "perfs")
    }


def test_documents_put_there_by_hand_hold_up_nothing(settings: Settings, store: Elasticsearch) -> None:
    """Without a number, or a producer, they are in no ledger: told, dropped, and never recorded."""
    write(settings, ["2026-10-01", "2026-11-20"])
    prefix = settings.store.es_index_prefix
    by_hand: list[tuple[str, dict[str, object]]] = [
        ("logs-2020.01.01", {"producer": "hand"}),
        ("logs-2026.10.01", {"producer": PRODUCER}),
        ("logs-2026.10.01", {"number": 7}),
        ("dead-2020.01", {"producer": "hand"}),
    ]
    for position, (index, fields) in enumerate(by_hand):
        document = {"@timestamp": "2020-01-01T00:00:00Z", **fields}
        store.index(index=f"{prefix}ml-api-{index}", id=f"hand-{position}", document=document)
    expected = {
        f"{prefix}ml-api-logs-2020.01.01": 1,
        f"{prefix}ml-api-dead-2020.01": 1,
        f"{prefix}ml-api-logs-2026.10.01": 3,
        f"{prefix}ml-api-message-2026.10.01": 1,
        f"{prefix}ml-api-perfs-2026.10.01": 3,
    }
    for dry_run in (True, False):
        drops = apply_retention(settings, now=NOW, dry_run=dry_run)
        assert {drop.index: drop.documents for drop in drops} == expected
    assert {(index, producer, count) for index, producer, count, _, _ in recorded(settings)} == {
        ("ml-api-logs-2026.10.01", PRODUCER, 1),
        ("ml-api-message-2026.10.01", PRODUCER, 1),
        ("ml-api-perfs-2026.10.01", PRODUCER, 3),
    }
    assert verify(settings).problems == ()


def test_an_index_dropped_by_another_worker_is_passed_over(
    settings: Settings, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers may do it at the same time."""
    write(settings, ["2026-10-01"])
    real = retention_module.Retention._record_held

    def slower(self: retention_module.Retention, index: str, uuid: str) -> None:
        store.indices.delete(index=index)
        real(self, index, uuid)

    monkeypatch.setattr(retention_module.Retention, "_record_held", slower)
    assert apply_retention(settings, now=NOW) == []
    assert recorded(settings) == []


@pytest.mark.parametrize("away", ["ES_PORT", "REDIS_PORT"])
def test_without_store_or_redis_nothing_is_dropped(settings: Settings, away: str) -> None:
    """No index goes without a record, and the reason is one line."""
    write(settings, [(NOW - timedelta(days=60)).date().isoformat()])
    part = "store" if away == "ES_PORT" else "redis"
    changed = getattr(settings, part).model_copy(update={away.lower(): free_port()})
    with pytest.raises(RetentionError, match="start it, or check " + away.replace("PORT", "HOST")):
        apply_retention(settings.model_copy(update={part: changed}), now=NOW)
    assert len(apply_retention(settings, now=NOW)) == 3


def test_the_command_says_what_it_dropped(settings: Settings) -> None:
    """`vigie retention --dry-run` first tells, then `vigie retention` does it, then there is nothing to do."""
    environment = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(settings.redis.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(settings.store.es_port),
        "ES_INDEX_PREFIX": settings.store.es_index_prefix,
        "RETENTION_DAYS": "30",
    }
    write(settings, ["2020-01-01"])
    for arguments, said in (
        (["retention", "--dry-run"], "would drop"),
        (["retention"], "dropped"),
        (["retention"], "no index is older than RETENTION_DAYS"),
    ):
        ran = CliRunner().invoke(app, arguments, env=environment)
        assert ran.exit_code == 0, ran.output
        assert said in ran.output


def test_old_letters_are_dropped_from_their_index_and_not_from_redis(
    settings: Settings, store: Elasticsearch
) -> None:
    """ml-api-dead is a copy of letters: its old months go without a record, the letters stay."""
    old = f"{settings.store.es_index_prefix}ml-api-dead-2026.09"
    stream = Stream.open(settings.redis)
    stream.client.xadd("api_dead", {"producer": PRODUCER, "number": 7, "reason": "why"}, id="1788220800000-0")
    run_once(settings)
    assert store.indices.exists(index=old)
    dropped = {drop.index: drop for drop in apply_retention(settings, now=NOW)}
    assert dropped[old].documents == 1
    assert not store.indices.exists(index=old)
    assert (stream.letters.count(), ExpiredRecord(stream.client).read()) == (1, [])
