"""The page at /logs without a browser: what it writes, what it follows, what it deletes, and what it says then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.servers import free_port
from tests.ui.doubles import ApiDouble
from tests.ui.handlers import handlers, request
from tests.ui.test_log_filters import write

from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Record, Stream
from vigie.ui.logs.clearing import Clearing
from vigie.ui.logs.filters import PAGE
from vigie.ui.logs.following import AT_ONCE, Following
from vigie.ui.logs.search import LogSearch
from vigie.ui.pages import logs
from vigie.ui.site import Site

HOSTILE = "\"><script>alert(1)</script><svg onload=alert(2)><img src=x onerror=alert(3)>'{{7*7}}"
SiteFor = Callable[..., Site]


class Html(HTMLParser):
    """What a browser makes of HTML: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, of all elements that have it."""
        return [str(found[attribute]) for _, found in self.elements if attribute in found]

    def demand_harmless(self) -> None:
        """Fail when an element or an event handler came out of what is shown."""
        assert not {tag for tag, _ in self.elements} & {"script", "svg", "img", "iframe", "object"}
        assert not [name for _, found in self.elements for name in found if name.startswith("on")]
        assert not [link for link in self.values("href") if not link.startswith("./")]


@pytest.fixture
def site_for(settings_for: Callable[..., Settings], schema: FeatureSchema) -> Iterator[SiteFor]:
    """Environment variables → a site; closed after the test."""
    sites: list[Site] = []

    def make(**environment: object) -> Site:
        sites.append(Site.open(settings_for(**environment), schema))
        return sites[-1]

    yield make
    for site in sites:
        site.store.close()
        site.reader.close()


@pytest.fixture
def site(site_for: SiteFor, settings: Settings, api_double: ApiDouble) -> Site:
    """The site of the test's own Redis and store, with the double as its API."""
    redis, store = settings.redis.address, settings.store
    return site_for(
        REDIS_HOST=redis[0],
        REDIS_PORT=redis[1],
        ES_HOST=store.es_host,
        ES_PORT=store.es_port,
        API_URL=api_double.url,
    )


def log(number: int, **changes: Any) -> dict[str, Any]:
    """A log line."""
    return {
        "timestamp": f"2026-11-20T10:00:00.{number:06d}Z", "level": "INFO", "message": f"line {number}",
        "data": {"kind": "log", "producer": PRODUCER, "number": number}, **changes,
    }  # fmt: skip


async def test_a_page_shows_its_entries_and_leads_to_the_next(site: Site, settings: Settings) -> None:
    """Newest first, each with its data, its trace and its command; the address of the next page has the filters."""
    write(settings, [prediction(n) for n in range(1, PAGE + 3)])
    form, entries = await LogSearch(site).page("en", {"path": "/predict", "status": "ok"})
    found = Html(entries)
    assert found.values("data-key") == [f"{PRODUCER}-{n}" for n in range(PAGE + 2, 2, -1)]
    assert f"{PAGE + 2} entries" in found.text
    assert found.text.count("Copy as curl") == PAGE
    assert "./trace?id=01900000-0000-7000-8000-000000000003" in found.values("href")
    following = [link for link in found.values("href") if "cursor=" in link]
    assert len(following) == 1
    assert following[0].startswith("./logs?status=ok&path=%2Fpredict&cursor=")
    asked = dict(pair.split("=") for pair in following[0].partition("?")[2].split("&"))
    _, rest = await LogSearch(site).page("fr", {"cursor": asked["cursor"]})
    assert Html(rest).values("data-key") == [f"{PRODUCER}-{n}" for n in (2, 1)]
    assert "Entrées les plus récentes" in Html(rest).text
    assert [
        dict(found).get("value") for tag, found in Html(form).elements if found.get("name") == "path"
    ] == ["/predict"]
    assert [
        found["value"] for tag, found in Html(form).elements if tag == "option" and "selected" in found
    ] == ["ok"]


async def test_what_is_stored_is_shown_as_text(site: Site, settings: Settings) -> None:
    """Markup in a message, an input, a path, a level, an id or a filter stays text."""
    hostile = [
        log(1, message=HOSTILE, level=HOSTILE),
        prediction(2, path=f"/{HOSTILE}", correlation_id=HOSTILE, rejected_input={HOSTILE: HOSTILE}, input_data=None,
                   status="refused", status_code=422, errors=[{"field": HOSTILE, "reason": HOSTILE}]),
        prediction(3, input_data={"AGE": HOSTILE}, model={"name": HOSTILE, "version": HOSTILE, "runtime": "onnx"}),
    ]  # fmt: skip
    write(settings, hostile)
    search = LogSearch(site)
    _, entries = await search.page("en", {})
    found = Html(entries)
    found.demand_harmless()
    assert found.text.count(HOSTILE) >= 10
    assert len(found.values("data-key")) == 3
    form, _ = await search.page(
        "fr", dict.fromkeys(("text", "path", "transaction_id", "since", "level"), HOSTILE)
    )
    Html(form).demand_harmless()
    assert HOSTILE in Html(form).values("value")
    came = Following(site).since("", "en", {})
    Html(came.html).demand_harmless()
    assert Html(came.html).text.count(HOSTILE) >= 10


async def test_without_entries_it_says_what_would_fill_it(site: Site) -> None:
    """An empty store and an empty search are two things."""
    search = LogSearch(site)
    assert "Nothing is stored yet" in (await search.page("en", {}))[1]
    assert "Nothing that is stored fits" in (await search.page("en", {"level": "ERROR"}))[1]
    assert "Rien de ce qui est enregistré" in (await search.page("fr", {"level": "ERROR"}))[1]


async def test_a_filter_that_does_not_fit_is_named(site: Site) -> None:
    """Nothing is searched for then, and the form keeps what was typed."""
    form, entries = await LogSearch(site).page("en", {"since": "noon", "path": "/predict", "cursor": "x"})
    assert "These filters have a value that does not fit: Place, From (UTC)." in Html(entries).text
    assert "/predict" in Html(form).values("value")


async def test_with_the_store_away_it_says_so_and_can_follow(site_for: SiteFor, settings: Settings) -> None:
    """The entries in the stream are shown where those of the store would stand."""
    port = settings.redis.address[1]
    site = site_for(REDIS_PORT=port, ES_HOST="127.0.0.1", ES_PORT=free_port())
    _, entries = await LogSearch(site).page("en", {})
    assert "The stored logs cannot be read now" in Html(entries).text
    assert "log-entries" in Html(entries).values("id")
    Stream.open(settings.redis).write(PRODUCER, [record(log(1), 1)])
    assert Html(Following(site).since("", "en", {}).html).values("data-key") == [f"{PRODUCER}-1"]


def test_following_shows_what_comes_in_once_and_in_order(site: Site, settings: Settings) -> None:
    """First the newest there are, then only what is newer; only what fits the address."""
    stream, following = Stream.open(settings.redis), Following(site)
    stream.write(PRODUCER, [record(log(n), n) for n in (1, 2)])
    first = following.since("", "en", {})
    assert Html(first.html).values("data-key") == [f"{PRODUCER}-2", f"{PRODUCER}-1"]
    nothing = following.since(first.position, "en", {})
    assert (nothing.html, nothing.position) == ("", first.position)
    stream.write(PRODUCER, [record(log(3), 3), record(prediction(4), 4), record(log(5, level="ERROR"), 5)])
    second = following.since(first.position, "en", {})
    assert Html(second.html).values("data-key") == [f"{PRODUCER}-{n}" for n in (5, 4, 3)]
    filtered = following.since(first.position, "en", {"level": "ERROR"})
    assert Html(filtered.html).values("data-key") == [f"{PRODUCER}-5"]
    assert filtered.position == second.position
    assert following.since(first.position, "en", {"level": "LOUD"}).html == ""


def test_following_skips_what_comes_too_fast_and_says_so(site: Site, settings: Settings) -> None:
    """Never more than a page holds: the newest are shown, that there were others is told."""
    stream, following = Stream.open(settings.redis), Following(site)
    start = following.since("", "en", {})
    assert start.html == ""
    stream.write(PRODUCER, [record(log(n), n) for n in range(1, AT_ONCE + 52)])
    came = following.since(start.position, "en", {})
    found = Html(came.html)
    assert found.values("data-key") == [f"{PRODUCER}-{n}" for n in range(AT_ONCE + 51, 51, -1)]
    assert "More entries came than are shown here" in found.text
    stream.write(PRODUCER, [Record(AT_ONCE + 52, b"no event"), record(log(AT_ONCE + 53), AT_ONCE + 53)])
    later = Html(following.since(came.position, "en", {}).html)
    assert "no event" in later.text
    assert "More entries" not in later.text


def test_following_says_how_it_stands(site: Site, site_for: SiteFor, api_double: ApiDouble) -> None:
    """On, off, an end that makes it pointless, Redis away: each in words, and the position is kept."""
    following = Following(site)
    assert following.switched(True, "en", {})[0]
    assert "Following." in following.switched(True, "en", {})[1]
    assert following.switched(False, "en", {})[0] is False
    assert "En pause." in following.switched(False, "fr", {})[1]
    ended = following.switched(True, "en", {"until": "2026-11-20T10:00:00"})
    assert (ended[0], "has an end" in ended[1]) == (False, True)
    away = Following(site_for(REDIS_PORT=free_port())).since("7-0", "en", {})
    assert (away.html, away.position, "Still trying" in away.said) == ("", "7-0", True)


async def test_emptying_tells_what_became_of_it(site: Site, api_double: ApiDouble) -> None:
    """Done, left because not indexed, not allowed, no Redis: nothing is claimed that is not known."""
    clearing = Clearing(site)
    assert "What the store has indexed stays" in clearing.question("en")
    api_double.answer_with(200, {"cleared": 1204, "pending": 2, "stored": 2})
    done = await clearing.clear("en", force=False)
    assert "1,204 entries were deleted" in done.html
    assert "2 are on their way" in done.html
    api_double.answer_with(409, {"title": "Conflict", "detail": "…", "stored": 1000, "pending": 12})
    left = await clearing.clear("fr", force=False)
    assert "12 entrées sur 1\u202f000" in left.html
    for status, words, force in (
        (403, "role admin", False),
        (503, "Nothing was deleted", False),
        (500, "not known", False),
    ):
        api_double.answer_with(status, {"title": "no", "detail": "no"})
        failed = await clearing.clear("en", force=True)
        assert (words in failed.html, failed.may_force) == (True, force)
    assert (left.may_force, done.may_force) == (True, False)
    await site.api.close()


async def test_emptying_with_the_api_away_claims_nothing(site_for: SiteFor) -> None:
    """Whether a request that got no answer was carried out is not known."""
    site = site_for(API_URL=f"http://127.0.0.1:{free_port()}")
    assert "not known" in (await Clearing(site).clear("en", force=False)).html
    await site.api.close()


async def test_what_is_left_is_deleted_only_when_somebody_says_so_again(
    site: Site, api_double: ApiDouble
) -> None:
    """The question offers to delete and to leave it; a refusal offers to delete all; what is done can only be closed."""
    page = handlers(logs.build, site)
    (asked,), (clear,), (clear_all,) = page["asked"], page["clear"], page["clear_all"]

    def offered(drawn: list[Any]) -> tuple[bool, ...]:
        return tuple(button.visible for button in drawn[2:])

    question = asked(request("fr"))
    assert (question[0].visible, offered(question)) == (True, (True, False, True, False))
    api_double.answer_with(409, {"title": "Conflict", "detail": "…", "stored": 1000, "pending": 12})
    assert offered(await clear(request())) == (False, True, True, False)
    api_double.answer_with(200, {"cleared": 1000, "pending": 0, "stored": 0})
    done = await clear_all(request())
    assert ("1,000 entries were deleted" in done[1], offered(done)) == (True, (False, False, False, True))
    await site.api.close()


async def test_following_is_switched_and_goes_on_after_another_search(site: Site) -> None:
    """The clock runs while it is on; a search while it is off does not start it."""
    page = handlers(logs.build, site)
    (switch,), (go_on,), (tick,) = page["switch"], page["go_on"], page["tick"]
    timer, said, position = switch(True, request())
    assert (timer.active, "Following." in said, position) == (True, True, "")
    assert go_on(True, request())[0].active
    assert (go_on(False, request())[0].active, go_on(False, request())[1:]) == (False, ("", ""))
    html, position, _ = tick("", request())
    assert (html, bool(position)) == ("", True)
