"""The page at /trace without a browser: what it writes of each kind of request, and when there is none to show."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.logs_pipeline.events import FUNCTIONS, INPUT, prediction
from tests.servers import free_port
from tests.ui.doubles import ApiDouble
from tests.ui.test_log_filters import write
from tests.ui.test_logs_page import HOSTILE, Html

from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.ui.logs.entries import LogEntry, LogRow, row_of
from vigie.ui.site import Site
from vigie.ui.trace import reading as trace_reading
from vigie.ui.trace.reading import MOST_TRIES, Asked, Drawn, TraceReading
from vigie.ui.transaction import is_transaction, transaction_in

ID = "01900000-0000-7000-8000-000000000001"
BATCH = "01900000-0000-7000-8000-000000000900"
SiteFor = Callable[..., Site]


def stored(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """GET /predict/{id}'s answer for an event that is stored."""
    data = event["data"]
    source = {name: value for name, value in data.items() if name != "kind"}
    document = {
        "index": "ml-api-logs-2026.11.20",
        "id": "p-1",
        "source": {"doc_type": data["kind"], **source},
    }
    line = {"doc_type": "log", "message": "while at it", "level": "INFO", "@timestamp": "2026-11-20T23:30:45.2Z",
            "producer": "p", "number": 9}  # fmt: skip
    metrics = data.get("performance_metrics")
    return {
        "transaction_id": data["transaction_id"], "state": "stored", "event": event, "metrics": metrics,
        "stages": data.get("stages"), "top_functions": (metrics or {}).get("top_functions") or [], "rows": None,
        "dead_letter": None,
        "documents": {
            "ml-api-logs": [document, {"index": "ml-api-logs-2026.11.20", "id": "p-9", "source": line}],
            "ml-api-perfs": [{"index": "ml-api-perfs-2026.11.20", "id": "p-1", "source": {"doc_type": "request"}}],
        },
        **changes,
    }  # fmt: skip


@pytest.fixture
def site_for(
    settings: Settings, settings_for: Callable[..., Settings], schema: FeatureSchema, api_double: ApiDouble
) -> Iterator[SiteFor]:
    """Environment variables → a site of the test's own store and Redis, the double as its API."""
    sites: list[Site] = []
    api_double.elsewhere["/logs"] = (200, {"total": 0, "logs": []})

    def make(**environment: object) -> Site:
        store = settings.store
        own = {"ES_HOST": store.es_host, "ES_PORT": store.es_port, "API_URL": api_double.url}
        sites.append(Site.open(settings_for(**{**own, **environment}), schema))
        return sites[-1]

    yield make
    for site in sites:
        site.store.close()
        site.reader.close()


@pytest.fixture
def reading(site_for: SiteFor) -> TraceReading:
    """What answers the page."""
    return TraceReading(site_for())


async def drawn(reading: TraceReading, given: str = ID, language: Any = "en", tries: int = 0) -> Drawn:
    """The page for an id."""
    return await reading.draw(language, {"id": given}, tries)


async def test_a_prediction_is_shown_whole(reading: TraceReading, api_double: ApiDouble) -> None:
    """Request, record in the form's words, stages, metrics with units, functions, documents, lines."""
    api_double.answer_with(200, stored(prediction(1, profiled=True, subject_id="p-7")))
    page = await drawn(reading)
    main = Html(page.main)
    for words in (
        "POST /predict",
        "answered (200)",
        "lung_cancer 1.0.0 onnx",
        "YES",
        "90.0%",
        "p-7",
        "60 years",
    ):
        assert words in main.text
    values = {
        found["data-metric"]: found["data-value"] for _, found in main.elements if "data-metric" in found
    }
    assert {name: values[name] for name in ("latency_ms", "memory_mb", "function_calls", "validate", "predict")} == {
        "latency_ms": "1.5", "memory_mb": "120.5", "function_calls": "40", "validate": "0.1", "predict": "0.2",
    }  # fmt: skip
    assert float(str(values["rest"])) == pytest.approx(1.2)
    assert [function["function"] in main.text for function in FUNCTIONS] == [True, True]
    assert "model/a.py:1" in main.text
    assert "1 in ml-api-logs" in Html(page.documents).text
    assert "1 in ml-api-perfs" in Html(page.documents).text
    assert not page.again
    around = await reading.around("en", page.asked)
    assert "while at it" in Html(around.lines).text
    assert f"./logs?transaction_id={ID}" in Html(around.lines).values("href")


async def test_many_lines_are_drawn_beside_the_event_loop(
    reading: TraceReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is a tree; meanwhile the loop answers other visitors."""
    threads = set()

    def row(*arguments: Any) -> LogRow:
        threads.add(threading.current_thread())
        return row_of(*arguments)

    monkeypatch.setattr(trace_reading, "row_of", row)
    line = LogEntry.streamed({"message": "in a thread", "data": {"producer": "p", "number": 1}})
    assert "in a thread" in (await reading.around("en", Asked(ID, {}, [line]))).lines
    assert threads and threading.current_thread() not in threads


async def test_the_french_page_is_french(reading: TraceReading, api_double: ApiDouble) -> None:
    """Words, decimal comma and the schema's own labels."""
    api_double.answer_with(200, stored(prediction(1)))
    text = Html((await drawn(reading, language="fr")).main).text
    for words in ("répondue (200)", "90,0\u00a0%", "1,50\u00a0ms", "Âge", "non profilé", "Étapes"):
        assert words in text
    assert "Stages" not in text


async def test_refused_requests_rows_and_batches_are_traced_too(
    reading: TraceReading, api_double: ApiDouble
) -> None:
    """What was sent and why it was refused; a row leads to its batch, a batch to its rows."""
    refused = prediction(1, status="refused", status_code=422, input_data=None, result=None, stages=None,
                         performance_metrics=None, rejected_input={"AGE": "old"},
                         errors=[{"field": "AGE", "reason": "must be a number"}])  # fmt: skip
    api_double.answer_with(200, stored(refused))
    page = await drawn(reading)
    main = Html(page.main).text
    assert "refused (422)" in main
    assert "must be a number" in main
    assert "old" in main
    assert "No stages were measured" in main
    assert "Only requests that went well are compared" in (await reading.around("en", page.asked)).place
    api_double.answer_with(200, stored(prediction(1, batch_id=BATCH, stages=None)))
    row = Html((await drawn(reading)).main)
    assert f"./trace?id={BATCH}" in row.values("href")
    assert "measured for the whole of it" in row.text
    batch = prediction(1, kind="request", path="/predict/batch", transaction_id=BATCH, result=None,
                       input_data=None, performance_metrics=None)  # fmt: skip
    api_double.answer_with(200, stored(batch, rows=1204))
    found = Html((await drawn(reading, BATCH)).main)
    assert "1,204 stored rows" in found.text
    assert f"./logs?transaction_id={BATCH}" in found.values("href")


async def test_one_on_its_way_says_where_it_is_and_is_looked_for_again(
    reading: TraceReading, api_double: ApiDouble
) -> None:
    """What is known of it is shown at once; after many tries the page stops by itself and says so."""
    for state, words in {
        "journal": "a journal on the server", "stream": "in the stream", "being indexed": "is indexed",
    }.items():  # fmt: skip
        event = prediction(1)
        api_double.answer_with(202, {"transaction_id": ID, "state": state, "detail": "…", "event": event})
        page = await drawn(reading)
        assert words in Html(page.main).text
        assert "POST /predict" in Html(page.main).text
        assert (page.again, page.documents) == (True, "")
    last = await drawn(reading, tries=MOST_TRIES)
    assert (last.again, "stopped looking by itself" in last.main) == (False, True)


async def test_a_dead_letter_says_why(reading: TraceReading, api_double: ApiDouble) -> None:
    """The store's reason stands above what is known of the request."""
    letter = {"letter_id": "1-0", "state": "waiting", "reason": f"mapping {HOSTILE}"}
    api_double.answer_with(200, stored(prediction(1), state="dead letter", dead_letter=letter))
    page = await drawn(reading)
    assert "Refused by the store" in Html(page.main).text
    assert HOSTILE in Html(page.main).text
    Html(page.main).demand_harmless()


async def test_where_there_is_no_trace_it_is_said_why(reading: TraceReading, api_double: ApiDouble) -> None:
    """Unknown, no id at all, not allowed, something away: each in words, and what may come back is tried again."""
    wrong = await drawn(reading, HOSTILE)
    assert "That is not a transaction id" in Html(wrong.main).text
    Html(wrong.main + wrong.find).demand_harmless()
    assert HOSTILE.strip('"') in Html(wrong.find).values("value")
    for status, words, again in (
        (404, "There is no such request", False),
        (403, "the role read-logs", False),
        (503, "away or too slow", True),
    ):
        api_double.answer_with(status, {"title": "…", "detail": "Redis at x does not answer"})
        page = await drawn(reading)
        assert (words in Html(page.main).text, page.again) == (True, again)
        assert ("Redis at x does not answer" in page.main) == again
    assert (await drawn(reading, tries=MOST_TRIES)).again is False


async def test_with_the_api_away_the_page_waits_for_it(site_for: SiteFor) -> None:
    """With an id and without one."""
    site = site_for(API_URL=f"http://127.0.0.1:{free_port()}")
    for given in (ID, ""):
        page = await drawn(TraceReading(site), given, "fr")
        assert "ne répond pas" in Html(page.main).text
        assert page.again
    await site.api.close()


async def test_its_place_in_the_hour_comes_from_the_store(
    reading: TraceReading, settings: Settings, api_double: ApiDouble
) -> None:
    """The sentence counts like predictions of that hour, and leads to the dashboard of that hour."""
    write(settings, [prediction(n, latency_ms=n / 2) for n in range(1, 9)])
    api_double.answer_with(200, stored(prediction(1, latency_ms=1.0)))
    page = await drawn(reading)
    found = Html((await reading.around("en", page.asked)).place)
    assert "Faster than 75% of 8 predictions of that hour." in found.text
    assert (found.values("data-total"), found.values("data-slower")) == (["8"], ["6"])
    assert sum(int(value) for value in found.values("data-value")) == 8
    assert (
        "./dashboards?name=performance&since=2026-11-20T23%3A00%3A00.000000Z&until=2026-11-21T00%3A00%3A00.000000Z"
        in found.values("href")
    )


async def test_each_part_fails_by_itself(site_for: SiteFor, api_double: ApiDouble) -> None:
    """With the store away the lines are there; with the stream unreadable those that are stored."""
    reading = TraceReading(site_for(ES_HOST="127.0.0.1", ES_PORT=free_port()))
    api_double.answer_with(200, stored(prediction(1)))
    page = await drawn(reading)
    api_double.elsewhere["/logs"] = (503, {"title": "…", "detail": "…"})
    around = await reading.around("en", page.asked)
    assert "cannot be asked now" in Html(around.place).text
    assert "while at it" in Html(around.lines).text
    assert "cannot be read now" in Html(around.lines).text


async def test_recent_predictions_are_there_to_choose_from(
    reading: TraceReading, api_double: ApiDouble
) -> None:
    """Without an id: each with its trace, page by page; none yet is said."""
    items = [
        {"transaction_id": ID, "timestamp": "2026-11-20T23:30:45.123456Z", "status": "ok", "latency_ms": 1.5,
         "model": {"version": HOSTILE}, "result": {"prediction": 0, "label": "NO"}},
        {"transaction_id": BATCH, "timestamp": None, "status": "refused", "latency_ms": None, "model": None,
         "result": None},
    ]  # fmt: skip
    api_double.answer_with(200, {"items": items, "next": "1-1-aa"})
    page = await reading.draw("en", {"cursor": "9-9-bb"}, 0)
    found = Html(page.main)
    found.demand_harmless()
    links = found.values("href")
    assert [f"./trace?id={ID}", f"./trace?id={BATCH}"] == links[:2]
    assert links[2:] == ["./trace", "./trace?cursor=1-1-aa"]
    assert "2026-11-20 23:30:45.123" in found.text
    assert "refused" in found.text
    api_double.answer_with(200, {"items": [], "next": None})
    assert "Nothing has been predicted yet" in (await reading.draw("en", {}, 0)).main


async def test_everything_stored_is_shown_as_text(reading: TraceReading, api_double: ApiDouble) -> None:
    """Markup in every text of an event, its documents and its lines stays text."""
    event = prediction(
        1, method=HOSTILE, path=HOSTILE, model={"name": HOSTILE}, input_data={**INPUT, HOSTILE: HOSTILE},
        result={"label": HOSTILE}, subject_id=HOSTILE, correlation_id=HOSTILE, batch_id=HOSTILE,
        errors=[{"field": HOSTILE, "reason": HOSTILE}], stages={"validate_ms": HOSTILE}, status=HOSTILE,
    )  # fmt: skip
    trace = stored(event)
    trace["documents"][HOSTILE] = trace["documents"]["ml-api-logs"]
    trace["documents"]["ml-api-logs"][1]["source"]["message"] = HOSTILE
    trace["top_functions"] = [{"function": HOSTILE, "file": HOSTILE, "line": HOSTILE, "calls": HOSTILE}]
    api_double.answer_with(200, trace)
    page = await drawn(reading)
    around = await reading.around("en", page.asked)
    for part, least in ((page.main, 10), (page.documents, 8), (around.lines, 1)):
        Html(part).demand_harmless()
        assert Html(part).text.count(HOSTILE) >= least


@pytest.mark.parametrize("given", [ID, ID.upper(), f"  {ID}\n", f"[{ID}]", f'"{ID}"'])
def test_an_id_is_taken_as_people_paste_it(given: str) -> None:
    """From a log line, in capitals, with spaces."""
    assert transaction_in(given) == ID
    assert is_transaction(transaction_in(given))
    assert not is_transaction(f"{ID}/../health")
