"""A dashboard's page: its parts, and what it says when the store is away, slow or refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.servers import ROOT

from vigie.dashboards.specification import SpecificationError
from vigie.schema import FeatureSchema
from vigie.settings import load_settings
from vigie.ui.dashboards import panels as panels_module
from vigie.ui.dashboards.dashboard import Dashboards
from vigie.ui.dashboards.panels import Panels, called
from vigie.ui.plot import embed_address
from vigie.ui.site import Site
from vigie.ui.store_reader import Away, StoreAwayError

NOW = datetime(2026, 11, 18, 12, 30, 5, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>'\"&"


class Store:
    """Answers in the store's place: what a real one does not do on demand."""

    url = "http://store.example:9200"

    def __init__(self, fault: Away | None = None, only: str = "", delay: float = 0.0) -> None:
        self.fault, self.only, self.delay = fault, only, delay
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Fail for `only` (or every) index, answer all others with one hostile value."""
        self.asked.append((index, body))
        if self.only in {"", index}:
            await asyncio.sleep(self.delay)
            if self.fault is not None:
                raise StoreAwayError("no answer", self.fault)
        aggregations = {name: answer_of(part) for name, part in body.get("aggs", {}).items()}
        return {"hits": {"total": {"value": 3}}, "_shards": {"total": 1}, "aggregations": aggregations}


def answer_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a store could answer to an aggregation."""
    inner = {name: answer_of(one) for name, one in part.get("aggs", {}).items()}
    if "terms" in part:
        return {"buckets": [{"key": HOSTILE, "doc_count": 3, **inner}]}
    if "date_histogram" in part:
        starts = (1_795_000_000_000, 1_795_000_060_000)
        return {"buckets": [{"key": start, "doc_count": 3, **inner} for start in starts]}
    if "range" in part:
        return {
            "buckets": [{"from": one["from"], "doc_count": 3, **inner} for one in part["range"]["ranges"]]
        }
    if "percentiles" in part:
        return {"values": [{"value": 3.0}]}
    return {"doc_count": 3, "value": 3.0, **inner}


@pytest.fixture(scope="module")
def site(schema: FeatureSchema) -> Site:
    """The front end's shared parts; nothing of it is connected."""
    environment = {
        "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
        "DISPLAY_TIMEZONE": "Europe/Paris",
        "KIBANA_URL": "http://kibana.example:5601/",
    }
    return Site.open(load_settings(environment, None), schema)


@pytest.fixture(scope="module")
def panels(site: Site) -> Panels:
    """The panels, read once."""
    return Panels(site)


def dashboards(panels: Panels, store: Store) -> Dashboards:
    """The page's maker, with `store` in the store's place."""
    site = panels._site
    object.__setattr__(site, "store", store)
    return Dashboards(site, panels, lambda: NOW)


def states(html: str) -> dict[str, str]:
    """Panel → its state."""
    return dict(re.findall(r'data-panel-id="([^"]*)"[^>]*data-state="([^"]*)"', html))


@pytest.mark.parametrize("name", ["overview", "performance", "drift", "pipeline"])
async def test_every_dashboard_has_all_its_panels(panels: Panels, name: str) -> None:
    """In the specification's order, each with its title, its help and its numbers."""
    store = Store()
    html = await dashboards(panels, store).html("en", f"name={name}")
    (wanted,) = [one.panels for one in panels.specifications["en"].dashboards if one.id == name]
    assert list(states(html)) == [panel.id for panel in wanted]
    assert set(states(html).values()) == {"shown"}
    assert html.count('class="help"') == len(wanted)
    assert html.count('class="chart"') == html.count('<details class="numbers"') > 0


async def test_without_a_name_the_first_dashboard_is_shown(panels: Panels) -> None:
    """With its own time, in both languages, the current one marked among the tabs."""
    html = await dashboards(panels, Store()).html("fr", "")
    assert '<a href="./dashboards?name=overview" aria-current="page">Vue d’ensemble</a>' in html
    assert '<option value="24h" selected>24 dernières heures</option>' in html
    assert 'data-address="name=overview" data-refresh-seconds="30"' in html
    assert "État à 13:30:05" in html


async def test_the_time_of_the_address_is_the_time_asked_of_the_store(panels: Panels) -> None:
    """Since and until, by the wall clock of the display time zone, reach every search, and Kibana's link."""
    store = Store()
    html = await dashboards(panels, store).html("en", "since=2026-11-17T10:00&until=2026-11-17T11:00")
    asked = {
        str(one["range"]["@timestamp"])
        for _, body in store.asked
        for one in body["query"]["bool"]["filter"]
        if "range" in one
    }
    bounds = {"gte": "2026-11-17T09:00:00+00:00", "lt": "2026-11-17T10:00:00+00:00"}
    assert asked == {str(bounds)}
    assert "(time:(from:'2026-11-17T09:00:00Z',to:'2026-11-17T10:00:00Z'))" in html.replace("&#39;", "'")
    assert 'href="http://kibana.example:5601/app/dashboards#/view/' in html
    assert 'data-refresh-seconds="0"' in html  # what is past stays as it is
    assert 'value="2026-11-17T10:00"' in html


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("name=nothing", "There is no dashboard of that name"),
        ("since=tomorrow", "The time in the address cannot be read"),
        ("since=2026-11-19&until=2026-11-18", "ends before it begins"),
        ("last=9999d", "longer than ten years"),
    ],
)
async def test_an_address_that_makes_no_sense_is_told(panels: Panels, query: str, sentence: str) -> None:
    """A sentence, the tabs and the form to correct it; the store is not asked."""
    store = Store()
    html = await dashboards(panels, store).html("en", query)
    assert sentence in html
    assert 'id="dashboard-form"' in html
    assert store.asked == []


async def test_a_store_that_is_away_is_told_once(panels: Panels) -> None:
    """One sentence with what to do instead of a page of failed panels."""
    html = await dashboards(panels, Store("away")).html("fr", "status=ok")
    assert html.count("http://store.example:9200 ne répond pas") == 1
    assert states(html) == {}
    assert 'value="ok" checked' in html  # what was chosen is kept


async def test_one_index_that_fails_fails_its_panels_alone(panels: Panels) -> None:
    """The others are shown; each failing one says why in its place."""
    html = await dashboards(panels, Store("refused", only="ml-api-perfs")).html("en", "name=overview")
    found = states(html)
    assert found.pop("model_versions") == "failed"
    assert set(found.values()) == {"shown"}
    assert html.count("The store refused this question") == 1


async def test_a_panel_that_breaks_breaks_alone(panels: Panels) -> None:
    """An answer that makes no sense costs its panels, is logged, and the rest of the page is shown."""

    class Confused(Store):
        async def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
            """Answer perfs with something that is no answer."""
            return {} if index == "ml-api-perfs" else await super().search(index, body)

    html = await dashboards(panels, Confused()).html("en", "name=overview")
    found = states(html)
    assert found.pop("model_versions") == "failed"
    assert set(found.values()) == {"shown"}
    assert "This panel could not be drawn" in html


async def test_a_slow_panel_does_not_hold_the_page(panels: Panels, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there in time is left out and says so."""
    monkeypatch.setattr(panels_module, "SECONDS", 0.2)
    html = await dashboards(panels, Store(only="ml-api-perfs", delay=600)).html("en", "name=overview&path=/x")
    found = states(html)
    assert found.pop("model_versions") == "failed"
    assert set(found.values()) == {"shown"}
    assert "The store did not answer in time" in html


async def test_what_is_stored_is_text_in_the_page(panels: Panels) -> None:
    """Markup in values of fields, in choices and in the address is shown as it is, never as markup."""
    for name in ("overview", "drift", "pipeline"):
        html = await dashboards(panels, Store()).html("en", f"name={name}&status={HOSTILE}&last={HOSTILE}")
        assert "<img" not in html
        html = await dashboards(panels, Store()).html("en", f"name={name}&status=%3Cimg src=x%3E")
        assert "<img" not in html
        assert "&lt;img src=x" in html


def test_values_have_the_names_people_use(site: Site) -> None:
    """Inputs by their labels, days by their names, anything else as it is stored."""

    def name(field: str, key: str) -> str:
        return called(site.schema, site.texts, "fr", field, key)

    assert name("features_present", "COUGHING") == "Toux"
    assert name("drift.feature", "prediction") == "La réponse"
    assert name("day_of_week", "3 Wed") == "mer."
    assert [name("day_of_week", "x"), name("path", "COUGHING"), name("status", "ok")] == [
        "x",
        "COUGHING",
        "ok",
    ]


def test_the_script_that_draws_is_where_the_page_looks_for_it() -> None:
    """Gradio's own copy of vega-embed is there, under the address that pages give."""
    from vigie.ui.plot import ASSETS

    script = ASSETS / embed_address().rsplit("/", 1)[1]
    text = script.read_text(encoding="utf-8")
    assert "as default" in text[-200:]
    assert "vega-lite" in text


def test_a_front_end_without_its_panels_does_not_start(site: Site, tmp_path: Any) -> None:
    """The file that is missing is named."""
    with pytest.raises(SpecificationError, match=r"panels\.yaml: cannot be read"):
        Panels(site, tmp_path / "panels.yaml")
