"""`/logs_api` against a real stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis
from pydantic import ValidationError
from tests.servers import free_port

from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Record, Stream, Verdict
from vigie.ui.logs_api import LogsQuery, LogsReader, LogsUnavailableError, NotPermittedError

PRODUCER = "7f6f2d1c-0000-4000-8000-000000000001"


def event(number: int) -> bytes:
    """An event as the journal has it."""
    data = {"kind": "log", "producer": PRODUCER, "number": number}
    content = {
        "timestamp": f"2026-11-20T10:30:45.{number:06d}Z",
        "level": "INFO",
        "message": f"event {number}",
    }
    return orjson.dumps(content | {"data": data})


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream of seven events."""
    stream = Stream.open(redis_settings)
    stream.write(PRODUCER, [Record(number, event(number)) for number in range(1, 8)])
    return stream


@pytest.fixture
def reader(stream: Stream, settings_for: Callable[..., Settings]) -> Iterator[LogsReader]:
    """A reader of that stream."""
    reader = LogsReader(settings_for(REDIS_PORT=stream.client.connection_pool.connection_kwargs["port"]))
    yield reader
    reader.close()


def page(reader: LogsReader, **query: Any) -> Any:
    """The page for a query."""
    return reader.page(LogsQuery.model_validate(query))


def test_pages_follow_one_another_without_gap_or_repetition(reader: LogsReader) -> None:
    """`next` as `after` of the next call gives every entry once, oldest first."""
    numbers, after = [], ""
    while True:
        found = page(reader, after=after, limit=3)
        if not found.logs:
            break
        numbers.append([log["number"] for log in found.logs])
        after = found.next
    assert numbers == [[1, 2, 3], [4, 5, 6], [7]]
    assert found.next == after


def test_an_entry_is_its_event_with_its_place(reader: LogsReader) -> None:
    """id, producer and number beside the event's four fields; `oldest` is the first entry's id."""
    found = page(reader, limit=1)
    assert found.logs == [
        {
            "id": found.oldest,
            "producer": PRODUCER,
            "number": 1,
            "timestamp": "2026-11-20T10:30:45.000001Z",
            "level": "INFO",
            "message": "event 1",
            "data": {"kind": "log", "producer": PRODUCER, "number": 1},
        }
    ]


def test_an_entry_that_is_no_event_is_shown_as_text(reader: LogsReader, stream: Stream) -> None:
    """What somebody wrote by hand does not break the page it is on."""
    last = page(reader).next
    stream.client.xadd("api_logs", {"event": b"not \xff JSON"})
    stream.client.xadd("api_logs", {"other": b"x"})
    found = page(reader, after=last).logs
    assert [(log["producer"], log["number"], log["message"], log["data"]) for log in found] == [
        ("", 0, "not � JSON", {}),
        ("", 0, "", {}),
    ]


def test_an_event_nested_too_deeply_is_shown_as_text(reader: LogsReader, stream: Stream) -> None:
    """Its page can be written, with what stands before and behind it."""
    deep = '{"level":"INFO","message":"deep","data":' + '{"a":' * 300 + "1" + "}" * 301
    stream.write(PRODUCER, [Record(8, deep.encode()), Record(9, event(9))])
    found = orjson.loads(page(reader).model_dump_json())["logs"]
    assert [log["number"] for log in found] == list(range(1, 10))
    assert [found[7][name] for name in ("timestamp", "level", "message", "data")] == [None, None, deep, {}]


def test_a_consumer_confirms_what_it_has(reader: LogsReader, stream: Stream) -> None:
    """`consumer` and `after` together move its cursor; a new one is noted at the beginning."""
    first = page(reader, consumer="bridge", limit=2)
    assert stream.cursors() == {"bridge": "0-0"}
    page(reader, consumer="bridge", after=first.next, limit=2)
    assert stream.cursors() == {"bridge": first.next}
    page(reader, consumer="bridge", limit=2)
    assert stream.cursors() == {"bridge": first.next}


def test_what_was_not_confirmed_is_not_trimmed(stream: Stream, settings_for: Callable[..., Settings]) -> None:
    """Entries stay for a consumer, from the one on that it confirmed last: so `oldest` is not beyond that."""
    settings = settings_for(
        REDIS_PORT=stream.client.connection_pool.connection_kwargs["port"], REDIS_LOGS_MAX_SIZE=0
    )
    reader = LogsReader(settings)
    confirmed = page(reader, consumer="bridge", limit=3).next
    page(reader, consumer="bridge", after=confirmed)
    worker = Stream.open(settings.redis)
    worker.ensure_group()
    worker.settle([Verdict(entry, "indexed") for entry in worker.read("w", 100, 10)])
    worker.trim()
    found = page(reader, after="")
    assert [log["number"] for log in found.logs] == [3, 4, 5, 6, 7]
    assert found.oldest == confirmed


def test_an_empty_stream_has_no_oldest(
    redis_settings: RedisSettings, settings_for: Callable[..., Settings]
) -> None:
    """`next` is what was asked, so that a collector can go on asking."""
    reader = LogsReader(settings_for(REDIS_PORT=redis_settings.redis_port))
    found = page(reader, after="5-1")
    assert found.model_dump() == {"logs": [], "next": "5-1", "oldest": None}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"after": "yesterday"},
        {"after": "1-2-3"},
        {"consumer": "a b"},
        {"consumer": "x" * 65},
        {"consumer": "x\n"},
        {"offset": 3},
    ],
)
def test_a_malformed_query_is_refused(query: dict[str, Any]) -> None:
    """Limits are 1 to 1000, ids are ids, names are short and plain, nothing else is known."""
    with pytest.raises(ValidationError):
        LogsQuery.model_validate(query)


def test_without_redis_the_reason_is_given(settings_for: Callable[..., Settings]) -> None:
    """Redis away and LOG_TO_REDIS=false are told apart."""
    port = free_port()
    with pytest.raises(LogsUnavailableError, match=f"Redis at 127.0.0.1:{port} does not answer"):
        page(LogsReader(settings_for(REDIS_PORT=port)))
    with pytest.raises(LogsUnavailableError, match="LOG_TO_REDIS"):
        page(LogsReader(settings_for(REDIS_PORT=port, LOG_TO_REDIS="false")))


def test_with_security_on_nobody_reads_without_the_role(settings_for: Callable[..., Settings]) -> None:
    """The role is granted to everybody only while AUTH_ENABLED is off."""
    with pytest.raises(NotPermittedError, match="read-logs"):
        page(LogsReader(settings_for(AUTH_ENABLED="true", SECRET_KEY="s" * 32)))


def test_a_redis_that_answers_an_error_is_away(stream: Stream, reader: LogsReader) -> None:
    """A key of another type under the stream's name is a reason, not a stack trace."""
    stream.client.delete("api_logs")
    stream.client.set("api_logs", "x")
    with pytest.raises(LogsUnavailableError):
        page(reader)
    assert isinstance(stream.client, redis.Redis)


def test_a_page_of_large_events_ends_early(reader: LogsReader, stream: Stream) -> None:
    """Its size is bounded, it has one entry at least, and `next` leads on without gap."""
    large = [orjson.dumps({"timestamp": "t", "level": "x" * 1_000_000, "message": "m"}) for _ in range(20)]
    stream.write(PRODUCER, [Record(number, text) for number, text in enumerate(large, 8)])
    numbers, after, pages = [], "", 0
    while found := page(reader, after=after, limit=1000):
        if not found.logs:
            break
        numbers += [log["number"] for log in found.logs]
        after, pages = found.next, pages + 1
    assert numbers == list(range(1, 28))
    assert pages == 3


def test_an_entry_that_is_too_large_is_shown_cut(reader: LogsReader, stream: Stream) -> None:
    """What no event of ours can be is text, one byte longer than an event may be."""
    last = page(reader).next
    stream.client.xadd("api_logs", {"event": b'{"message": "' + b"x" * 3_000_000 + b'"}'})
    (log,) = page(reader, after=last).logs
    assert (len(log["message"]), log["data"], log["timestamp"]) == (1024 * 1024 + 1, {}, None)
