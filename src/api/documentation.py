"""The FastAPI application behind the gateway: routes, OpenAPI, and its errors as problem documents."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from vigie.api.dispatch import UNAVAILABLE, answer_of
from vigie.api.exchange import exchange_of
from vigie.api.hot import HotEndpoint
from vigie.api.problems import Problem, ProblemDocument
from vigie.api.roles import ENDPOINTS, Role, allowed_methods
from vigie.api.routes.about import about_router
from vigie.api.routes.dead_letters import dead_letters_router
from vigie.api.routes.explain import explain_router
from vigie.api.routes.feedback import feedback_router
from vigie.api.routes.health import health_router
from vigie.api.routes.history import history_router
from vigie.api.routes.ledger import ledger_router
from vigie.api.routes.logs import NotIndexed, logs_router
from vigie.api.routes.metrics import metrics_router
from vigie.api.routes.predict import predict_router
from vigie.api.service import Service
from vigie.api.validation import invalid
from vigie.subject import Subjects
from vigie.telemetry.event import FieldError

REFERENCE = "#/components/schemas/{model}"


def fastapi_application(service: Service, hot: dict[tuple[str, str], HotEndpoint]) -> FastAPI:
    """Return the application with all routes; it runs behind the gateway only, which makes the exchange."""
    app = FastAPI(
        title="Vigie",
        version=version("vigie"),
        description=_description(service),
        redirect_slashes=False,
    )
    for router in (
        predict_router(service, hot),
        explain_router(service),
        history_router(service),
        feedback_router(service),
        logs_router(service),
        ledger_router(service),
        dead_letters_router(service),
        health_router(service),
        metrics_router(service),
        about_router(service),
    ):
        app.include_router(router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(Exception, _unexpected)
    app.openapi = lambda: app.openapi_schema or _openapi(app, service)  # type: ignore[method-assign]  # FastAPI's documented way

    def describe_the_new_model() -> None:
        app.description, app.openapi_schema = _description(service), None

    service.follow(describe_the_new_model)
    return app


def _description(service: Service) -> str:
    return f"{service.model.schema.description.en}\n\nPlease note: {service.notice}."


def _openapi(app: FastAPI, service: Service) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    _, extra = models_json_schema(
        [
            (Subjects(service.model.schema).model, "validation"),
            (ProblemDocument, "serialization"),
            (NotIndexed, "serialization"),
        ],
        ref_template=REFERENCE,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(extra["$defs"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            role = ENDPOINTS[method.upper(), path]
            operation["x-role"] = role.value
            if role is not Role.OPEN:
                operation["description"] = (
                    f"{operation.get('description', '')}\n\nRole: {role.value}.".strip()
                )
    app.openapi_schema = document
    return document


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _response(request, error)


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path, a method that the path does not answer."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {path}; GET / lists the endpoints"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = allowed_methods(path)
        detail = f"{path} answers {', '.join(allowed)}, not {request.method}"
        headers["allow"] = ", ".join([*allowed, *(["HEAD"] if "GET" in allowed else [])])
    return _response(request, Problem(error.status_code, detail, headers=headers))


async def _invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        FieldError(field=str(fault["loc"][-1]), reason=f"{fault['msg'][0].lower()}{fault['msg'][1:]}")
        for fault in error.errors()
    ]
    return _response(request, invalid(faults))


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer a failure without a word of its inside; the gateway, which gets it next, logs the trace."""
    del error
    return _response(request, Problem(500, UNAVAILABLE))


def _response(request: Request, problem: Problem) -> Response:
    answer = answer_of(problem, exchange_of(request.scope))
    response = Response(answer.body, answer.status, media_type=answer.content_type.decode())
    response.raw_headers += list(answer.headers)
    return response
