"""The front end's REST routes: `/logs_api` and `/health`; errors are RFC 9457 problem documents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from vigie.ui.api_client import ApiClient
from vigie.ui.logs_api import ROLE, LogsPage, LogsQuery, LogsReader, LogsUnavailableError, NotPermittedError


class Health(BaseModel):
    """State of the front end."""

    status: str
    """ok, or degraded while the API does not answer."""
    api: str
    """reachable or unreachable."""


def build_router(reader: LogsReader, api: ApiClient) -> APIRouter:
    """Return the routes, reading the stream by `reader` and asking the API by `api`."""
    router = APIRouter()
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning, "content": {"application/problem+json": {}}}
        for status, meaning in {
            403: "role missing",
            422: "malformed parameter",
            503: "no Redis to read from",
        }.items()
    }

    @router.get(
        "/logs_api", summary="Log entries in pages", responses=problems, openapi_extra={"x-role": ROLE}
    )
    def logs_api(query: Annotated[LogsQuery, Query()]) -> LogsPage:
        """Entries of the event stream, oldest first; a named consumer confirms what it has."""
        return reader.page(query)

    @router.get("/health", summary="State of the front end")
    async def health() -> Health:
        """Whether the front end is up (it is, if it answers) and reaches the API."""
        reachable = await api.reachable()
        return Health(
            status="ok" if reachable else "degraded", api="reachable" if reachable else "unreachable"
        )

    return router


def install_problems(app: FastAPI) -> None:
    """Make `app` answer its errors with problem documents."""

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: Exception) -> JSONResponse:
        faults = error.errors() if isinstance(error, RequestValidationError) else ()
        errors = [{"field": str(fault["loc"][-1]), "reason": str(fault["msg"])} for fault in faults]
        return problem(422, "Malformed parameter", "A query parameter does not fit.", errors)

    @app.exception_handler(NotPermittedError)
    async def not_permitted(_: Request, error: Exception) -> JSONResponse:
        return problem(403, "Role missing", str(error))

    @app.exception_handler(LogsUnavailableError)
    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        return problem(503, "Logs unavailable", str(error))


def problem(status: int, title: str, detail: str, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """Return an RFC 9457 problem document."""
    content: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors:
        content["errors"] = errors
    return JSONResponse(content, status, media_type="application/problem+json")
