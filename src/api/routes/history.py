"""GET /predict/history and GET /predict/{transaction_id}: the predictions made, and one from end to end."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from vigie.api.history import HistoryQuery
from vigie.api.problems import FieldErrorDocument, documented
from vigie.api.roles import allowed_methods
from vigie.api.service import Service
from vigie.api.validation import invalid
from vigie.indices.event_order import CURSOR
from vigie.subject import LONGEST, SUBJECT_ID
from vigie.telemetry.event import FieldError, Status

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MOST: Final = 1000
"""Predictions of one page."""


def _time(given: object) -> datetime:
    try:
        return datetime.fromisoformat(str(given).upper())
    except ValueError:
        said = "must be an ISO 8601 time, such as 2026-11-20T10:30:00Z"
        raise PydanticCustomError("time", said) from None


def _cursor(given: object) -> str:
    if not re.fullmatch(CURSOR, str(given)):
        raise PydanticCustomError("cursor", "must be what the page before has as `next`")
    return str(given)


Time = Annotated[datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
Cursor = Annotated[str, PlainValidator(_cursor), WithJsonSchema({"type": "string", "pattern": CURSOR})]
Name = Annotated[str, Field(min_length=1, max_length=1024)]


class HistoryParameters(BaseModel):
    """What the predictions are narrowed by."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    transaction_id: Annotated[Name | None, Field(description="Of this transaction")] = None
    since: Annotated[Time | None, Field(description="From this time on; UTC if it has no offset")] = None
    until: Annotated[Time | None, Field(description="Before this time")] = None
    label: Annotated[Name | None, Field(description="Answered with this label")] = None
    model_version: Annotated[Name | None, Field(description="By this version")] = None
    status: Annotated[Status | None, Field(description="What became of it")] = None
    subject_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST,
            description="About this subject; the name that the model's schema has for it (`subject` of GET "
            "/model/schema) is taken too",
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: Annotated[Cursor | None, Field(description="`next` of the page before")] = None


class HistoryItem(BaseModel):
    """One prediction, or what was refused or failed instead."""

    model_config = ConfigDict(protected_namespaces=())

    transaction_id: JsonValue
    batch_id: JsonValue = Field(description="The batch it was a row of; null when it was none")
    subject_id: JsonValue
    correlation_id: JsonValue
    timestamp: JsonValue
    status: JsonValue
    status_code: JsonValue
    latency_ms: JsonValue
    model: JsonValue
    input_data: JsonValue = Field(description="The record; null when it was refused")
    rejected_input: JsonValue = Field(description="What was sent instead of a valid record")
    result: JsonValue
    errors: list[FieldErrorDocument]


class History(BaseModel):
    """A page of predictions, newest first."""

    items: list[HistoryItem]
    next: str | None = Field(description="Cursor of the page that follows; null after the last one")


class StoredDocument(BaseModel):
    """A document as it is stored."""

    index: str = Field(description="The physical index")
    id: str
    source: dict[str, JsonValue]


class Trace(BaseModel):
    """One request from end to end."""

    transaction_id: str
    state: Literal["stored", "dead letter"]
    event: dict[str, JsonValue] | None
    metrics: dict[str, JsonValue] | None = Field(description="The eight performance metrics")
    stages: dict[str, JsonValue] | None = Field(description="Milliseconds by stage")
    top_functions: list[dict[str, JsonValue]] = Field(description="Empty when it was not profiled")
    rows: int | None = Field(description="Of a batch: its rows that are stored")
    dead_letter: dict[str, JsonValue] | None = Field(description="Why it was refused for good, if it was")
    documents: dict[str, list[StoredDocument]] = Field(description="Index → documents")


class OnItsWay(BaseModel):
    """A request whose event is not stored yet."""

    transaction_id: str
    state: Literal["journal", "stream", "being indexed"]
    detail: str
    event: dict[str, JsonValue]


def history_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/predict", tags=["predict"], responses=documented(413, 422, 500, 503, 504))

    @router.get("/history", summary="Predictions made, newest first, page by page", response_model=History)
    async def history(parameters: Annotated[HistoryParameters, Query()]) -> Any:
        return await service.history.read(_query(parameters, service.model.schema.subject))

    @router.get(
        "/{transaction_id}",
        summary="One request from end to end: event, cost, stored documents",
        response_model=Trace,
        responses={
            202: {"model": OnItsWay, "description": "It is on its way to the store"},
            **documented(404),
        },
    )
    async def trace(
        request: Request,
        transaction_id: Annotated[
            str,
            Path(
                description="Of a prediction, of a row of a batch, or of a batch",
                json_schema_extra={"format": "uuid"},
            ),
        ],
    ) -> Response:
        if not UUID.fullmatch(transaction_id):
            if allowed_methods(request.url.path) != ["GET"]:  # /predict/batch is no transaction
                raise HTTPException(405)
            raise invalid([FieldError(field="transaction_id", reason="is not a UUID")])
        found = await service.trace.read(transaction_id.lower())
        return Response(orjson.dumps(found.content), found.status, media_type="application/json")

    return router


def _query(parameters: HistoryParameters, own_name: str | None) -> HistoryQuery:
    """Return what is asked for. Raises Problem (422) for a parameter that there is not."""
    asked = parameters.model_dump()
    if parameters.transaction_id is not None and UUID.fullmatch(parameters.transaction_id):
        asked["transaction_id"] = parameters.transaction_id.lower()  # as they are stored
    unknown = dict(parameters.model_extra or {})
    if own_name in unknown:
        subject = unknown.pop(own_name)
        if parameters.subject_id is not None:
            reason = f"is given beside {SUBJECT_ID}, which means the same"
            raise invalid([FieldError(field=str(own_name), reason=reason)])
        if not isinstance(subject, str) or not 1 <= len(subject) <= LONGEST:
            reason = f"must be one text of 1 to {LONGEST} characters"
            raise invalid([FieldError(field=str(own_name), reason=reason)])
        asked[SUBJECT_ID] = subject
    if unknown:
        known = ", ".join(HistoryParameters.model_fields)
        reason = f"is not a parameter of the history; there are {known}"
        raise invalid([FieldError(field=name, reason=reason) for name in sorted(unknown)[:20]])
    return HistoryQuery(**{name: asked[name] for name in HistoryParameters.model_fields})
