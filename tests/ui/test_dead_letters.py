"""Dead letters on their page: listed, unfolded, replayed and discarded by what the API says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.ui.asked import HOSTILE, away, with_api, words
from tests.ui.sites import site_of

from vigie.schema import FeatureSchema
from vigie.ui.pipeline.dead_letters import DeadLettersPart, Place, Pressed
from vigie.ui.site import Site

LETTER = {
    "id": "7-0",
    "producer": "5b1a3c1e-0000-4000-8000-000000000001",
    "number": 3,
    "reason": f"not a number {HOSTILE}",
    "failures": [{"index": "ml-api-perfs", "id": "x", "status": 400, "type": "bad", "reason": "no"}],
    "stored": {},
    "attempts": 2,
    "first_at": "2026-11-20T10:00:00.000000Z",
    "last_at": "2026-11-20T10:30:00.000000Z",
    "event_bytes": 20,
}


@pytest.fixture
def site(schema: FeatureSchema, tmp_path: Path) -> Site:
    """Shared parts; nothing of them is connected."""
    return site_of(schema, tmp_path)


async def test_letters_are_listed_with_cause_and_unfolded_on_demand(site: Site) -> None:
    """Only the event that is asked for is fetched, and what it holds is text."""
    other = {**LETTER, "id": "6-0", "failures": [], "number": 0}
    api = with_api(
        site,
        pipeline_dead={"total": 41, "letters": [LETTER, other], "next": "6-0"},
        **{"pipeline_dead_7-0": {**LETTER, "event": {"message": HOSTILE}}},
    )
    part = DeadLettersPart(site)
    html = await part.letters("en", Place(before="9-0"))
    assert api.asked == [("GET", "/pipeline/dead", {"limit": 20, "before": "9-0"})]
    assert re.findall(r'<li data-letter="([^"]+)"', html) == ["7-0", "6-0"]
    assert 'data-metric="letters" data-value="41"' in html
    assert {"unprocessable", "attempts: 2", "event without a number"} <= {
        text for text in ("unprocessable", "attempts: 2", "event without a number") if text in words(html)
    }
    assert 'data-action="older" data-letter="6-0"' in html
    assert 'data-action="newest"' in html
    unfolded = await part.letters("en", Place(unfolded="7-0"))
    assert api.asked[-1][1] == "/pipeline/dead/7-0"
    assert "message" in unfolded
    assert "onerror" in unfolded
    assert "<img" not in unfolded
    before = len(api.asked)
    await part.letters("en", Place(unfolded="../ledger"))
    assert len(api.asked) == before + 1, "only a letter of the page is asked for"


async def test_a_letter_that_went_meanwhile_is_left_folded(site: Site) -> None:
    """Somebody else replayed it between list and event: the list is there all the same."""
    with_api(
        site,
        pipeline_dead={"total": 1, "letters": [LETTER], "next": None},
        **{"pipeline_dead_7-0": away(404)},
    )
    html = await DeadLettersPart(site).letters("en", Place(unfolded="7-0"))
    assert 'data-letter="7-0"' in html
    assert 'class="unfolded"' not in html


def test_buttons_change_only_what_is_seen(site: Site) -> None:
    """Unfold, fold, older, newest, ask; any other button ends a question, and strange data is no button."""
    part = DeadLettersPart(site)
    place = part.moved(Pressed("unfold", "7-0"), Place(before="9-0"))
    assert place == Place("9-0", "7-0")
    place = part.moved(Pressed("ask", "7-0"), place)
    assert place == Place("9-0", "7-0", "7-0")
    assert part.moved(Pressed("cancel", ""), place) == Place("9-0", "7-0")
    assert part.moved(Pressed("fold", "7-0"), place) == Place("9-0")
    assert part.moved(Pressed("older", "3-0"), place) == Place("3-0")
    assert part.moved(Pressed("newest", ""), place) == Place()
    assert Pressed.of({"action": "replay", "letter": "7-0"}) == Pressed("replay", "7-0")
    assert Pressed.of({"action": ["replay"]}) == Pressed.of("replay") == Pressed.of(None) == Pressed("", "")


async def test_the_question_stands_at_its_letter(site: Site) -> None:
    """Nothing is thrown away before it is answered."""
    api = with_api(site, pipeline_dead={"total": 1, "letters": [LETTER], "next": None})
    part = DeadLettersPart(site)
    html = await part.letters("fr", Place(asked="7-0"))
    assert 'role="alertdialog"' in html.split('data-letter="7-0"', 1)[1]
    assert "Jeter définitivement cet événement ?" in words(html)
    assert 'data-action="discard" data-letter="all"' in await part.letters("en", Place(asked="all"))
    assert {method for method, _, _ in api.asked} == {"GET"}


async def test_replay_is_followed_until_it_ends(site: Site) -> None:
    """One letter or all are asked for; the id is kept while it goes on and dropped when it has ended."""
    counts = {"indexed": 0, "filtered": 0, "failed": 0, "left": 0, "gone": 0}
    waiting = {"id": "r1", "state": "waiting", "counts": counts, "still_there": [], "problem": "no worker"}
    api = with_api(site, pipeline_replays=waiting)
    part = DeadLettersPart(site)
    html, following = await part.replay("en", "7-0")
    assert api.asked == [("POST", "/pipeline/replays", {"letters": ["7-0"]})]
    assert (following, "no worker" in html) == ("r1", True)
    still = {"id": "7-0", "outcome": "failed", "reason": HOSTILE}
    ended = {**waiting, "state": "done", "problem": None, "still_there": [still]}
    api.answers["/pipeline/replays/r1"] = {
        **ended,
        "counts": {**counts, "indexed": 1200, "failed": 1, "gone": 2},
    }
    html, following = await part.progress("en", "r1")
    assert following == ""
    assert "Stored: 1,200. Still dead letters: 1." in words(html)
    assert "meanwhile: 2" in words(html)
    assert "<img" not in html
    await part.replay("en", "all")
    assert api.asked[-1] == ("POST", "/pipeline/replays", {"letters": "all"})


async def test_a_replay_is_followed_through_an_outage_and_not_beyond_its_end(site: Site) -> None:
    """While the API is away the page keeps asking; a replay that nobody knows any more is given up."""
    with_api(site, **{"pipeline_replays_r1": away()})
    part = DeadLettersPart(site)
    assert (await part.progress("en", "r1"))[1] == "r1"
    with_api(site, **{"pipeline_replays_r1": away(404)})
    assert (await part.progress("en", "r1"))[1] == ""
    with_api(site, pipeline_replays=away(403))
    html, following = await part.replay("en", "7-0")
    assert (following, "The replay failed" in html) == ("", True)


async def test_discarding_says_how_many_and_what_waits(site: Site) -> None:
    """The API's own numbers; a refusal is a failure in words."""
    api = with_api(site, pipeline_discards={"discarded": 3, "waiting": 2})
    part = DeadLettersPart(site)
    assert "Discarded: 3. Still waiting: 2." in words(await part.discard("en", "all"))
    assert api.asked == [("POST", "/pipeline/discards", {"letters": "all"})]
    with_api(site, pipeline_discards=away(404))
    assert "Nothing was discarded" in await part.discard("en", "7-0")
