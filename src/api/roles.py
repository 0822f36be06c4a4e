"""Roles: what each endpoint asks for, and who is asking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    ("POST", "/explain"): Role.PREDICT,
    ("GET", "/predict/history"): Role.READ_LOGS,
    ("GET", "/predict/{transaction_id}"): Role.READ_LOGS,
    ("POST", "/feedback"): Role.PREDICT,
    ("GET", "/logs"): Role.READ_LOGS,
    ("DELETE", "/logs"): Role.ADMIN,
    ("GET", "/logs/stats"): Role.READ_LOGS,
    ("GET", "/ledger"): Role.ADMIN,
    ("GET", "/pipeline/dead"): Role.ADMIN,
    ("GET", "/pipeline/dead/{letter_id}"): Role.ADMIN,
    ("POST", "/pipeline/replays"): Role.ADMIN,
    ("GET", "/pipeline/replays/{replay_id}"): Role.ADMIN,
    ("POST", "/pipeline/discards"): Role.ADMIN,
    ("GET", "/docs"): Role.OPEN,
    ("GET", "/redoc"): Role.OPEN,
    ("GET", "/openapi.json"): Role.OPEN,
}
"""(method, path) → the role that the endpoint asks for. A name in braces stands for one part of a path."""
_TEMPLATES: Final = {
    re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)): path for _, path in ENDPOINTS if "{" in path
}


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
    role = role_of(method, path)
    return role is Role.OPEN or role in principal.roles


def role_of(method: str, path: str) -> Role:
    """Return the role that the endpoint asks for; `open` when it does not exist."""
    method = "GET" if method == "HEAD" else method
    role = ENDPOINTS.get((method, path))
    return ENDPOINTS.get((method, template_of(path)), Role.OPEN) if role is None else role


def template_of(path: str) -> str:
    """Return the path in ENDPOINTS that `path` is an instance of; itself when there is none."""
    return next((template for form, template in _TEMPLATES.items() if form.fullmatch(path)), path)


def allowed_methods(path: str) -> list[str]:
    """Return the methods that `path` answers, for the Allow header."""
    exact = sorted(method for method, known in ENDPOINTS if known == path)
    template = template_of(path)
    return exact or sorted(method for method, known in ENDPOINTS if known == template)
