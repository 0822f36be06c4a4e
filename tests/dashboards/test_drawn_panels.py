"""What the built-in pages show of each panel, against answers computed from the events in plain Python."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.dashboards.conftest import Seeded
from tests.dashboards.expected import Asked, expected_answers
from tests.dashboards.page_numbers import read, shown, typed
from tests.dashboards.test_panels import UNORDERED, WINDOWS, same
from tests.servers import ROOT
from tests.store_proxy import StoreProxy

from vigie.dashboards.query import panel_query
from vigie.dashboards.specification import Metric
from vigie.schema import FeatureSchema
from vigie.settings import load_settings
from vigie.ui.dashboards.dashboard import Dashboards
from vigie.ui.dashboards.panels import Panels
from vigie.ui.language import LANGUAGES
from vigie.ui.site import Site


@pytest.fixture
async def site(seeded: Seeded, store_server: StoreProxy, schema: FeatureSchema) -> AsyncIterator[Site]:
    """The front end's shared parts, on the store with the seeded events."""
    settings = load_settings(
        {
            "ES_HOST": "127.0.0.1",
            "ES_PORT": str(store_server.port),
            "ES_INDEX_PREFIX": seeded.prefix,
            "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
            "DISPLAY_TIMEZONE": "Europe/Paris",
        },
        None,
    )
    site = Site.open(settings, schema)
    yield site
    await site.close()


@pytest.mark.parametrize("window", WINDOWS)
async def test_the_page_shows_the_right_numbers_of_every_panel(
    site: Site, seeded: Seeded, window: str
) -> None:
    """Every panel's table holds what plain Python finds: the same rows in the same order, the same values."""
    since, until = WINDOWS[window]
    panels = Panels(site)
    every = [panel for _, panel in panels.specifications["en"].panels]
    views = await panels.views("en", every, since, until)
    html = site.templates.render("en", "dashboards/panels.html", views=views)
    rows = read(html)
    answers = expected_answers(site.schema)
    wrong = []
    for view in views:
        interval = panel_query(view.panel, since, until).interval_seconds
        wanted = answers[view.panel.id](Asked.of(seeded.events, since, until, interval))
        found = typed(view.panel, rows.get(view.panel.id, []))
        if view.state == "empty":
            assert all(
                same(0, value) or same(None, value) for row in wanted.values() for value in row.values()
            )
            continue
        order = sorted if view.panel.id in UNORDERED else list
        if order(found) != order(wanted):
            wrong.append(f"{view.panel.id}: rows {order(found)[:3]}, not {order(wanted)[:3]}")
            continue
        wrong += [
            f"{view.panel.id} {keys} {name}: {value}, not {wanted[keys][name]}"
            for keys, row in found.items()
            for name, value in row.items()
            if not same(value, wanted[keys][name])
        ]
    assert wrong == []
    assert {view.state for view in views} <= {"shown", "empty"}


async def test_the_language_changes_words_and_no_value(site: Site, seeded: Seeded) -> None:
    """Both languages show the same raw values under their own titles."""
    since, until = WINDOWS["an hour"]
    panels = Panels(site)
    html = {
        one: site.templates.render(
            one,
            "dashboards/panels.html",
            views=await panels.views(
                one, ["latency_over_time", "features_present", "model_versions"], since, until
            ),
        )
        for one in LANGUAGES
    }
    for name in ("latency_over_time", "features_present", "model_versions"):
        panel = panels.panel("fr", name)
        assert shown(html["fr"], panel) == shown(html["en"], panel) != {}
        assert panel.title in html["fr"]


async def test_a_choice_narrows_what_is_shown(site: Site, seeded: Seeded) -> None:
    """A model version chosen in the address leaves its predictions; the other one stays on offer."""
    panels = Panels(site)
    html = await Dashboards(site, panels).html(
        "en", "since=2026-11-17T00:00Z&until=2026-11-19T00:00Z&model.version=1.1.0"
    )
    since, until = WINDOWS["both days"]
    answered = Asked.of(seeded.events, since, until, None).answered
    of_version = sum(event["data"]["model"]["version"] == "1.1.0" for event in answered)
    assert shown(html, panels.panel("en", "predictions_answered")) == {(): {"predictions": of_version}}
    assert 'value="1.1.0" checked' in html
    assert 'value="1.0.0"> 1.0.0' in html


async def test_what_a_panel_cannot_be_asked_is_told_in_its_place(site: Site, seeded: Seeded) -> None:
    """A question that the store refuses fails its panel, and the others are shown."""
    panels = Panels(site)
    since, until = WINDOWS["both days"]
    good = panels.panel("en", "predictions_answered")
    mean_of_words = Metric(id="mean", label="Mean", operation="average", field="path")
    bad = good.model_copy(update={"id": "bad", "metrics": (mean_of_words,)})
    views = await panels.views("en", [bad, good], since, until)
    assert [view.state for view in views] == ["failed", "shown"]
    html = site.templates.render("en", "dashboards/panels.html", views=views)
    assert "The store refused this question" in html
    assert shown(html, good)
