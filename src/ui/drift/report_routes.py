"""The reports on drift and quality as files: whole pages that need nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from vigie.errors import VigieError
from vigie.ui.drift.reading import DriftReading, WindowChoice
from vigie.ui.logs_api import ROLE
from vigie.ui.routes import problem

Window = Annotated[WindowChoice, Query(description="Which predictions: as the page on drift names them")]
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": meaning, "content": {"application/problem+json": {}}}
    for status, meaning in {422: "malformed parameter", 503: "it cannot be judged now"}.items()
}


def report_router(reading: DriftReading) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/reports", responses=PROBLEMS)
    by_role = {"x-role": ROLE}

    @router.get("/drift", summary="The report on drift as a file", openapi_extra=by_role)
    async def drift(window: Window = "recorded") -> Response:
        from vigie.drift.html_report import html_page

        try:
            found = await reading.drift(window)
        except VigieError as error:
            return problem(503, "Cannot be judged now", str(error))
        model = found.report.model
        return _file(html_page(found.report, found.served.schema), f"drift-{model.name}-{model.version}")

    @router.get("/quality", summary="The report on quality as a file", openapi_extra=by_role)
    async def quality(window: Window = "recorded") -> Response:
        from vigie.quality.html_report import html_page

        try:
            report = await reading.quality_report(window)
        except VigieError as error:
            return problem(503, "Cannot be judged now", str(error))
        return _file(html_page(report), f"quality-{report.model.name}-{report.model.version}")

    return router


def _file(content: str, name: str) -> Response:
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "-._") else "_" for one in name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}.html"', "Cache-Control": "no-store"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)
