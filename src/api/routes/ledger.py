"""GET /ledger."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from vigie.api.problems import documented
from vigie.api.service import Service


class LedgerTerms(BaseModel):
    """Where events are, each counted at its own place: together they are what was produced."""

    produced: int = Field(description="Events that producers numbered")
    indexed: int | None = Field(description="Events in the store; null when it could not be asked")
    filtered: int = Field(description="Events that make no document, on purpose")
    dead: int = Field(description="Events refused for good, which are dead letters or were discarded")
    cleared: int = Field(description="Events cleared before they were indexed")
    expired: int = Field(description="Events whose index retention dropped")
    erased: int = Field(description="Events erased on request")
    removed: int = Field(description="Events whose index somebody else removed")
    pending: int = Field(description="Events on their way: in journals, in the stream, in flight")
    dropped: int = Field(description="Events dropped and declared")
    missing: int = Field(description="Events that are nowhere: 0 when the ledger balances")
    doubled: int = Field(description="Events stored more than once, in no sum: 0 when the ledger balances")


class _Process(BaseModel):
    producer: str
    role: str
    closed: bool = Field(description="It ended, and everything it had in its journal was shipped")


class LedgerProducer(LedgerTerms, _Process):  # in this order the terms come last, as `vigie verify` has them
    """One process that made events."""


class LedgerDocuments(BaseModel):
    """One index: its documents as expected and as counted."""

    index: str
    expected: int
    stored: int
    expired: int
    erased: int


class LedgerDocument(BaseModel):
    """The ledger as it was measured just now."""

    balanced: bool = Field(description="Every event is accounted for, and the store holds what it should")
    totals: LedgerTerms
    producers: list[LedgerProducer]
    documents: list[LedgerDocuments]
    problems: list[str] = Field(description="What does not add up, with producer and numbers")
    notes: list[str] = Field(
        description="What is worth knowing, such as journals on other hosts, which cannot be seen from here"
    )


def ledger_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["logs"], responses=documented(413, 500, 503, 504))

    @router.get("/ledger", summary="Where every event is", response_model=LedgerDocument)
    async def ledger() -> Any:
        return await service.ledger.read()

    return router
