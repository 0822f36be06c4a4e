"""Application logs are events beside the requests', and for people on stderr; never in a circle."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import datetime

import orjson
import pytest
from loguru import logger

from vigie.telemetry.application_log import FORWARDED, InterceptHandler, install
from vigie.telemetry.context import current_transaction
from vigie.telemetry.event import Event
from vigie.telemetry.flusher import TELEMETRY_THREAD


class Collector:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """The logs of this test, and afterwards the log as it was."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    found = Collector()
    install(found, "api", "INFO")
    yield found
    logger.remove()
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_a_log_is_an_event_of_the_same_shape(collector: Collector) -> None:
    """Timestamp, level, message and data, with where it was logged and by which service."""
    logger.info("served {} rows", 3)
    (event,) = collector.events
    assert (event["level"], event["message"]) == ("INFO", "served 3 rows")
    assert datetime.fromisoformat(event["timestamp"]).utcoffset() is not None
    assert event["timestamp"].endswith("Z")
    data = event["data"]
    assert (data["kind"], data["service"], data["function"]) == (
        "log",
        "api",
        "test_a_log_is_an_event_of_the_same_shape",
    )
    assert data["module"] == "test_application_log"
    assert data["thread"] == "MainThread"
    assert {"transaction_id", "exception"}.isdisjoint(data)
    assert orjson.loads(orjson.dumps(event)) == event


def test_the_standard_library_s_loggers_come_too(collector: Collector) -> None:
    """A record of a library is an event under its own logger and level, its text with the arguments put in."""
    logging.getLogger("some.library").warning("%d of {braces} %s", 2, "left")
    (event,) = collector.events
    assert (event["level"], event["message"]) == ("WARNING", "2 of {braces} left")
    assert event["data"]["logger"] == "some.library"
    assert event["data"]["module"] == "test_application_log"


def test_an_unknown_level_keeps_its_number(collector: Collector) -> None:
    """A library's own level does not lose the record."""
    logging.getLogger("some.library").log(33, "between")
    assert [(event["level"], event["message"]) for event in collector.events] == [("Level 33", "between")]


def test_uvicorn_s_handlers_give_way(collector: Collector) -> None:
    """Servers that install handlers of their own print no line twice: theirs are gone, records pass on."""
    for name in FORWARDED:
        assert logging.getLogger(name).handlers == []
        assert logging.getLogger(name).propagate
    logging.getLogger("uvicorn.error").error("bind failed")
    assert [event["message"] for event in collector.events] == ["bind failed"]
    assert [type(each) for each in logging.getLogger().handlers].count(InterceptHandler) == 1


def test_the_level_holds_for_both(collector: Collector) -> None:
    """Below the level nothing is kept, from loguru or from the standard library."""
    logger.debug("no")
    logging.getLogger("some.library").debug("no")
    logger.success("yes")
    assert [event["message"] for event in collector.events] == ["yes"]


def test_stack_traces_are_text(collector: Collector) -> None:
    """The trace of an exception is in the event, from either way of logging it, without variables' values."""
    try:
        secret = "63 years old"
        raise ValueError(f"bad {len(secret)}")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("some.library").exception("failed there")
    first, second = collector.events
    for event in (first, second):
        trace = event["data"]["exception"]
        assert trace.startswith("Traceback (most recent call last):")
        assert trace.endswith("ValueError: bad 12\n")
        assert "63 years old" not in trace.replace('secret = "63 years old"', "")
    assert (first["message"], second["message"]) == ("failed", "failed there")


async def test_a_log_names_its_request(collector: Collector) -> None:
    """Concurrent requests each name their own transaction; outside there is none."""

    async def serve(transaction_id: str) -> None:
        current_transaction.set(transaction_id)
        await asyncio.sleep(0)
        logger.info(transaction_id)

    await asyncio.gather(serve("a"), serve("b"))
    logger.info("none")
    assert [(event["message"], event["data"].get("transaction_id")) for event in collector.events] == [
        ("a", "a"),
        ("b", "b"),
        ("none", None),
    ]


def test_the_telemetry_s_own_log_goes_to_stderr_only(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the shipping threads log is printed, not shipped, whoever logs it there."""

    def work() -> None:
        logger.warning("events stay")
        logging.getLogger("redis").warning("connection lost")

    thread = threading.Thread(target=work, name=f"{TELEMETRY_THREAD}-flusher")
    thread.start()
    thread.join()
    assert collector.events == []


def test_people_read_it_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A line on stderr holds level and message, and the trace of an exception."""
    install(Collector(), "ui", "WARNING")
    logger.warning("look here")
    logger.info("not here")
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed")
    logger.remove()
    told = capsys.readouterr().err
    assert "WARNING" in told
    assert "look here" in told
    assert "not here" not in told
    assert "ValueError: bad" in told


def test_a_failing_emitter_does_not_break_the_code_that_logs() -> None:
    """Whatever the sink raises stays in the log: the logging call returns."""

    class Broken:
        def emit(self, event: Event) -> None:
            raise RuntimeError("no journal")

    install(Broken(), "api", "INFO")
    logger.info("still here")
    logger.remove()
