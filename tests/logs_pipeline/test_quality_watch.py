"""The scheduled check of quality: one verdict per slot, whoever looks, and its words on the dashboard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.quality.documents import cases, documents, store, turned_in
from tests.servers import ROOT, free_port
from tests.store_proxy import StoreProxy

from vigie.dashboards.query import panel_query
from vigie.dashboards.result import Row, panel_rows
from vigie.dashboards.specification import load_specification
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.quality_watch import QualityWatch
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import FeatureSchema
from vigie.settings import RedisSettings, Settings

BEGIN = datetime(2026, 11, 18, tzinfo=UTC)
NOW = datetime(2026, 11, 19, 12, 4, tzinfo=UTC)


@pytest.fixture
def settings(
    redis_settings: RedisSettings,
    store_server: StoreProxy,
    settings_for: Callable[..., Settings],
    package_path: Path,
    schema: FeatureSchema,
) -> Settings:
    """An installation with an empty Redis and a prefix of its own in the store, which serves a package."""
    found = settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        MODEL_PATH=package_path,
    )
    with connect_store(found.store) as client:
        list(Provisioner(client, found.store).run(schema, BEGIN))
    return found


def verdicts(settings: Settings) -> list[dict[str, Any]]:
    """The documents of all verdicts, oldest first."""
    run_once(settings)
    name = f"{settings.store.es_index_prefix}{MESSAGE}"
    with connect_store(settings.store) as client:
        client.indices.refresh(index=name)
        hits = client.search(
            index=name, query={"term": {"doc_type": "quality"}}, sort=[{"@timestamp": "asc"}]
        )
        return [hit["_source"] for hit in hits["hits"]["hits"]]


def rows_of(settings: Settings, schema: FeatureSchema, panel: str) -> list[Row]:
    """What a panel shows of the day."""
    panels = load_specification(ROOT / "kibana" / "panels.yaml", schema).panels
    (shown,) = [one for _, one in panels if one.id == panel]
    query = panel_query(shown, BEGIN, BEGIN + timedelta(days=3), settings.store.es_index_prefix)
    with connect_store(settings.store) as client:
        return panel_rows(shown, query, client.search(index=query.index, body=query.body).body)


def test_concept_drift_is_told_on_the_dashboard_in_words(
    settings: Settings, package_path: Path, schema: FeatureSchema
) -> None:
    """Quality falls, drift stays quiet: a verdict per slot says so, beside what was expected; none is repeated."""
    assert not QualityWatch(settings, now=lambda: NOW).look(), "there is nothing to judge"
    found = cases(package_path, schema, 300, BEGIN, truth=turned_in(0.2))
    store(settings, list(documents(found)))
    moments = [NOW, NOW + timedelta(minutes=5), NOW + timedelta(minutes=6), NOW + timedelta(days=8)]
    assert [QualityWatch(settings, now=lambda at=at: at).look() for at in moments] == [
        True,
        False,
        True,
        False,
    ]
    first, second = verdicts(settings)
    words = "ALARM: outcomes changed while inputs did not: concept drift"
    quality = first["quality"]
    assert (quality["verdict"], quality["conclusion"], quality["alarm"]) == ("concept drift", words, True)
    accuracy = sum(one.outcome == one.label for one in found) / 300
    assert quality["accuracy"] == pytest.approx(accuracy)
    assert quality["accuracy_low"] < accuracy < quality["accuracy_high"] < quality["expected_low"]
    assert (quality["outcomes"], quality["coverage"], first["level"]) == (300, 1.0, "WARNING")
    assert (first["@timestamp"], second["@timestamp"]) == (
        "2026-11-19T12:04:00.000000Z",
        "2026-11-19T12:10:00.000000Z",
    )
    (row,) = rows_of(settings, schema, "quality_verdicts")
    assert row.keys == ("concept drift", words)
    assert row.values["realised"] == pytest.approx(accuracy)
    assert (row.values["verdicts"], row.values["outcomes"]) == (2, 300)


def test_two_workers_at_once_write_one_verdict(
    settings: Settings, package_path: Path, schema: FeatureSchema
) -> None:
    """The slot lets only one of them write."""
    store(settings, list(documents(cases(package_path, schema, 60, BEGIN, known=0.0))))
    together, written = threading.Barrier(2), []

    def look() -> None:
        watch = QualityWatch(settings, now=lambda: NOW)
        together.wait()
        written.append(watch.look())

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == [False, True]
    (only,) = verdicts(settings)
    assert (only["quality"]["verdict"], only["quality"]["predictions"]) == ("not enough", 60)
    assert 0.8 < only["quality"]["expected_of_all"] < 1
    assert "accuracy" not in only["quality"]


def test_a_store_that_is_away_and_a_package_that_is_not_there_are_waited_for(
    settings: Settings, tmp_path: Path
) -> None:
    """Nothing is written, and nothing ends the watch."""
    away = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": free_port()})})
    assert not QualityWatch(away, now=lambda: NOW).look()
    none = settings.model_copy(
        update={"model": settings.model.model_copy(update={"model_path": tmp_path / "none"})}
    )
    assert not QualityWatch(none, now=lambda: NOW).look()
    assert verdicts(settings) == []
