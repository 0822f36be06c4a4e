"""The scheduled check of drift: every prediction in exactly one window, each window judged once."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.drift.traffic import PRODUCERS, Row, events, older_and_more_tired, rows, store, window_of
from tests.servers import free_port, wait_for
from tests.store_proxy import StoreProxy

from vigie.drift.check import predictions_of, read_served
from vigie.drift.succession import Progress, next_window
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import drift_watch, pipeline
from vigie.logs_pipeline.drift_watch import DriftWatch
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.schema import FeatureSchema
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Record, Stream

BEGIN = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
FEATURES = 15
"""Inputs of the reference model, and the prediction."""


@pytest.fixture
def settings(
    redis_settings: RedisSettings,
    store_server: StoreProxy,
    settings_for: Callable[..., Settings],
    package_path: Path,
) -> Settings:
    """An installation with an empty Redis and a prefix of its own in the store, which serves a package."""
    return settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        MODEL_PATH=package_path,
    )


def watch(settings: Settings) -> DriftWatch:
    """A watch over windows of 50, for which what is in the store is settled."""
    return DriftWatch(settings, grace_seconds=0, rows=50)


def verdicts(settings: Settings) -> list[dict[str, Any]]:
    """The documents of all verdicts, by window and feature."""
    with connect_store(settings.store) as client:
        return _verdicts(client, f"{settings.store.es_index_prefix}{MESSAGE}")


def _verdicts(client: Elasticsearch, index: str) -> list[dict[str, Any]]:
    client.indices.refresh(index=index)
    hits = client.search(
        index=index, size=1000, query={"bool": {"filter": [{"term": {"doc_type": "drift"}}]}}
    )
    found = [hit["_source"] for hit in hits["hits"]["hits"]]
    return sorted(found, key=lambda one: (str(one["drift"].get("window")), one["number"]))


def distributions(settings: Settings, number: int) -> list[dict[str, Any]]:
    """The documents of one verdict's distribution, in the order of its parts."""
    clauses = [{"term": {"doc_type": "distribution"}}, {"term": {"number": number}}]
    with connect_store(settings.store) as client:
        index = f"{settings.store.es_index_prefix}{MESSAGE}"
        hits = client.search(index=index, size=100, query={"bool": {"filter": clauses}})["hits"]["hits"]
    return sorted((hit["_source"] for hit in hits), key=lambda one: str(one["distribution"]["part"]))


def windows(settings: Settings) -> Counter[int | None]:
    """Verdicts per window."""
    return Counter(one["drift"].get("window") for one in verdicts(settings))


def test_windows_follow_one_another_and_a_restart_repeats_none(
    settings: Settings, package_path: Path, schema: FeatureSchema
) -> None:
    """What is left over waits for the rest of its window, whoever judges it; the documents say what was found."""
    calm = rows(schema, 130, 1)
    changed = rows(schema, 70, 2, older_and_more_tired)
    found = events(package_path, calm, BEGIN)
    store(settings, found)
    assert watch(settings).look() == 2
    assert watch(settings).look() == 0, "30 predictions are no window"
    later = events(package_path, changed, BEGIN + timedelta(minutes=1), numbers=66)
    store(settings, later)
    assert watch(settings).look() == 2
    run_once(settings)
    assert windows(settings) == dict.fromkeys((1, 2, 3, 4), FEATURES)
    (age,) = [
        one for one in verdicts(settings) if (one["drift"]["window"], one["drift"]["feature"]) == (4, "AGE")
    ]
    assert (age["drift"]["verdict"], age["drift"]["alarm"], age["level"]) == ("drift", True, "WARNING")
    ages = [float(row["AGE"]) for row in _in_order(later, changed)[20:]]
    assert age["drift"]["window_mean"] == pytest.approx(sum(ages) / 50)
    assert age["drift"]["reference_mean"] == pytest.approx(63.04, abs=0.01)
    assert age["model"] == {"name": "lung_cancer", "version": "1.0.0", "runtime": "onnx"}
    assert age["@timestamp"] == age["drift"]["window_last"] == later[-1][2]["timestamp"]
    assert (age["drift"]["rows"], age["drift"]["reference_rows"]) == (50, 16_000)
    parts = [one["distribution"] for one in distributions(settings, age["number"])]
    assert [one["part"][:2] for one in parts] == [f"{n:02d}" for n in range(1, len(parts) + 1)]
    assert {one["feature"] for one in parts} == {"AGE"}
    for name in ("reference_share", "window_share"):
        assert sum(one[name] for one in parts) == pytest.approx(1)
    first, oldest = parts[0], int(parts[0]["part"].split("\u00a0")[-1])
    assert first["window_share"] == sum(age <= oldest for age in ages) / 50
    assert first["reference_share"] == pytest.approx(0.1, abs=0.03), "about ten parts of equal size"


def _in_order(found: list[tuple[str, int, dict[str, Any]]], records: list[Row]) -> list[Row]:
    pairs = sorted(zip(found, records, strict=True), key=lambda p: (p[0][2]["timestamp"], p[0][0], p[0][1]))
    return [record for _, record in pairs]


def test_two_workers_at_once_judge_each_window_once(
    settings: Settings, package_path: Path, schema: FeatureSchema
) -> None:
    """Even without the turn that they take, the cursor lets only one of them write."""
    store(settings, events(package_path, rows(schema, 150, 3), BEGIN))
    together, judged = threading.Barrier(2), []

    def look() -> None:
        together.wait()
        judged.append(watch(settings).look())

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while watch(settings).look():  # a worker that lost a window looks again at its next turn
        pass
    run_once(settings)
    assert windows(settings) == dict.fromkeys((1, 2, 3), FEATURES)


def test_an_emptied_redis_repeats_no_window(
    settings: Settings, package_path: Path, schema: FeatureSchema
) -> None:
    """Without its cursor the watch goes on behind the newest window in the store, if it is one of ours."""
    store(settings, events(package_path, rows(schema, 100, 4, older_and_more_tired), BEGIN))
    assert watch(settings).look() == 2
    run_once(settings)
    named = {"feature": "AGE", "verdict": "drift"}
    _write_by_hand(settings, named, {**named, "window": 7, "window_end": "yesterday"})
    windows(settings)  # the store shows them
    Stream.open(settings.redis).client.flushdb()
    assert watch(settings).look() == 0
    later = events(package_path, rows(schema, 50, 5), BEGIN + timedelta(minutes=1), numbers=60)
    store(settings, later)
    assert watch(settings).look() == 1
    run_once(settings)
    assert windows(settings) == dict.fromkeys((1, 2, 3), FEATURES) | {None: 1, 7: 1}


def _write_by_hand(settings: Settings, *verdicts: dict[str, Any]) -> None:
    """Store documents that call themselves verdicts, newer than all others."""
    timestamp = (BEGIN + timedelta(seconds=90)).isoformat()
    model = {"name": "lung_cancer", "version": "1.0.0"}
    with connect_store(settings.store) as client:
        for number, figures in enumerate(verdicts):
            document = {"@timestamp": timestamp, "doc_type": "drift", "model": model, "drift": figures}
            index = f"{settings.store.es_index_prefix}{MESSAGE}-2026.11.20"
            own = {"producer": "hand", "number": number}
            client.index(index=index, id=f"hand-{number}", document={**document, **own})


def test_a_window_waits_for_what_is_not_indexed_yet(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last prediction is older than the oldest event that is still on its way, less the grace."""
    found = events(package_path, rows(schema, 50, 6), BEGIN)
    store(settings, found)
    served = read_served(settings.model.model_path)
    last = datetime.fromisoformat(found[-1][2]["timestamp"])
    with predictions_of(settings, served) as predictions:
        assert next_window(predictions, served, Progress(), last, 50) is None
        settled = next_window(predictions, served, Progress(), last + timedelta(microseconds=1), 50)
    assert settled is not None
    assert settled.rows == 50
    assert settled.first.timestamp == found[0][2]["timestamp"]
    cells = {one.feature: one.window.cells for one in settled.judgements}
    expected = window_of(package_path, rows(schema, 50, 6))
    assert cells["AGE"] == expected.features["AGE"].cells
    behind = (datetime.now(UTC) - last).total_seconds() * 1000
    monkeypatch.setattr(drift_watch, "lag_ms", lambda _: behind + 3_600_000)
    assert watch(settings).look() == 0
    monkeypatch.setattr(drift_watch, "lag_ms", lambda _: 0.0)
    assert watch(settings).look() == 1


def test_without_package_or_store_there_is_nothing_to_judge(settings: Settings, tmp_path: Path) -> None:
    """Neither is a fault of the watch: it looks again later."""
    untrained = settings.model.model_copy(update={"model_path": tmp_path})
    assert watch(settings.model_copy(update={"model": untrained})).look() == 0
    away = settings.store.model_copy(update={"es_port": free_port()})
    assert watch(settings.model_copy(update={"store": away})).look() == 0


def test_a_running_pipeline_judges_what_comes(
    settings: Settings,
    package_path: Path,
    schema: FeatureSchema,
    store: Elasticsearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the stream to the verdict in the store without anybody asking."""
    soon = functools.partial(DriftWatch, period_seconds=0.2, grace_seconds=0, rows=50)
    monkeypatch.setattr(pipeline, "DriftWatch", soon)
    stop = threading.Event()
    thread = threading.Thread(target=run_continuously, args=(settings, stop), daemon=True)
    thread.start()
    try:
        stream = Stream.open(settings.redis)
        found = events(package_path, rows(schema, 50, 7), BEGIN)
        for producer in PRODUCERS:
            own = [Record(number, orjson.dumps(event)) for name, number, event in found if name == producer]
            stream.write(producer, own)
        index = f"{settings.store.es_index_prefix}{MESSAGE}"
        wait_for(lambda: stream.ledger.totals().indexed >= 50, 120, "the predictions to be indexed")
        wait_for(lambda: len(_verdicts(store, index)) == FEATURES, 120, "the verdicts to be stored")
    finally:
        stop.set()
        thread.join(60)
