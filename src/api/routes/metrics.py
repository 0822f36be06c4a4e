"""GET /metrics: the figures of API, emitter and pipeline, as Prometheus reads them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from vigie.api.problems import documented
from vigie.api.service import Service

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus text, or OpenMetrics where the client asks for it",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
}


def metrics_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["health"], responses=documented(413, 500, 504))

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses=_TEXT)
    async def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        content, content_type = await service.metrics.read(accept)
        return Response(content, headers={"content-type": content_type})

    return router
