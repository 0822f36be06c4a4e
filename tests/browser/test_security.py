"""What came from outside is text: no field, header, path, file name or stored event becomes markup or runs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.servers import wait_for

PAYLOADS = (
    "<script>window.ran = 1</script>",
    '<img src=x onerror="window.ran = 2">',
    '<svg onload="window.ran = 3"><a href="javascript:window.ran = 4">x</a></svg>',
    "\"'><svg/onload=window.ran=5>",
    "{{ 7 * 7 }}${window.ran = 7}<%= 7 * 7 %>",
    "</script></details><iframe srcdoc='<script>parent.ran = 6</script>'>",
)
"""What runs where it is taken for markup."""
UNFOLD = "all => { for (const one of all) one.open = true; }"


def assert_text_alone(page: Page) -> None:
    """Nothing ran, and nothing that was sent became an element."""
    assert page.evaluate("window.ran") is None
    assert page.locator("main iframe").count() == 0
    assert page.locator("main script:not([type])").count() == 0
    assert page.locator("[onload], [onerror], main a[href^='javascript']").count() == 0


@pytest.fixture(scope="module")
def hostile(installation: Installation) -> dict[str, str]:
    """Requests whose every part is a payload, sent to the API and stored; transaction id by kind."""
    sent: dict[str, str] = {}
    with httpx.Client(base_url=installation.stack.url("api"), timeout=30) as client:
        for number, payload in enumerate(PAYLOADS):
            record = installation.schema.example()
            written = payload.encode()
            answers = {
                "field": client.post("/predict", json={**record, payload: payload}),
                "value": client.post("/predict", json={**record, "AGE": payload}),
                "text": client.post(
                    "/predict", content=payload.encode(), headers={"Content-Type": "application/json"}
                ),
                "path": client.get(f"/{quote(payload, safe='')}"),
                "header": client.post(
                    "/predict", json=record, headers={"User-Agent": written, "X-Request-ID": written}
                ),
                "subject": client.post("/predict", json={**record, "subject_id": payload}),
            }
            sent |= {
                f"{kind}-{number}": answer.headers["X-Transaction-Id"] for kind, answer in answers.items()
            }

    def stored() -> bool:
        wanted = list(sent.values())
        found = installation.stack.documents("ml-api-logs", {"terms": {"transaction_id": wanted}})
        return {document["transaction_id"] for document in found} >= set(wanted)

    wait_for(stored, 120, "the hostile requests to be indexed")
    return sent


def test_stored_payloads_are_text_in_every_trace(visit: Visitors, hostile: dict[str, str]) -> None:
    """What was sent to the API is shown as it was written."""
    page = visit(None)
    for kind in ("value-0", "field-2", "text-5", "value-4", "header-1", "subject-3"):
        visit.open(page, f"/trace?id={hostile[kind]}")
        visit.settled(page)
        page.locator("main details").evaluate_all(UNFOLD)
        assert_text_alone(page)
        if not kind.startswith("header"):  # what a header says besides is not kept
            expect(page.locator("main")).to_contain_text("ran")


def test_stored_payloads_are_text_in_the_logs(visit: Visitors, hostile: dict[str, str]) -> None:
    """Entries, unfolded too."""
    page = visit("/logs?status=refused")
    visit.settled(page)
    page.locator("main details").evaluate_all(UNFOLD)
    visit.settled(page)
    expect(page.locator("main")).to_contain_text("window.ran")
    assert_text_alone(page)


@pytest.mark.parametrize(
    "path", ["/dashboards?name=overview", "/dashboards?name=performance", "/drift", "/pipeline"]
)
def test_stored_payloads_are_text_in_what_counts_them(
    visit: Visitors, hostile: dict[str, str], path: str
) -> None:
    """Charts, tables and lists that name what was stored."""
    page = visit(path)
    visit.settled(page)
    assert_text_alone(page)


@pytest.mark.parametrize(
    "path",
    ["/trace?id={}", "/dashboards?name={}", "/dashboards?name=overview&since={}&until={}", "/logs?text={}&path={}",
     "/logs?level={}&cursor={}", "/?x={}", "/drift?last={}", "/pipeline?x={}", "/batch?x={}"],
)  # fmt: skip
def test_payloads_in_an_address_are_text(visit: Visitors, path: str) -> None:
    """A link that somebody sends cannot make the page do anything."""
    page = visit(None)
    for payload in PAYLOADS[:5]:
        visit.open(page, path.replace("{}", quote(payload, safe="")))
        visit.settled(page)
        expect(page.locator("main h1").first).to_be_visible()
        assert_text_alone(page)


def test_payloads_in_a_cookie_are_ignored(visit: Visitors, installation: Installation) -> None:
    """Language and appearance have two values each; anything else is none."""
    page = visit(None)
    page.context.add_cookies(
        [
            {"name": name, "value": "%3Csvg/onload=window.ran=1%3E\"'<b>", "url": installation.url}
            for name in ("language", "theme")
        ]
    )
    visit.open(page, "/")
    assert_text_alone(page)
    expect(page).to_have_title("Predict · Vigie")


def test_payloads_in_a_file_are_text(visit: Visitors, tmp_path: Path) -> None:
    """Name, header and cells of an uploaded file are shown as they are written."""
    header = "AGE,GENDER,<svg onload=window.ran=1>"
    rows = [f'{payload.replace(",", " ").replace(chr(34), chr(39))},1,"=cmd|x"' for payload in PAYLOADS]
    file = tmp_path / "<img src=x onerror=window.ran=2>.csv"
    file.write_text("\n".join([header, *rows]), encoding="utf-8")
    page = visit("/batch")
    page.locator("main input[type=file]").first.set_input_files(file)
    visit.settled(page)
    expect(page.locator("main")).to_contain_text("onerror=window.ran=2")
    assert_text_alone(page)
