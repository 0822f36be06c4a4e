"""The served page: what it holds, what its form answers, and its named API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from tests.ui.documents import Document, document
from tests.ui.doubles import ANSWER, TRANSACTION, ApiDouble
from tests.ui.sites import site_of

from vigie.schema import FeatureSchema
from vigie.settings import RedisSettings
from vigie.telemetry.stream.stream import Record, Stream
from vigie.ui.page import SWEEP_SECONDS, build_pages
from vigie.ui.pages.batch import KEPT_SECONDS


@pytest.fixture
def client(front_end: str, api_double: ApiDouble) -> Iterator[Client]:
    """A client of the named API."""
    client = Client(front_end, verbose=False, analytics_enabled=False)
    yield client
    client.close()


@pytest.fixture
def first_page(front_end: str) -> Document:
    """The first page as a browser gets it."""
    return document(front_end)


def press(front_end: str, page: Document, schema: FeatureSchema, **entered: Any) -> str:
    """Press the button as the browser does, the fields at their defaults but for `entered`; return the panel."""
    click = page.dependency("predict", "click")
    components = {found["id"]: found["props"].get("value") for found in page.config["components"]}
    values = dict(zip(schema.names, (components[found] for found in click["inputs"]), strict=True))
    answer = httpx.post(
        f"{front_end}/gradio_api/run/predict",
        json={"data": list((values | entered).values()), "fn_index": click["id"], "session_hash": "s"},
        timeout=60,
    )
    assert answer.status_code == 200
    return str(answer.json()["data"][0])


def test_the_button_sends_the_form_once_and_shows_the_answer(
    front_end: str, first_page: Document, schema: FeatureSchema, api_double: ApiDouble
) -> None:
    """The record holds the defaults and what was changed; the panel shows class, probability, notice and trace."""
    panel = press(front_end, first_page, schema, AGE=77, CHEST_PAIN=True)
    assert [request["record"] for request in api_double.requests] == [
        schema.example() | {"AGE": 77, "CHEST_PAIN": 1}
    ]
    assert "<strong>YES</strong>" in panel
    assert "87.3%" in panel
    assert "Not a medical device." in panel
    assert f'href="./trace?id={TRANSACTION}"' in panel


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((422, {"errors": [{"field": "CHEST PAIN", "reason": "<script>1</script>"}]}), "<b>Chest pain</b>"),
        ((503, {"detail": "The queue is full."}), "The queue is full."),
        ((500, "Traceback (most recent call last)"), "The service answered 500."),
        ((200, "<h1>Welcome to nginx</h1>"), "The answer could not be understood"),
        ((200, ANSWER, 3.0), "The service is too slow"),
    ],
)
def test_a_fault_of_the_api_is_a_readable_message(
    front_end: str, first_page: Document, schema: FeatureSchema, api_double: ApiDouble, fault: Any, words: str
) -> None:
    """Whatever the API does, the panel says what happened, with nothing of its internals and no markup."""
    api_double.answer_with(*fault)
    panel = press(front_end, first_page, schema)
    assert words in panel
    assert 'class="failure" role="alert"' in panel
    assert not re.search("<script|Traceback|nginx", panel)


def test_pressing_again_while_pending_is_not_sent(first_page: Document) -> None:
    """The browser is told to drop clicks while one is under way, and to send what is in the fields."""
    click = first_page.dependency("predict", "click")
    assert (click["trigger_mode"], click["queue"]) == ("once", False)


def test_the_page_asks_no_other_host(front_end: str, first_page: Document) -> None:
    """No script, style or font comes from elsewhere, and no use is reported."""
    loaded = re.findall(r'(?:src|href|content)="(?:https?:)?//[^"]*"', first_page.html)
    assert loaded == []
    assert first_page.config["stylesheets"] == []
    assert first_page.config["analytics_enabled"] is False
    theme = httpx.get(f"{front_end}/theme.css").text
    assert re.findall(r'@import|url\((?!"?data:)[^)]*', theme) == []
    assert "system-ui" in theme
    assert {
        path: httpx.get(front_end + path).status_code for path in ("/docs", "/redoc", "/openapi.json")
    } == {
        "/docs": 404,
        "/redoc": 404,
        "/openapi.json": 200,
    }


def test_an_upload_that_no_page_took_is_removed(schema: FeatureSchema, untrained: Path) -> None:
    """Gradio keeps uploads until it stops, unless it is told how often to look and how old they may be."""
    pages = build_pages(site_of(schema, untrained))
    assert pages.delete_cache == (SWEEP_SECONDS, SWEEP_SECONDS)
    assert any(files is pages.upload_file_set for files in pages.temp_file_sets)


def test_a_file_that_nobody_asks_for_is_not_held_for_ever(schema: FeatureSchema, untrained: Path) -> None:
    """Gradio ends what a closed page held; of a program that never opened one it would keep it."""
    states = [
        one for one in build_pages(site_of(schema, untrained)).blocks.values() if isinstance(one, gr.State)
    ]
    assert [one.time_to_live for one in states].count(KEPT_SECONDS) == 1


def test_two_functions_are_named(client: Client, schema: FeatureSchema) -> None:
    """The API page lists a prediction with the features by name, and the logs; nothing else."""
    named: Any = client.view_api(return_format="dict", print_info=False)
    assert sorted(named["named_endpoints"]) == ["/logs_api", "/predict"]
    parameters = named["named_endpoints"]["/predict"]["parameters"]
    assert [found["parameter_name"] for found in parameters] == list(schema.names)
    assert named["unnamed_endpoints"] == {}


def test_a_program_predicts_by_name(client: Client, api_double: ApiDouble, schema: FeatureSchema) -> None:
    """Features left out take the schema's example; the answer is the API's."""
    answer = client.predict(AGE=44, SMOKING=1, api_name="/predict")
    assert api_double.requests[0]["record"] == schema.example() | {"AGE": 44, "SMOKING": 1}
    kept = ("prediction", "label", "probability", "model_name", "model_version", "transaction_id")
    assert answer == {name: ANSWER[name] for name in kept}


def test_a_program_is_told_why_it_was_refused(client: Client, api_double: ApiDouble) -> None:
    """One line with the reasons and the transaction id."""
    api_double.answer_with(
        422, {"errors": [{"field": "AGE", "reason": "above 120"}], "transaction_id": TRANSACTION}
    )
    with pytest.raises(AppError, match=rf"AGE: above 120 — transaction {TRANSACTION}"):
        client.predict(AGE=121, api_name="/predict")


def test_a_program_reads_the_logs(client: Client, redis_settings: RedisSettings) -> None:
    """`logs_api` gives the pages that GET /logs_api gives."""
    stream = Stream.open(redis_settings)
    stream.write("p", [Record(number, b'{"message": "m"}') for number in (1, 2, 3)])
    entries = stream.after("", 100)  # the front end's own report may be among them
    first = next(position for position, entry in enumerate(entries) if entry.producer == "p")
    found = client.predict(entries[first - 1].id if first else "", 2, "", api_name="/logs_api")
    assert [log["number"] for log in found["logs"]] == [1, 2]
    rest = client.predict(found["next"], 100, "c", api_name="/logs_api")
    assert [log["number"] for log in rest["logs"] if log["producer"] == "p"] == [3]
    with pytest.raises(AppError, match="limit: Input should be less than or equal to 1000"):
        client.predict(limit=1001, api_name="/logs_api")
