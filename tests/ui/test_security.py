"""What the front end refuses to give, to take and to allow."""

from __future__ import annotations

import io

import httpx
import pytest
from tests.servers import ROOT
from tests.ui.documents import document
from tests.ui.doubles import ApiDouble

from vigie.settings import Settings
from vigie.ui import security
from vigie.ui.security import HEADERS, MOST_BODY_BYTES


@pytest.mark.parametrize(
    "path", ["/", "/logs", "/health", "/logs_api?limit=0", "/nonsense", "/config", "/theme.css"]
)
def test_every_answer_says_what_browsers_must_not_do(front_end: str, path: str) -> None:
    """Pages, documents for programs and errors alike."""
    answer = httpx.get(f"{front_end}{path}")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


SECRETS = [
    "/etc/passwd",
    "/proc/self/environ",
    str(ROOT / "pyproject.toml"),
    str(ROOT / "src" / "ui" / "app.py"),
    "pyproject.toml",
    "../pyproject.toml",
    "src/settings.py",
    ".env",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "way",
    ["/gradio_api/file={}", "/file={}", "/static/{}", "/assets/{}", "/svelte/{}", "/gradio_api/file/{}"],
)
def test_no_file_of_the_server_can_be_fetched(front_end: str, way: str, secret: str) -> None:
    """By name, by a way upwards, or written in another way: refused, whatever the address."""
    dotted = "../" * 12 + secret.lstrip("/")
    for wanted in (secret, dotted, dotted.replace("/", "%2f"), dotted.replace(".", "%2e"), f"//{secret}"):
        answer = httpx.get(front_end + way.format(wanted))
        assert answer.status_code in {400, 401, 403, 404}, wanted
        assert b"root:" not in answer.content
        assert b"[project]" not in answer.content


def test_the_model_and_the_journals_are_not_served(front_end: str, front_end_settings: Settings) -> None:
    """What the process itself reads and writes is no page's business."""
    folder = front_end_settings.model.model_path
    for place in (folder / "schema.yaml", *sorted((folder / "home").rglob("*.*"))):
        assert httpx.get(f"{front_end}/gradio_api/file={place}").status_code in {403, 404}


def test_an_upload_is_bounded(front_end: str) -> None:
    """A file beyond the limit is refused, and nothing of it is kept."""
    large = io.BytesIO(b"a" * (65 * 1024 * 1024))
    answer = httpx.post(f"{front_end}/gradio_api/upload", files={"files": ("large.csv", large)}, timeout=120)
    assert answer.status_code == 413


def test_many_files_in_one_upload_are_bounded_together(
    front_end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each below the limit of a file, all of them beyond that of an upload."""
    monkeypatch.setattr(security, "MOST_UPLOADED_BYTES", 100_000)
    files = [("files", (f"{number}.csv", b"a" * 40_000)) for number in range(3)]
    assert httpx.post(f"{front_end}/gradio_api/upload", files=files, timeout=60).status_code == 413
    assert httpx.post(f"{front_end}/gradio_api/upload", files=files[:2], timeout=60).status_code == 200


@pytest.mark.parametrize(
    "path", ["/gradio_api/run/predict", "/gradio_api/queue/join", "/gradio_api/call/predict"]
)
def test_a_request_is_bounded(front_end: str, path: str) -> None:
    """What is no upload is read into memory: it says how large it is, and that is little."""
    large = b'{"data": ["' + b"a" * MOST_BODY_BYTES + b'"]}'
    headers = {"Content-Type": "application/json"}
    assert httpx.post(front_end + path, content=large, headers=headers, timeout=60).status_code == 413
    unsaid = httpx.post(front_end + path, content=iter([large]), headers=headers, timeout=60)
    assert unsaid.status_code == 411


def test_an_address_of_another_host_is_not_fetched_for_a_visitor(front_end: str) -> None:
    """The server is no proxy."""
    answer = httpx.get(f"{front_end}/gradio_api/proxy=http://127.0.0.1:1/x")
    assert answer.status_code in {400, 403, 404}


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200), (None, 200)],
)
def test_a_page_of_another_site_cannot_act_for_a_visitor(
    front_end: str, api_double: ApiDouble, site: str | None, status: int
) -> None:
    """Browsers say where a request comes from; programs say nothing and are served."""
    page = document(front_end)
    click = page.dependency("predict", "click")
    answer = httpx.post(
        f"{front_end}/gradio_api/run/predict",
        json={"data": [None] * len(click["inputs"]), "fn_index": click["id"], "session_hash": "s"},
        headers={"Sec-Fetch-Site": site} if site else {},
        timeout=60,
    )
    assert answer.status_code == status
    assert len(api_double.requests) == (1 if status == 200 else 0)
    if status == 403:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("origin", "status"), [("http://elsewhere.test", 403), ("null", 403), ("{own}", 200), (None, 200)]
)
def test_by_plain_http_the_origin_tells_another_site(
    front_end: str, api_double: ApiDouble, origin: str | None, status: int
) -> None:
    """Browsers say nothing of the site when the address is neither HTTPS nor this machine's own."""
    click = document(front_end).dependency("predict", "click")
    answer = httpx.post(
        f"{front_end}/gradio_api/run/predict",
        json={"data": [None] * len(click["inputs"]), "fn_index": click["id"], "session_hash": "s"},
        headers={"Origin": origin.format(own=front_end)} if origin else {},
        timeout=60,
    )
    assert answer.status_code == status


@pytest.mark.parametrize("name", ["consumer", "%63onsumer"])
def test_a_page_of_another_site_confirms_nothing(front_end: str, name: str) -> None:
    """A picture with this address would tell the stream that a collector has what it never got."""
    address = f"{front_end}/logs_api?{name}=theirs&after=1-0"
    assert httpx.get(address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert httpx.get(address, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
