"""GET and DELETE /logs, GET /logs/stats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, JsonValue

from vigie.api.logs import LogQuery
from vigie.api.problems import PROBLEM_TYPE, ProblemDocument, documented
from vigie.api.service import Service
from vigie.settings import LogLevel

LogId = Annotated[str, Query(pattern=r"^[0-9]{1,15}(-[0-9]{1,15})?$")]


class LogEntry(BaseModel):
    """One stored event; what somebody else wrote into the stream may lack parts of it."""

    id: str
    timestamp: JsonValue
    level: JsonValue
    message: JsonValue
    data: JsonValue


class Logs(BaseModel):
    """A page of stored events."""

    total: int = Field(description="How many match the filters")
    logs: list[LogEntry]


class LogStatistics(BaseModel):
    """The stored events in numbers."""

    total: int
    by_level: dict[str, int]
    by_status: dict[str, int]
    oldest: JsonValue = Field(description="Timestamp of the oldest stored event; null when there is none")
    newest: JsonValue
    backlog: int = Field(description="Events that the pipeline has not settled yet")
    dead_letters: int
    dropped: int = Field(description="Events dropped and declared, over all producers")


class ClearedLogs(BaseModel):
    """What clearing did."""

    cleared: int
    pending: int = Field(description="Entries in flight to the store, which were left")
    stored: int = Field(description="Entries stored now")


class NotIndexed(ProblemDocument):
    """Clearing would take entries that are not indexed."""

    stored: int
    pending: int


def logs_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/logs", tags=["logs"], responses=documented(413, 500, 503, 504))

    @router.get("", summary="Stored events, newest first", responses=documented(422), response_model=Logs)
    async def logs(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        level: Annotated[LogLevel | None, Query()] = None,
        transaction_id: Annotated[str | None, Query(max_length=64)] = None,
        after: Annotated[LogId | None, Query(description="Newer than this id, oldest first")] = None,
    ) -> Any:
        return await service.logs.search(LogQuery(limit, offset, level, transaction_id, after))

    @router.delete(
        "",
        summary="Clear the stored events",
        response_model=ClearedLogs,
        responses={
            **documented(422),
            409: {
                "description": "Some entries are not indexed: nothing was cleared",
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/NotIndexed"}}},
            },
        },
    )
    async def clear(
        force: Annotated[
            Literal["true", "false"],
            Query(description="Clear what is not indexed too; the ledger counts it as cleared"),
        ] = "false",
    ) -> Any:
        return await service.logs.clear(force=force == "true")

    @router.get("/stats", summary="The stored events in numbers", response_model=LogStatistics)
    async def stats() -> Any:
        return await service.logs.statistics()

    return router
