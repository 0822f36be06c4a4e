"""The batch page in a browser: a file goes in, its answers come out, and what is wrong with it is said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from playwright.sync_api import FilePayload, Locator, Page, expect
from tests.browser.installation import Installation
from tests.browser.test_accessibility import faults
from tests.browser.visitors import Visitors
from tests.ui.batches import NAMES, VALID

PAYLOAD = "<img src=x onerror=alert(1)>"


def csv_file(*rows: list[str], name: str = "cases.csv", header: tuple[str, ...] = NAMES) -> FilePayload:
    """Return rows as a file that a visitor chooses."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    return {"name": name, "mimeType": "text/csv", "buffer": buffer.getvalue().encode()}


def choose(page: Page, file: FilePayload) -> None:
    """Give the page a file."""
    page.locator("#batch-upload input[type=file]").set_input_files(file)


def metric(page: Page, name: str) -> Locator:
    """Return the figure of the summary that has this name."""
    return page.locator(f"#batch-summary [data-metric={name}]")


def downloaded(page: Page, link: str, folder: Path) -> Path:
    """Return the file behind a link."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=link, exact=True).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_a_file_is_looked_at_sent_downloaded_and_traced(visit: Visitors, tmp_path: Path) -> None:
    """From the file to its answers in every format, from a row to its trace, and back to the results."""
    page = visit("/batch")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    rows = [[str(40 + n % 40), "Male" if n % 2 else "f", *VALID[2:], f"=1+{n}"] for n in range(60)]
    rows[30][0], rows[31][-1] = "old", PAYLOAD
    choose(page, csv_file(*rows, header=(*(name.replace("_", " ").lower() for name in NAMES), PAYLOAD)))

    expect(page.get_by_text("Rows that will be refused: 1")).to_be_visible()
    expect(page.locator("#batch-preview td[data-fault=AGE]")).to_have_text("fault: old")
    page.get_by_role("button", name="Predict 60 rows").dblclick()
    expect(page.get_by_text("Rows answered: 60 of 60.")).to_be_visible()

    told = json.loads(downloaded(page, "All rows: JSON", tmp_path).read_text(encoding="utf-8"))
    assert [row[PAYLOAD] for row in told] == [row[-1] for row in rows]
    assert len({row["transaction_id"] for row in told}) == 60
    given = [row["probability"] for row in told if row["error"] is None]
    assert metric(page, "answered").get_attribute("data-value") == "60"
    assert metric(page, "refused").get_attribute("data-value") == "1"
    mean = float(metric(page, "mean_probability").get_attribute("data-value") or "nan")
    assert mean == pytest.approx(sum(given) / 59)
    for label in ("NO", "YES"):
        shown = page.locator(f"#batch-summary [data-key={label}]").get_attribute("data-value")
        assert shown == str(sum(row["label"] == label for row in told))

    with downloaded(page, "All rows: CSV", tmp_path).open(encoding="utf-8-sig", newline="") as file:
        assert [row[14] for row in csv.reader(file)][1:3] == ["'=1+0", "'=1+1"]
    refused = load_workbook(downloaded(page, "Refused rows only: Excel", tmp_path)).active
    assert [row[0] for row in refused.iter_rows(values_only=True, min_row=2)] == ["old"]

    page.get_by_role("radio", name="Refused rows").check()
    expect(page.locator("#batch-rows tbody tr")).to_have_count(1)
    expect(page.locator("#batch-rows")).to_contain_text("Age: must be a whole number from 0 to 120")
    assert faults(page) == []
    page.locator("#batch-rows a[href^='./trace']").click()
    visit.drawn(page)
    assert told[30]["transaction_id"] in page.url
    page.go_back()
    visit.drawn(page)
    expect(metric(page, "answered")).to_have_attribute("data-value", "60")


def test_a_french_visitor_brings_a_workbook(visit: Visitors, tmp_path: Path) -> None:
    """The same in French, with Excel: columns, preview, run and figures."""
    book = Workbook()
    for row in [NAMES, [63, "Homme", *[0] * 12], ["63,5", "Femme", *[0] * 12]]:
        book.active.append(list(row))
    book.save(tmp_path / "été.xlsx")
    page = visit("/batch", language="fr", theme="dark", width=390)
    page.locator("#batch-upload input[type=file]").set_input_files(tmp_path / "été.xlsx")

    expect(page.get_by_text("doit être un nombre entier de 0 à 120")).to_be_visible()
    page.get_by_role("button", name="Prédire 2 lignes").click()
    expect(page.get_by_text("Lignes traitées : 2 sur 2.")).to_be_visible()
    expect(metric(page, "refused")).to_have_text("1")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b"AGE,GENDER\n63\n", "in lines 2; the first has 1"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 64, "Save it in Excel as a workbook (.xlsx)"),
        (b"a;b\n1;2\n", "None of the model’s inputs"),
    ],
)
def test_a_bad_file_is_refused_in_words_and_the_next_one_is_taken(
    visit: Visitors, content: bytes, said: str
) -> None:
    """What is wrong is said, nothing can be sent, and a better file does it."""
    page = visit("/batch")
    choose(page, {"name": "bad.csv", "mimeType": "text/csv", "buffer": content})

    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.locator("#batch-run")).to_be_hidden()
    page.get_by_role("button", name="Clear").or_(
        page.locator("#batch-upload button[aria-label]")
    ).first.click()
    choose(page, csv_file(VALID))
    expect(page.get_by_role("button", name="Predict this row")).to_be_visible()


def test_two_visitors_do_not_see_each_others_files(visit: Visitors) -> None:
    """Both bring a file of the same content at once; each has their own answers, a third has none."""
    first, second = visit("/batch"), visit("/batch")
    for page, name in ((first, "first.csv"), (second, "second.csv")):
        choose(page, csv_file(VALID, VALID, name=name))
    for page, name in ((first, "first.csv"), (second, "second.csv")):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.get_by_role("button", name="Predict 2 rows").click()
    links = []
    for page in (first, second):
        expect(metric(page, "answered")).to_have_text("2")
        links.append(page.get_by_role("link", name="All rows: CSV").get_attribute("href"))
    assert links[0] != links[1]
    second.reload()
    visit.drawn(second)
    expect(second.get_by_role("heading", name="second.csv")).to_be_visible()
    third = visit("/batch")
    expect(third.locator("#batch-file")).to_have_text("")


def test_with_the_api_away_it_is_said_and_the_rest_follows_when_it_is_back(
    visit: Visitors, installation: Installation
) -> None:
    """The page waits for a while, can be stopped, and goes on with what has no answer."""
    page = visit("/batch")
    choose(page, csv_file(VALID, VALID, VALID))
    expect(page.get_by_role("button", name="Predict 3 rows")).to_be_visible()
    with installation.without("api"):
        page.get_by_role("button", name="Predict 3 rows").click()
        expect(page.get_by_text("The service was away or busy")).to_be_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_text("Stopped", exact=True)).to_be_visible()
    page.get_by_role("button", name="Continue: 3 left").click()
    expect(page.get_by_text("Rows answered: 3 of 3.")).to_be_visible()
