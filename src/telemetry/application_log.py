"""The application log: loguru, and the standard library's loggers through it, as events in the stream.

Each record goes to stderr for people and, as an event of kind ``log``, into the journal. What the threads
of the telemetry itself log goes to stderr only: it would otherwise feed the stream it speaks of.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC
from typing import TYPE_CHECKING, Final, Literal, Protocol

from loguru import logger

from vigie.telemetry.context import current_transaction
from vigie.telemetry.event import Event, EventData
from vigie.telemetry.flusher import TELEMETRY_THREAD

if TYPE_CHECKING:
    from loguru import Message, Record

STDERR_FORMAT: Final = (
    "<dim>{time:YYYY-MM-DD HH:mm:ss.SSS}</dim> <level>{level: <8}</level> {name}: <level>{message}</level>"
)
FORWARDED: Final = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn", "fastapi")
"""Loggers that bring handlers of their own, which would print every line twice."""
LINE_PER_REQUEST: Final = ("uvicorn.access", "httpx", "elastic_transport.transport")
"""Loggers with a line per request, served or sent: it drowns what is said, so only warnings are kept."""


class Emits(Protocol):
    """What takes the events: the emitter."""

    def emit(self, event: Event) -> None:
        """Take one event."""


class InterceptHandler(logging.Handler):
    """Hands the records of the standard library's loggers to loguru, with their origin."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record through loguru as if it had been logged there."""
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def as_origin(found: Record) -> None:
            found["name"] = record.name
            found["module"] = record.module
            found["function"] = record.funcName
            found["line"] = record.lineno

        logger.patch(as_origin).opt(exception=record.exc_info).log(level, "{}", record.getMessage())


def install(emitter: Emits, service: Literal["api", "ui"], level: str) -> None:
    """Send everything logged at `level` or above to stderr and, as events of `service`, to `emitter`.

    Replaces what loguru and the standard library's root logger had been set to.
    """

    def sink(message: Message) -> None:
        emitter.emit(log_event(message.record, service))

    logger.remove()
    # diagnose would print the values of variables, and with them the inputs of people.
    logger.add(sys.stderr, level=level, format=STDERR_FORMAT, backtrace=False, diagnose=False)
    logger.add(
        sink, level=level, filter=_not_of_telemetry, format="{message}", backtrace=False, diagnose=False
    )
    logging.basicConfig(handlers=[InterceptHandler()], level=logger.level(level).no, force=True)
    for name in FORWARDED:
        forwarded = logging.getLogger(name)
        forwarded.handlers.clear()
        forwarded.propagate = True
    for name in LINE_PER_REQUEST:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_event(record: Record, service: str) -> Event:
    """Return the event of one log record, with the transaction it was logged in."""
    data: EventData = {
        "kind": "log",
        "service": service,
        "logger": record["name"] or "",
        "module": record["module"],
        "function": record["function"],
        "line": record["line"],
        "process": record["process"].id,
        "thread": record["thread"].name,
    }
    transaction_id = current_transaction.get()
    if transaction_id is not None:
        data["transaction_id"] = transaction_id
    exception = record["exception"]
    if exception is not None:
        data["exception"] = "".join(traceback.format_exception(*exception))
    return {
        "timestamp": record["time"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": record["level"].name,
        "message": record["message"],
        "data": data,
    }


def _not_of_telemetry(record: Record) -> bool:
    return not record["thread"].name.startswith(TELEMETRY_THREAD)
