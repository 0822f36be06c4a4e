"""GET /health, /readyz and /livez."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from vigie.api.problems import documented
from vigie.api.service import Service


class HealthModel(BaseModel):
    """Which model answers, by which runtime, and why that one."""

    name: str
    version: str
    runtime: str
    runtime_reason: str


class HealthStages(BaseModel):
    """What is wrong at each stage, and the remedy; null where nothing is."""

    model: str | None
    journal: str | None
    redis: str | None
    pipeline: str | None
    store: str | None


class HealthDocument(BaseModel):
    """How the service is."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="degraded: it answers, but something behind it is away; unavailable: it cannot answer"
    )
    reasons: list[str]
    stages: HealthStages = Field(description="The same by stage, in the order in which events pass them")
    model: HealthModel
    redis: Literal["ok", "away", "off"]
    store: Literal["ok", "away"]
    producer: str = Field(description="Id of this process in the ledger")
    backlog: int = Field(description="Events of this process that Redis does not have yet")
    journal_bytes: int
    dropped: int = Field(description="Events dropped and declared")


class Alive(BaseModel):
    """The process is up."""

    status: Literal["ok"] = "ok"


def health_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["health"], responses=documented(413, 500, 504))
    unavailable: dict[int | str, dict[str, Any]] = {
        503: {"model": HealthDocument, "description": "It cannot serve; `reasons` says why"}
    }

    async def health() -> Response:
        serves, report = await service.health.report()
        return JSONResponse(report, 200 if serves else 503)

    for path in ("/health", "/readyz"):
        router.add_api_route(
            path,
            health,
            operation_id=path.strip("/"),
            summary="Whether it can serve, and what is away",
            response_model=HealthDocument,
            responses=unavailable,
        )

    @router.get("/livez", summary="The process is up")
    async def livez() -> Alive:
        return Alive()

    return router
