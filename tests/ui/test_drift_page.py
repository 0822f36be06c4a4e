"""The page on drift and quality: what it says and shows is what was stored, computed here in plain Python."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.drift.traffic import events as events_of
from tests.drift.traffic import older_and_more_tired, refresh, window_of
from tests.drift.traffic import rows as rows_of
from tests.drift.traffic import store as store_events
from tests.quality.documents import Case, cases, documents, store, turned_in
from tests.servers import free_port
from tests.store_proxy import StoreProxy

from vigie.drift.effect_size import population_stability_index
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.drift_watch import DriftWatch
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.templates import Provisioner
from vigie.model.reference_profile import read_reference
from vigie.schema import FeatureSchema
from vigie.settings import RedisSettings, Settings
from vigie.ui.drift import reading as drift_reading
from vigie.ui.drift.report_routes import report_router
from vigie.ui.pages.drift import DriftPage
from vigie.ui.pages.drift import window_of as choice_of
from vigie.ui.site import Site

BEGIN = datetime.now(UTC) - timedelta(hours=8)
MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(
    redis_settings: RedisSettings,
    store_server: StoreProxy,
    settings_for: Callable[..., Settings],
    package_path: Path,
    schema: FeatureSchema,
) -> Iterator[MakeSite]:
    """Environment variables → the site of an installation on the run's store; closed with the test."""
    own = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": redis_settings.redis_port,
        "ES_HOST": "127.0.0.1",
        "ES_PORT": store_server.port,
        "MODEL_PATH": package_path,
    }
    made: list[Site] = []

    def make(**environment: object) -> Site:
        made.append(Site.open(settings_for(**{**own, **environment}), schema))
        return made[-1]

    yield make
    for one in made:
        one.drift.close()
        one.store.close()


@pytest.fixture
def site(make_site: MakeSite, schema: FeatureSchema) -> Site:
    """A site whose store has its templates."""
    found = make_site()
    with connect_store(found.settings.store) as client:
        list(Provisioner(client, found.settings.store).run(schema, BEGIN))
    return found


def raw(html: str, panel: str, metric: str) -> dict[str, float]:
    """Return row → raw value of a metric, as it stands in the page."""
    table = html.split(f'data-panel="{panel}"')[1].split("</table>", maxsplit=1)[0]
    found = {}
    for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL):
        value = re.search(rf'data-metric="{metric}" data-value="([^"]+)"', row)
        key = re.search(r'data-key="([^"]+)"', row) or re.search(r'<th scope="row">([^<]*)', row)
        if value and key:
            found[key[1]] = float(value[1])
    return found


def said(html: str) -> str:
    """Return the page's words, with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("\u202f", " ").replace("\u00a0", " ").split())


def predicted(found: list[Case]) -> list[dict[str, Any]]:
    """Return the documents of the predictions alone."""
    return [one for one in documents(found) if one["doc_type"] == "prediction"]


async def test_verdicts_and_shares_are_those_of_the_rows(
    site: Site, package_path: Path, schema: FeatureSchema
) -> None:
    """Every share in the pictures, every PSI and the alarm, in both languages, from the rows themselves."""
    found = cases(package_path, schema, 300, BEGIN, change=older_and_more_tired)
    store(site.settings, predicted(found))
    page = DriftPage(site)
    html = await page.drift("500", "en")
    reference = read_reference(package_path)
    records = [case.record for case in found]
    counted = window_of(package_path, records)
    expected = {
        name: population_stability_index(profile.cells, counted.features[name].cells)
        for name, profile in reference.features.items()
    }
    psi = raw(html, "drift", "psi")
    assert psi.pop("prediction") > 0
    assert psi == pytest.approx(expected)
    tired = sum(int(record["FATIGUE"]) for record in records) / 300
    assert raw(html, "distribution-FATIGUE", "now") == pytest.approx({"no": 1 - tired, "yes": tired})
    ages = [int(record["AGE"]) for record in records]
    lowest = int(reference.features["AGE"].edges[0]) - 1
    shares = raw(html, "distribution-AGE", "now")
    assert shares[f"≤\u00a0{lowest}"] == pytest.approx(sum(age <= lowest for age in ages) / 300)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(raw(html, "distribution-AGE", "training").values()) == pytest.approx(1)
    assert html.count('class="chart"') == 15
    assert 'data-state="alarm"' in html
    assert "Age, Fatigue. The model may be asked" in said(html)
    assert "300, from" in said(html)
    french = said(await page.drift("500", "fr"))
    assert "Âge, Fatigue. Le modèle est peut-être" in french
    assert "n’est plus distribué comme à l’entraînement : Âge" in french


async def test_the_scheduled_check_is_shown_first_with_since_when(
    site: Site, package_path: Path, schema: FeatureSchema
) -> None:
    """The newest judged window, not the newest predictions; a feature that drifts says how long."""
    records = [*rows_of(schema, 50, 1), *rows_of(schema, 120, 2, older_and_more_tired)]
    store_events(site.settings, events_of(package_path, records, BEGIN))
    page = DriftPage(site)
    assert "just now" in await page.drift("recorded", "en"), "no window has been judged yet"
    assert DriftWatch(site.settings, grace_seconds=0, rows=50).look() == 3
    run_once(site.settings)
    refresh(site.settings)
    html = await page.drift("recorded", "en")
    assert "by the scheduled check of every 500 predictions" in html
    assert "50, from" in said(html)
    (age,) = re.findall(r'<tr data-key="AGE">.*?</tr>', html, re.DOTALL)
    assert "(2 checks in a row)" in said(age)
    (smoking,) = re.findall(r'<tr data-key="SMOKING">.*?</tr>', html, re.DOTALL)
    assert "in a row" not in said(smoking)


async def test_nothing_and_too_little_are_said(site: Site, package_path: Path, schema: FeatureSchema) -> None:
    """An empty page says what fills it; too few predictions are counted, not judged."""
    page = DriftPage(site)
    html = await page.drift("recorded", "en")
    assert 'data-state="nothing"' in html
    assert "make simulate" in said(html)
    assert "make simulate" in said(await page.quality("recorded", "en"))
    assert "make simulate" in said(await page.quality("7d", "en"))
    store(site.settings, predicted(cases(package_path, schema, 20, BEGIN)))
    html = await page.drift("24h", "en")
    assert 'data-state="too_few"' in html
    assert "Only 20 predictions: 50 are needed" in said(html)
    assert set(re.findall(r'badge (\w+)">too few', html)) == {"quiet"}


async def test_concept_drift_is_drawn_and_explained(
    site: Site, package_path: Path, schema: FeatureSchema
) -> None:
    """Realised accuracy is that of the outcomes; realised and expected disagree, and the page says what that means."""
    found = cases(package_path, schema, 300, BEGIN, truth=turned_in(0.25), known=0.8)
    store(site.settings, list(documents(found)))
    page = DriftPage(site)
    html = await page.quality("24h", "en")
    known = [case for case in found if case.outcome is not None]
    right = sum(case.outcome == case.label for case in known)
    assert raw(html, "quality", "realised") == pytest.approx({"1.0.0": right / len(known)})
    assert raw(html, "quality", "outcomes") == {"1.0.0": len(known)}
    assert raw(html, "quality", "expected")["1.0.0"] > right / len(known)
    assert 'data-verdict="concept drift"' in html
    assert "train" in said(html)
    assert f"{len(known)} of 300 predictions" in said(html)
    assert "half after 5.00 h" in said(html)
    assert html.count('class="chart"') == 1
    assert "dérive conceptuelle" in said(await page.quality("24h", "fr"))


async def test_few_outcomes_are_said_and_not_drawn(
    site: Site, package_path: Path, schema: FeatureSchema
) -> None:
    """An accuracy of a handful of outcomes is chance: there is neither a figure nor a picture."""
    found = cases(package_path, schema, 100, BEGIN, known=0.2)
    store(site.settings, list(documents(found)))
    html = await DriftPage(site).quality("7d", "en")
    known = sum(case.outcome is not None for case in found)
    assert 0 < known < 50
    assert 'data-verdict="not enough"' in html
    assert f"{known} outcomes are known, 50 are needed" in said(html)
    assert "fewer than 50 outcomes: not shown" in said(html)
    assert 'class="chart"' not in html
    assert raw(html, "quality", "realised") == {}


async def test_recorded_quality_is_shown_by_version(site: Site) -> None:
    """The newest verdict of each version with its interval, the served one's in words."""
    recorded = []
    for number, (version, verdict, accuracy) in enumerate(
        [("0.9.0", "fine", 0.93), ("1.0.0", "below training", 0.84)], start=1
    ):
        figures = {
            "verdict": verdict, "predictions": 400, "outcomes": 200, "coverage": 0.5,
            "accuracy": accuracy, "accuracy_low": accuracy - 0.05, "accuracy_high": accuracy + 0.05,
            "expected_accuracy": 0.9, "expected_low": 0.86, "expected_high": 0.94, "expected_of_all": 0.91,
            "training_accuracy": 0.925, "since": BEGIN.isoformat(), "until": BEGIN.isoformat(),
        }  # fmt: skip
        recorded.append(
            {
                "@timestamp": BEGIN.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "doc_type": "quality",
                "producer": "5b1a3c1e-0000-4000-8000-00000000000a",
                "number": number,
                "model": {"name": "lung_cancer", "version": version, "runtime": "onnx"},
                "quality": figures,
            }
        )
    store(site.settings, recorded)
    html = await DriftPage(site).quality("recorded", "en")
    assert raw(html, "quality", "realised") == {"0.9.0": 0.93, "1.0.0": 0.84}
    assert 'data-verdict="below training"' in html
    assert "84.0% (79.0% – 89.0%)" in said(html)
    assert "Its probabilities can still be relied on" in said(html)
    assert html.count('class="chart"') == 1


async def test_what_is_away_is_said(make_site: MakeSite, tmp_path: Path, site: Site) -> None:
    """Store, package and time are each named, and neither part raises."""
    port = free_port()
    away = DriftPage(make_site(ES_PORT=port))
    untrained = DriftPage(make_site(MODEL_PATH=tmp_path))
    for part in (away.drift, away.quality):
        html = await part("recorded", "en")
        assert 'role="alert"' in html
        assert f"127.0.0.1:{port}" in said(html)
    assert str(port) in said(await away.drift("500", "fr"))
    assert "ne peut pas être jugée" in said(await away.drift("500", "fr"))
    assert str(tmp_path) in said(await untrained.drift("500", "en"))


async def test_a_check_that_takes_too_long_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The visitor is told what to choose instead, and the event loop was free meanwhile."""
    monkeypatch.setattr(drift_reading, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(drift_reading.DriftReading, "drift_now", lambda self, choice: time.sleep(1))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    html = await DriftPage(site).drift("7d", "en")
    counting.cancel()
    assert "choose fewer predictions or a shorter time" in said(html)
    assert turns > 10


def test_only_our_own_choices_reach_the_store() -> None:
    """What a browser sends instead is taken for the first choice."""
    assert choice_of("24h") == "24h"
    assert choice_of("24h; drop") == choice_of(None) == choice_of(["24h"]) == "recorded"


def test_the_reports_are_files(site: Site, package_path: Path, schema: FeatureSchema) -> None:
    """Whole pages under names of model and version; another window is refused, a store that is away told."""
    found = cases(package_path, schema, 120, BEGIN, change=older_and_more_tired)
    store(site.settings, list(documents(found)))
    app = FastAPI()
    app.include_router(report_router(site.drift))
    with TestClient(app) as client:
        drift = client.get("/reports/drift?window=24h")
        assert drift.headers["content-disposition"] == 'attachment; filename="drift-lung_cancer-1.0.0.html"'
        assert "ALARM: drift of AGE, FATIGUE" in drift.text
        quality = client.get("/reports/quality?window=24h")
        assert 'filename="quality-lung_cancer-1.0.0.html"' in quality.headers["content-disposition"]
        assert "120 of 120 predictions have an outcome" in quality.text
        assert client.get("/reports/drift?window=1y").status_code == 422


def test_reports_without_a_store_are_problems(make_site: MakeSite) -> None:
    """503 with the reason, as a problem document."""
    app = FastAPI()
    app.include_router(report_router(make_site(ES_PORT=free_port()).drift))
    with TestClient(app) as client:
        for path in ("/reports/drift", "/reports/quality"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "does not answer" in answer.json()["detail"]
