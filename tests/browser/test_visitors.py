"""Many visitors: what one enters, chooses and is told is nobody else's."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from tests.browser.visitors import Visitors

from vigie.ui.texts import Texts

TEXTS = Texts()


def ask(page: Page, age: int, button: str) -> None:
    """Enter an age and press the button, without waiting for the answer."""
    field = page.locator("#form input[type=number]").first
    field.fill(str(age))
    field.press("Tab")
    page.get_by_role("button", name=button, exact=True).click()


def test_two_visitors_at_once_do_not_see_each_other(visit: Visitors) -> None:
    """Each gets the answer to their own questions, in their own language; the other's page does not move."""
    first, second = visit("/", language="en"), visit("/", language="fr", theme="dark")
    ask(first, 25, TEXTS.say("en", "predict.button"))
    ask(second, 88, TEXTS.say("fr", "predict.button"))
    ids = []
    for page, language in ((first, "en"), (second, "fr")):
        expect(page.locator("#result")).to_contain_text(TEXTS.say(language, "predict.show_trace"))
        ids.append(page.locator("#result a[href*='trace?id=']").first.get_attribute("href"))
    assert ids[0] != ids[1]
    before = second.locator("#result").inner_html()
    ask(first, 60, TEXTS.say("en", "predict.button"))
    expect(first.locator(f"#result a[href='{ids[0]}']")).to_have_count(0)
    assert second.locator("#result").inner_html() == before
    assert second.locator("#form input[type=number]").first.input_value() == "88"
    third = visit("/")
    expect(third.locator("#result a[href*='trace?id=']")).to_have_count(0)


def test_a_choice_of_language_is_one_visitors_own(visit: Visitors) -> None:
    """One visitor's switch changes no other's page, though one process serves both."""
    first, second = visit("/logs"), visit("/logs")
    first.get_by_role("button", name="Français").click()
    expect(first).to_have_title("Journaux · Vigie")
    second.reload()
    visit.drawn(second)
    expect(second).to_have_title("Logs · Vigie")
