"""Roles: what each endpoint asks for, and who is asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller must be allowed to do to use an endpoint."""

    OPEN = "open"
    PREDICT = "predict"
    READ_LOGS = "read-logs"
    ADMIN = "admin"


ENDPOINTS: Mapping[tuple[str, str], Role] = {
    ("GET", "/"): Role.OPEN,
    ("GET", "/health"): Role.OPEN,
    ("GET", "/livez"): Role.OPEN,
    ("GET", "/readyz"): Role.OPEN,
    ("GET", "/metrics"): Role.OPEN,
    ("GET", "/model"): Role.OPEN,
    ("GET", "/model/schema"): Role.OPEN,
    ("POST", "/predict"): Role.PREDICT,
    ("POST", "/predict_proba"): Role.PREDICT,
    ("POST", "/predict/batch"): Role.PREDICT,
    ("GET", "/logs"): Role.READ_LOGS,
    ("DELETE", "/logs"): Role.ADMIN,
    ("GET", "/logs/stats"): Role.READ_LOGS,
    ("GET", "/ledger"): Role.ADMIN,
    ("GET", "/docs"): Role.OPEN,
    ("GET", "/redoc"): Role.OPEN,
    ("GET", "/openapi.json"): Role.OPEN,
}
"""(method, path) → the role that the endpoint asks for."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request, and what they may do."""

    name: str
    roles: frozenset[Role]


EVERYBODY = Principal("everybody", frozenset(Role))
"""Everyone, while AUTH_ENABLED is off: every role is granted."""


def everybody(headers: Mapping[bytes, bytes]) -> Principal:
    """Identify the sender of a request with these headers while security is off."""
    del headers
    return EVERYBODY


def may(principal: Principal, method: str, path: str) -> bool:
    """Say whether `principal` may use the endpoint; one that does not exist is for the router to refuse."""
    role = ENDPOINTS.get((method, path), Role.OPEN)
    return role is Role.OPEN or role in principal.roles


def allowed_methods(path: str) -> list[str]:
    """Return the methods that `path` answers, for the Allow header."""
    return sorted(method for method, known in ENDPOINTS if known == path)
