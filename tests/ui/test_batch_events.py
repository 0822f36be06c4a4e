"""What the batch page does at each event: the visit moves on, and only what changed is drawn again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request
from tests.ui.batch_api import BatchApi, batch_api
from tests.ui.batches import NAMES, SCHEMA, VALID, text_of
from tests.ui.sites import site_of

from vigie.ui.api_client import ApiClient
from vigie.ui.batch.visit import Visit
from vigie.ui.pages.batch import Seen, _Page
from vigie.ui.site import Site

FRENCH = gr.Request(Request({"type": "http", "headers": [(b"accept-language", b"fr")], "query_string": b""}))
PARTS = ("seen", "file", "run", "stop", "progress", "pager", "back", "forth", "results", "timer")
NOTHING = gr.skip()


@pytest.fixture(scope="module")
def api() -> Iterator[BatchApi]:
    """A server in the API's place."""
    with batch_api() as double:
        yield double


@pytest.fixture(scope="module")
def _site(api: BatchApi, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site_of(SCHEMA, tmp_path_factory.mktemp("site"), API_URL=api.url)


@pytest.fixture
async def page(_site: Site) -> AsyncIterator[_Page]:
    """The page of a site whose API is the double; its client belongs to the test's event loop."""
    site = replace(_site, api=ApiClient(_site.settings.api))
    page = _Page(site)
    with gr.Blocks():
        page.add()
    yield page
    await site.api.close()


def parts(drawn: tuple[Any, ...]) -> dict[str, Any]:
    """Return what an event changes, by name."""
    return dict(zip(PARTS, drawn, strict=True))


async def brought(page: _Page, folder: Path, rows: int) -> dict[str, Any]:
    """Bring a file of so many rows; return what the page shows then."""
    path = folder / "upload" / "cases.csv"
    path.parent.mkdir()
    path.write_bytes(text_of(NAMES, *([str(n % 100), *VALID[1:]] for n in range(rows))))
    return parts(await page._uploaded(str(path), None, FRENCH))


def visit_of(seen: Seen) -> Visit:
    """Return the visit that a page shows."""
    assert seen.visit is not None
    return seen.visit


async def test_a_file_is_brought_sent_and_paged_through(page: _Page, tmp_path: Path) -> None:
    """Read at once, sent by a click, drawn when the answers are there, 25 rows at a time."""
    shown = await brought(page, tmp_path, 60)
    seen = shown["seen"]
    assert 'data-rows="60"' in shown["file"]
    assert (shown["run"].value, shown["run"].visible) == ("Prédire 60 lignes", True)
    assert (shown["results"], shown["pager"].visible, shown["timer"].active) == ("", False, False)

    shown = parts(await page._start(seen, FRENCH))
    assert (shown["run"].visible, shown["stop"].visible, shown["timer"].active) == (False, True, True)
    assert shown["file"] == NOTHING
    task = visit_of(seen).task
    assert task is not None
    await task

    shown = parts(await page._tick(seen, FRENCH))
    assert 'data-state="done"' in shown["progress"]
    assert shown["results"].count("<tr data-row=") == 25
    assert (shown["timer"].active, shown["pager"].visible) == (False, True)
    assert (shown["back"].interactive, shown["forth"].interactive) == (False, True)
    assert parts(await page._tick(seen, FRENCH))["results"] == NOTHING

    page._next(seen, FRENCH)
    shown = parts(page._next(seen, FRENCH))
    assert shown["results"].count("<tr data-row=") == 10
    assert (shown["back"].interactive, shown["forth"].interactive) == (True, False)
    assert 'data-row="27"' in parts(page._previous(seen, FRENCH))["results"]
    assert "<tr data-row=" not in parts(page._choose("refused", seen, FRENCH))["results"]


async def test_a_run_is_stopped_and_goes_on(page: _Page, api: BatchApi, tmp_path: Path) -> None:
    """After a stop the button says how many rows are left, and sends those."""
    before = len(api.ages)
    seen = (await brought(page, tmp_path, 3))["seen"]
    api.faults = ["500"]
    await page._start(seen, FRENCH)
    task = visit_of(seen).task
    assert task is not None
    await task
    shown = parts(await page._stop(seen, FRENCH))
    assert 'data-state="failed"' in shown["progress"]
    assert shown["run"].value == "Continuer\u00a0: 3 à traiter"

    await page._start(seen, FRENCH)
    task = visit_of(seen).task
    assert task is not None
    await task
    assert len(api.ages) - before == 3
    assert parts(await page._tick(seen, FRENCH))["run"].visible is False


async def test_a_page_opened_again_finds_its_file_by_the_token(page: _Page, tmp_path: Path) -> None:
    """The way back shows the same visit whole; an unknown token and none at all show an empty page."""
    seen = (await brought(page, tmp_path, 1))["seen"]
    again = parts(await page._return(visit_of(seen).token, None, FRENCH))
    assert again["seen"].visit is seen.visit
    assert 'data-rows="1"' in again["file"]
    assert again["run"].value == "Prédire cette ligne"

    for token in ("", "x" * 32):
        empty = parts(await page._return(token, None, FRENCH))
        assert empty["seen"].visit is None
        assert empty["file"].strip() == '<span hidden data-batch-token=""></span>'


async def test_a_cleared_file_is_gone(page: _Page, tmp_path: Path) -> None:
    """Clearing leaves nothing on the page, and so does an upload that is none."""
    seen = (await brought(page, tmp_path, 1))["seen"]
    for drawn in (await page._cleared(seen, FRENCH), await page._uploaded(None, seen, FRENCH)):
        shown = parts(drawn)
        assert shown["seen"].visit is None
        assert (shown["progress"], shown["results"], shown["run"].visible) == ("", "", False)


async def test_events_before_any_file_do_nothing(page: _Page) -> None:
    """Buttons that are not shown can still be called: nothing comes of it."""
    for drawn in (
        await page._start(None, FRENCH),
        await page._stop(None, FRENCH),
        await page._tick(None, FRENCH),
        page._next(None, FRENCH),
        page._choose("all", None, FRENCH),
    ):
        assert parts(drawn)["results"] in ("", NOTHING)
