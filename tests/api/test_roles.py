"""Every route has a role, and it is checked."""

from __future__ import annotations

import httpx
from fastapi.routing import APIRoute
from tests.api.conftest import Api

from vigie.api.documentation import fastapi_application
from vigie.api.gateway import Gateway
from vigie.api.hot import hot_endpoints
from vigie.api.roles import ENDPOINTS, Principal, Role, may


async def test_every_route_declares_its_role(api: Api) -> None:
    """The table of roles and the routes that are served are the same set."""
    app = fastapi_application(api.service, hot_endpoints(api.service))
    document = app.openapi()
    served = {(method.upper(), path) for path, found in document["paths"].items() for method in found}
    assert served | {("GET", path) for path in ("/docs", "/redoc", "/openapi.json")} == set(ENDPOINTS)
    assert {
        (method.upper(), path): Role(operation["x-role"])
        for path, found in document["paths"].items()
        for method, operation in found.items()
    } == {key: role for key, role in ENDPOINTS.items() if key in served}
    assert not [route for route in app.routes if isinstance(route, APIRoute) and "" in route.methods]


def test_a_role_opens_its_own_endpoints_only() -> None:
    """Open endpoints are everybody's; the others need their role; what does not exist is the router's matter."""
    reader = Principal("reader", frozenset({Role.READ_LOGS}))
    assert may(reader, "GET", "/logs")
    assert may(reader, "GET", "/health")
    assert may(reader, "GET", "/nothing")
    assert not may(reader, "DELETE", "/logs")
    assert not may(reader, "POST", "/predict")
    assert may(reader, "HEAD", "/logs")
    assert not may(reader, "HEAD", "/ledger")


async def test_without_the_role_the_answer_is_403(api: Api) -> None:
    """A principal without the role gets a problem document, on hot and other endpoints alike."""
    limited = Gateway(
        api.app._app,
        api.service.recorder,
        api.app._lifespan,
        identify=lambda headers: Principal("reader", frozenset({Role.READ_LOGS})),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://api") as client:
        answers = [
            await client.post("/predict", json=api.example),
            await client.delete("/logs"),
            await client.get("/logs"),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert answers[0].json()["detail"] == "This needs the role predict"
    assert api.requests()[0]["status"] == "refused"


async def test_a_profile_on_demand_needs_admin(api: Api) -> None:
    """X-Profile is ignored from whoever may only predict."""
    for roles, reason in ((frozenset({Role.PREDICT}), "budget"), (frozenset(Role), "forced")):
        gateway = Gateway(
            api.app._app,
            api.service.recorder,
            api.app._lifespan,
            identify=lambda headers, roles=roles: Principal("somebody", roles),  # type: ignore[misc]
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://api") as client:
            await client.post("/predict", json=api.example, headers={"X-Profile": "1"})
        assert api.requests()[-1]["profile_reason"] == reason
