"""The Predict page as its users work with it."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Request, Route, expect
from tests.browser.installation import Installation
from tests.browser.test_languages import ENGLISH, chrome_of
from tests.browser.visitors import Visitors

from vigie.ui.predict.contributions import MOST_SHOWN

TRANSACTION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}")
MOST_STOPS = 60
"""Presses of the tab key within which anything of the page is reached."""


def call_of(request: Request) -> list[Any] | None:
    """Return what a call of one of the page's handlers sends; None of another request."""
    if request.method != "POST" or "/gradio_api/run/" not in request.url:
        return None
    return list(json.loads(request.post_data or "{}").get("data", []))


def predictions(page: Page, inputs: int) -> list[list[Any]]:
    """Return a list that grows with each prediction that the page asks for: it is sent the whole form."""
    found: list[list[Any]] = []

    def note(request: Request) -> None:
        data = call_of(request)
        if data is not None and len(data) == inputs:
            found.append(data)

    page.on("request", note)
    return found


def predict(page: Page) -> str:
    """Press the button, wait for the answer with what moved it, and return its transaction id."""
    before = page.locator("#result").inner_text()
    page.get_by_role("button", name=re.compile("^(Predict|Prédire)$")).click()
    page.wait_for_function(
        "before => document.querySelector('#result').innerText !== before"
        " && document.querySelector('#result [data-copy]') && document.querySelector('#moves ol')",
        arg=before,
    )
    return str(page.locator("#result [data-copy]").get_attribute("data-copy"))


def tab_to(page: Page, selector: str) -> None:
    """Press the tab key until something within `selector` has the focus."""
    for _ in range(MOST_STOPS):
        if page.evaluate("selector => !!document.activeElement.closest(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key does not reach {selector}")


def test_by_the_keyboard_alone_from_the_form_to_the_trace(
    visit: Visitors, installation: Installation
) -> None:
    """Number, choice, tick, button and link are reached and used without a mouse; the API gets what was entered."""
    page = visit("/")
    tab_to(page, "#field-AGE input[type=number]")
    page.keyboard.press("Control+a")
    page.keyboard.type("71")
    expect(page.locator("#field-AGE input[type=number]")).to_have_value("71")
    tab_to(page, "#field-GENDER")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Male", exact=True)).to_be_checked()
    tab_to(page, "#field-SMOKING")
    page.keyboard.press("Space")
    expect(page.get_by_label("Smoking")).to_be_checked()
    tab_to(page, "#predict")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Show what happened")).to_be_visible()
    tab_to(page, "#result a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trace?id=*")
    (transaction,) = TRANSACTION.findall(page.url)
    stored = installation.indexed(transaction)["event"]["data"]
    expected = {**installation.schema.example(), "AGE": 71, "GENDER": 1, "SMOKING": 1}
    assert stored["input_data"] == expected


def test_the_answer_says_what_the_api_says(visit: Visitors, installation: Installation) -> None:
    """Probability, threshold, calibration and every contribution in the page are the API's own numbers."""
    page = visit("/")
    page.get_by_label("Coughing").check()
    predict(page)
    record = {**installation.schema.example(), "COUGHING": 1}
    with httpx.Client(base_url=installation.stack.url("api"), timeout=30) as api:
        explained = api.post("/explain", json=record).json()
        model = api.get("/model").json()
    meter = page.get_by_role("meter")
    assert float(meter.get_attribute("aria-valuenow") or -1) == round(100 * explained["probability"], 2)
    error = 100 * model["metrics"]["calibration_error"]
    expect(page.locator("#result")).to_contain_text(f"off by {error:.1f} percentage points")
    expect(page.locator("#result")).to_contain_text("The answer is YES from 50% on.")
    shown = [float(one.get_attribute("data-effect") or 0) for one in page.locator("#moves li").all()]
    effects = [one["effect"] for one in explained["contributions"]]
    assert shown[:MOST_SHOWN] == pytest.approx(effects[:MOST_SHOWN])
    assert explained["baseline"] + sum(shown) == pytest.approx(explained["probability"])


def test_in_french(visit: Visitors) -> None:
    """Form, answer, explanation, refusal and outcome are French, and numbers are written as the French do."""
    page = visit("/", language="fr")
    page.get_by_label("Toux").check()
    predict(page)
    page.get_by_label("YES", exact=True).check()
    page.get_by_role("button", name="Envoyer", exact=True).click()
    expect(page.locator("#truth-told")).to_contain_text("Merci")
    assert [line for line in chrome_of(page).splitlines() if ENGLISH.search(line)] == []
    expect(page.locator("#result .probability b")).to_have_text(re.compile("^\\d+,\\d\u00a0%$"))
    age = page.locator("#field-AGE input[type=number]")
    age.fill("500")
    age.press("Enter")
    alert = page.locator("#result").get_by_role("alert")
    expect(alert).to_contain_text("doit être un nombre entier, de 0 à 120")
    assert [line for line in chrome_of(page).splitlines() if ENGLISH.search(line)] == []


def test_a_double_click_sends_one_request(visit: Visitors, installation: Installation) -> None:
    """Two clicks in a hurry are one prediction; a later click is another."""
    page = visit("/")
    sent = predictions(page, len(installation.schema.features))
    page.get_by_role("button", name="Predict", exact=True).dblclick()
    expect(page.locator("#moves ol")).to_be_visible()
    assert len(sent) == 1
    predict(page)
    assert len(sent) == 2


def test_what_is_refused_is_marked_at_its_field_with_the_reason(visit: Visitors) -> None:
    """The field says so to a screen reader too; corrected and sent again, the mark and the refusal are gone."""
    page = visit("/")
    predict(page)
    age = page.locator("#field-AGE input[type=number]")
    age.fill("500")
    age.press("Enter")
    alert = page.locator("#result").get_by_role("alert")
    expect(alert).to_contain_text("Age: must be a whole number, 0 to 120; this was 500")
    expect(page.locator("#field-AGE")).to_have_class(re.compile("refused-value"))
    expect(age).to_have_attribute("aria-invalid", "true")
    reason = page.locator(f"[id='{age.get_attribute('aria-errormessage')}']")
    expect(reason).to_contain_text("must be a whole number")
    expect(page.locator("#moves")).to_be_hidden()
    expect(page.locator("#outcome")).to_be_hidden()
    age.fill("64")
    predict(page)
    expect(page.locator(".refused-value")).to_have_count(0)
    expect(page.locator("[aria-invalid]")).to_have_count(0)


def test_the_true_outcome_is_sent_and_told(visit: Visitors, installation: Installation) -> None:
    """Recorded; another one is refused until it is corrected on purpose; and it reaches the prediction's document."""
    page = visit("/")
    transaction = predict(page)
    told = page.locator("#truth-told")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(told).to_contain_text("Choose how it turned out first.")
    page.get_by_label("NO", exact=True).check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(told).to_contain_text("NO is")
    page.get_by_label("YES", exact=True).check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(told).to_contain_text("Another outcome was recorded before.")
    page.get_by_role("button", name="Correct it", exact=True).click()
    expect(told).to_contain_text("the true outcome is now YES")
    expect(page.get_by_role("button", name="Correct it", exact=True)).to_be_hidden()
    installation.indexed(transaction)
    answer = httpx.post(
        f"{installation.stack.url('api')}/feedback",
        json={"transaction_id": transaction, "label": "YES"},
        timeout=30,
    )
    assert answer.json()["status"] == "known"


def test_an_example_fills_the_form_and_reset_empties_it(visit: Visitors, installation: Installation) -> None:
    """The fields show the row that was picked; resetting shows the defaults again."""
    page = visit("/")
    picker = page.get_by_label("Fill in an example")
    picker.click()
    row = page.get_by_role("option", name=re.compile("^Row .* of the held-out data")).first
    name = row.inner_text()
    row.click()
    (age,), (count,) = re.findall(r"Age (\d+)", name), re.findall(r"(\d+) of 12 ticked", name)
    expect(page.locator("#field-AGE input[type=number]")).to_have_value(age)
    expect(page.locator("#form input[type=checkbox]:checked")).to_have_count(int(count))
    page.get_by_label("Smoking").check()
    page.get_by_role("button", name="Reset", exact=True).click()
    default = str(installation.schema.by_name["AGE"].example)
    expect(page.locator("#field-AGE input[type=number]")).to_have_value(default)
    expect(page.locator("#form input[type=checkbox]:checked")).to_have_count(0)


def test_an_example_is_picked_by_the_keyboard_and_passing_by_changes_nothing(visit: Visitors) -> None:
    """Arrow and Enter pick; the tab key leads through the picker without undoing what was entered."""
    page = visit("/")
    age = page.locator("#field-AGE input[type=number]")
    age.fill("71")
    picker = page.get_by_label("Fill in an example")
    picker.focus()
    page.keyboard.press("Tab")
    visit.settled(page)
    expect(age).to_have_value("71")
    picker.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(picker).to_have_value("The most usual values of the training data")
    expect(age).to_have_value("63")


def test_what_moved_an_earlier_answer_never_stands_beside_a_later_one(
    visit: Visitors, installation: Installation
) -> None:
    """An explanation that comes late, after that of the last answer, is not shown."""
    page = visit("/")
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        data = call_of(route.request)
        explains = data is not None and len(data) == 1 and "record" in str(data[0])
        if explains and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/gradio_api/run/**", hold_the_first)
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator("#moves")).to_contain_text("is being worked out")
    first = str(page.locator("#result [data-copy]").get_attribute("data-copy"))
    page.get_by_label("Allergy").check()
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator(f"#result [data-copy='{first}']")).to_have_count(0)
    expect(page.locator("#moves")).to_contain_text("Allergy: yes")
    with page.expect_response(lambda answer: answer.request == held[0].request):
        held[0].continue_()
    visit.settled(page)
    expect(page.locator("#moves")).to_contain_text("Allergy: yes")


def test_the_id_is_copied(visit: Visitors) -> None:
    """The button puts the transaction id on the clipboard and says so."""
    page = visit("/")
    transaction = predict(page)
    page.get_by_role("button", name="Copy the transaction id").click()
    expect(page.locator("#result .copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == transaction
