"""A visitor's file is read, shown and sent; it belongs to its visitor alone and goes with them."""

from __future__ import annotations

import asyncio
import gc
import io
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from gradio.data_classes import FileData
from tests.ui.batch_api import BatchApi, batch_api
from tests.ui.batches import NAMES, SCHEMA, VALID, text_of
from tests.ui.sites import site_of

from vigie.ui.api_client import ApiClient
from vigie.ui.batch import visit as visits
from vigie.ui.batch.routes import batch_router
from vigie.ui.batch.table import Table
from vigie.ui.batch.upload import table_upload
from vigie.ui.batch.view import BatchView, Place
from vigie.ui.batch.visit import Visit
from vigie.ui.pages import batch as page
from vigie.ui.site import Site

PAYLOAD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def api() -> Iterator[BatchApi]:
    """A server in the API's place."""
    with batch_api() as double:
        yield double


@pytest.fixture(scope="module")
def _site(api: BatchApi, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site_of(SCHEMA, tmp_path_factory.mktemp("site"), API_URL=api.url)


@pytest.fixture
async def site(_site: Site) -> AsyncIterator[Site]:
    """A site whose API is the double; its client belongs to the test's event loop."""
    site = replace(_site, api=ApiClient(_site.settings.api))
    yield site
    await site.api.close()


@pytest.fixture
async def downloads() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the download routes."""
    app = FastAPI()
    app.include_router(batch_router(SCHEMA))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ui") as client:
        yield client


async def opened(content: bytes, name: str = "cases.csv") -> Visit:
    """Return the visit of a file of that content, which is read."""
    visit = visits.begin(io.BytesIO(content), name, SCHEMA)
    assert visit.task is not None
    await visit.task
    return visit


async def sent(visit: Visit, site: Site) -> None:
    """Send the rows of `visit` and wait for their answers."""
    visits.start(visit, SCHEMA, site.api.ask, site.settings.api)
    assert visit.task is not None
    await visit.task


def texts_in(html: str) -> str:
    """Return what a reader sees of `html`, in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


async def test_a_file_is_shown_with_its_faults_marked_in_their_cells(site: Site) -> None:
    """Counts, the columns and what each became, and at each faulty cell its reason."""
    visit = await opened(text_of([*NAMES, "city"], [*VALID, "Lyon"], ["150", *VALID[1:], ""]))
    html = BatchView(site).file(visit, "en")

    assert 'data-rows="2" data-faulty="1"' in html
    assert re.findall(r'data-fault="(\w+)"', html) == ["AGE"]
    assert "Age: must be a whole number from 0 to 120" in texts_in(html)
    assert re.findall(r'<tr data-target="(\w*)">', html) == [*NAMES, ""]
    assert "f, female, femme → 0; h, homme, m, male → 1" in texts_in(html)
    assert visit.ready


async def test_a_french_visitor_reads_french(site: Site) -> None:
    """Reasons and figures are in the visitor's language."""
    visit = await opened(text_of(NAMES, *[["150", *VALID[1:]]] * 1500))
    seen = texts_in(BatchView(site).file(visit, "fr"))

    assert "Âge : doit être un nombre entier de 0 à 120" in seen
    assert "Lignes qui seront refusées : 1 500" in seen


async def test_missing_inputs_are_named_and_nothing_can_be_sent(site: Site) -> None:
    """Without a column for each input there is no run."""
    visit = await opened(text_of(["Agee", *NAMES[1:]], VALID))
    visits.start(visit, SCHEMA, site.api.ask, site.settings.api)
    html = BatchView(site).file(visit, "en")

    assert (visit.ready, visit.run) == (False, None)
    assert re.findall(r'data-missing="(\w+)"', html) == ["AGE"]
    assert "is it the column “Agee”?" in texts_in(html)


async def test_what_a_file_holds_is_text_and_never_markup(site: Site) -> None:
    """A script in a cell, a column's name, a file's name and a reason is shown as it is written."""
    content = text_of([PAYLOAD, *NAMES], [PAYLOAD, PAYLOAD, *VALID[1:]])
    visit = await opened(content, f"{PAYLOAD}.csv")
    await sent(visit, site)
    view = BatchView(site)
    html = view.file(visit, "en") + view.progress(visit, "en") + view.results(visit, Place(), "en")

    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6
    fault = view.file(await opened(b"", f"{PAYLOAD}.csv"), "en")
    assert "<script" not in fault and "&lt;script&gt;" in fault


async def test_results_are_summed_up_paged_and_linked_to_their_traces(site: Site) -> None:
    """Figures of all rows, 25 rows at a time, and each row's id leads to its trace."""
    rows = [[str(n), str(n % 2), *VALID[2:]] for n in range(60)]
    visit = await opened(text_of(NAMES, *rows, ["x", *VALID[1:]]))
    await sent(visit, site)
    view, second = BatchView(site), Place().moved(visit, 1)
    html = view.results(visit, second, "en")

    figures = dict(re.findall(r'data-metric="(\w+)" data-value="([^"]+)"', html))
    assert figures == {"answered": "61", "mean_probability": "0.5", "refused": "1"}
    labels = re.findall(r'data-metric="label" data-key="(\w+)" data-value="(\d+)"', html)
    assert labels == [("NO", "30"), ("YES", "30")]
    assert re.findall(r'href="\./trace\?id=([^"]+)"', html) == [f"id-{n}" for n in range(25, 50)]
    assert second.moved(visit, 5) == Place("all", 2)
    assert second.moved(visit, -5) == Place("all", 0)
    refused = view.results(visit, Place("refused"), "en")
    assert re.findall(r'<tr data-row="(\d+)">', refused) == ["62"]
    assert "Age: must be a whole number from 0 to 120" in texts_in(refused)


async def test_results_are_downloaded_by_their_visitors_token_alone(
    site: Site, downloads: httpx.AsyncClient
) -> None:
    """Two visitors have two tokens; any other leads nowhere, and before a run there is nothing."""
    mine, other = await opened(text_of(NAMES, VALID), "mine.csv"), await opened(text_of(NAMES, VALID))
    assert (await downloads.get(f"/batch/results/{mine.token}/all.csv")).status_code == 404
    await sent(mine, site)

    answer = await downloads.get(f"/batch/results/{mine.token}/all.csv")
    assert answer.status_code == 200
    assert answer.text.splitlines()[1].startswith(",".join(VALID))
    assert 'filename="mine-results.csv"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    for path in (
        f"{other.token}/all.csv",
        f"{mine.token[:-1]}/all.csv",
        "/all.csv",
        "..%2F..%2Fsetup.py/all.csv",
    ):
        assert (await downloads.get(f"/batch/results/{path}")).status_code == 404
    assert (await downloads.get(f"/batch/results/{mine.token}/all.pkl")).status_code == 422
    assert mine.token != other.token and len(mine.token) >= 32


@pytest.mark.parametrize(("kind", "beginning"), [("xlsx", b"PK\x03\x04"), ("json", b"[\n{")])
async def test_each_format_is_downloaded(
    site: Site, downloads: httpx.AsyncClient, kind: str, beginning: bytes
) -> None:
    """Excel and JSON come as files too."""
    visit = await opened(text_of(NAMES, VALID))
    await sent(visit, site)

    assert (await downloads.get(f"/batch/results/{visit.token}/all.{kind}")).content.startswith(beginning)


async def test_a_visit_ends_with_the_last_page_that_holds_it() -> None:
    """Nothing but its page keeps a file: without that, its token leads nowhere."""
    visit = await opened(text_of(NAMES, VALID))
    token = visit.token
    assert visits.find(token) is visit
    del visit
    gc.collect()

    assert visits.find(token) is None


async def test_an_example_of_a_file_can_be_used(downloads: httpx.AsyncClient) -> None:
    """The example that the page offers fits the model."""
    visit = await opened((await downloads.get("/batch/example.csv")).content)

    assert visit.preview is not None
    assert (visit.preview.count, visit.preview.faulty, visit.ready) == (1, 0, True)


async def test_a_fault_of_ours_is_told_and_logged(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """A file that finds a fault in the reading leaves a sentence on the page, not an error without words."""

    def broken(*_: object) -> Table:
        raise ZeroDivisionError

    monkeypatch.setattr(visits, "read_table", broken)
    visit = await opened(b"x")

    assert visit.fault is not None and visit.fault.key == "batch.fault_unexpected"
    assert "by a fault of this service" in BatchView(site).file(visit, "en")


async def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """Reading and running that fail for the disk say so, and what was answered stays."""
    visit = await opened(text_of(NAMES, VALID))
    visits.start(visit, SCHEMA, site.api.ask, site.settings.api)
    assert visit.run is not None and visit.task is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(visit.run.results, "keep", full)
    await visit.task
    assert visit.run.state == "failed"
    assert "No space left on device" in BatchView(site).progress(visit, "en")
    monkeypatch.undo()
    await sent(visit, site)
    assert visit.run.state == "done"


async def test_an_uploaded_file_has_no_name_left_before_it_is_read(site: Site, tmp_path: Path) -> None:
    """Nobody can fetch an upload by its path; a second one of the same path is told apart."""
    folder = tmp_path / "hash"
    folder.mkdir()
    path = folder / "cases.csv"
    path.write_bytes(text_of(NAMES, VALID))
    visit = page._opened(path, site)

    assert not folder.exists()
    assert visit.task is not None
    await visit.task
    assert visit.ready and visit.name == "cases.csv"
    gone = page._opened(path, site)
    assert gone.fault is not None and gone.fault.key == "batch.fault_gone"


async def test_the_number_of_files_held_is_bounded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no room an upload is refused in words, and removed."""
    monkeypatch.setattr(visits, "MOST_VISITS", 0)
    path = tmp_path / "cases.csv"
    path.write_bytes(text_of(NAMES, VALID))
    visit = page._opened(path, site)

    assert visit.fault is not None and visit.fault.key == "batch.fault_no_room"
    assert not path.exists()


async def test_a_second_start_starts_nothing(site: Site, api: BatchApi) -> None:
    """A double click sends every row once."""
    visit = await opened(text_of(NAMES, *[VALID] * 30))
    before = len(api.ages)
    for _ in range(2):
        visits.start(visit, SCHEMA, site.api.ask, site.settings.api)
    assert visit.task is not None
    await asyncio.wait([visit.task])
    visits.start(visit, SCHEMA, site.api.ask, site.settings.api)
    assert visit.task is not None
    await visit.task

    assert len(api.ages) - before == 30


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_a_path_that_is_no_upload_is_neither_read_nor_removed(
    front_end: str, tmp_path: Path, meta: dict[str, object]
) -> None:
    """Whoever calls the page's event with a path of the server gets nothing, and the file stays."""
    secret = tmp_path / "secret.csv"
    secret.write_bytes(text_of(NAMES, VALID))
    functions = httpx.get(f"{front_end}/config", timeout=60).json()["dependencies"]
    upload = next(one["id"] for one in functions if any(target[1] == "upload" for target in one["targets"]))
    answer = httpx.post(
        f"{front_end}/gradio_api/run/predict",
        json={"fn_index": upload, "data": [{"path": str(secret), **meta}, None], "session_hash": "somebody"},
        timeout=60,
    )

    assert secret.exists()
    assert "secret" not in answer.text


async def test_an_upload_leaves_no_empty_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The component hands the path on as it is, and makes nothing beside it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = tmp_path / "hash" / "cases.csv"
    path.parent.mkdir()
    path.touch()
    component = table_upload()

    assert component.preprocess(FileData(path=str(path))) == str(path)
    assert component.preprocess(FileData(path=str(tmp_path / "hash" / ".." / ".." / "other.csv"))) is None
    assert list(tmp_path.iterdir()) == [path.parent]
