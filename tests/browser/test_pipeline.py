"""The pipeline in a browser: ledger and stages, a dead letter unfolded, replayed and discarded."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import orjson
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.logs_pipeline.events import prediction
from tests.servers import wait_for

from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.stream.stream import Record, Stream

PAYLOAD = "<img src=x onerror=alert(1)> ${alert(1)} {{value}} <script>alert(1)</script>"


@pytest.fixture
def letters(installation: Installation) -> Iterator[Stream]:
    """Three events that the store refuses for good, as dead letters; what is left of them is discarded."""
    stream = Stream.open(installation.stack.settings.redis)
    today = iso_timestamp(time.time_ns())
    events = [
        {**prediction(number, latency_ms=PAYLOAD, method=f"letter-{number}"), "timestamp": today}
        for number in (1, 2, 3)
    ]
    stream.write(
        str(uuid.uuid4()), [Record(n, orjson.dumps(event)) for n, event in enumerate(events, start=1)]
    )
    wait_for(lambda: stream.letters.count() == 3, 120, "three dead letters")
    yield stream
    installation.stack.finish("pipeline", "dead", "discard", "--all", "--yes")


def listed(page: Page) -> Locator:
    """The letters in the page."""
    return page.locator("#pipeline-letters li[data-letter]")


def test_ledger_stages_and_processes_are_shown(visit: Visitors, installation: Installation) -> None:
    """Everything is well, each process reports, and what was produced is in the total."""
    installation.indexed(installation.predict())
    page = visit("/pipeline")
    expect(page.locator("#pipeline-stages li.well")).to_have_count(5)
    ledger = page.locator("#pipeline-ledger")
    expect(ledger.locator("[data-balanced=true]")).to_be_visible()
    produced = ledger.locator("tfoot [data-metric=produced]")
    assert int(produced.get_attribute("data-value") or 0) > 0
    processes = page.locator("#pipeline-processes")
    for service in ("API", "Front end", "Pipeline"):
        expect(processes.get_by_role("rowheader", name=service).first).to_be_visible()
    expect(processes.get_by_text("does not report")).to_have_count(0)
    ledger.get_by_text("What the terms mean").click()
    expect(ledger.get_by_text("Anything but 0 is a fault.")).to_be_visible()


def test_a_dead_letter_is_unfolded_as_text(visit: Visitors, letters: Stream) -> None:
    """What somebody stored is text, whatever it looks like, and folds away again."""
    assert letters.letters.count() == 3
    page = visit("/pipeline")
    expect(listed(page)).to_have_count(3)
    first = listed(page).first
    first.get_by_role("button", name="Show the event").click()
    expect(first.locator(".unfolded")).to_contain_text(PAYLOAD)
    assert page.locator("#pipeline-letters img, #pipeline-letters script").count() == 0
    first.get_by_role("button", name="Hide the event").click()
    expect(first.locator(".unfolded")).to_have_count(0)


def test_letters_are_replayed_by_the_pipeline(visit: Visitors, letters: Stream) -> None:
    """The page follows the replay to its end and says what became of each letter."""
    page = visit("/pipeline", language="fr")
    expect(listed(page)).to_have_count(3)
    page.get_by_role("button", name="Tout rejouer").click()
    said = page.locator("#pipeline-said")
    expect(said.locator("[data-replay=done]")).to_be_visible()
    expect(said).to_contain_text("Toujours en lettres mortes : 3.")
    expect(listed(page).first).to_contain_text("tentatives : 2")
    assert letters.letters.count() == 3


def test_a_letter_is_discarded_only_after_the_question(visit: Visitors, letters: Stream) -> None:
    """Cancelled, it stays; confirmed, this one goes and the others stay; another visitor sees it as well."""
    page, other = visit("/pipeline"), visit("/pipeline")
    expect(listed(page)).to_have_count(3)
    last = listed(page).last
    last.get_by_role("button", name="Discard…").click()
    question = last.get_by_role("alertdialog")
    expect(question).to_contain_text("Throw this event away for good?")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    assert letters.letters.count() == 3
    last.get_by_role("button", name="Discard…").click()
    question.get_by_role("button", name="Discard for good").click()
    expect(page.locator("#pipeline-said")).to_contain_text("Discarded: 1. Still waiting: 2.")
    expect(listed(page)).to_have_count(2)
    assert letters.letters.count() == 2
    expect(listed(other)).to_have_count(2)
    expect(other.locator("#pipeline-said")).to_be_hidden()


def test_without_a_pipeline_the_replay_says_that_it_waits(
    visit: Visitors, installation: Installation, letters: Stream
) -> None:
    """Nobody is left guessing: it is said, and done as soon as a pipeline runs again."""
    page = visit("/pipeline")
    expect(listed(page)).to_have_count(3)
    with installation.without("pipeline"):
        wait_for(
            lambda: not list(letters.client.scan_iter("api_logs:pipeline:*")), 120, "the worker to be gone"
        )
        listed(page).first.get_by_role("button", name="Replay").click()
        expect(page.locator("#pipeline-said")).to_contain_text("no worker of the pipeline runs")
    expect(page.locator("#pipeline-said [data-replay=done]")).to_be_visible()
