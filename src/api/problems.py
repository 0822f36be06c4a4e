"""Problem documents (RFC 9457): the one form of every error that leaves the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from vigie.telemetry.event import FieldError

PROBLEM_TYPE = "application/problem+json"
PHRASES: Mapping[int, str] = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's phrases where those of the standard library changed between Python versions."""


class Problem(Exception):  # noqa: N818 - the RFC's own word for it
    """An answer other than success; the gateway turns it into a problem document.

    `members` are additional members of the document, `headers` additional response headers.
    """

    subject_id: str | None = None
    """Who a refused record is about, for its event."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self, *, transaction_id: str, instance: str) -> bytes:
        """Return the document as JSON text; `instance` is the path of the request."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "transaction_id": transaction_id,
            "errors": self.errors,
            **self.members,
        }
        return orjson.dumps(document)


class FieldErrorDocument(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(description="The field's name in storage; empty when the fault is in the whole body")
    reason: str = Field(description="What is wrong with it, in plain words")


class ProblemDocument(BaseModel):
    """A problem document as of RFC 9457."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="about:blank: the status says it all")
    title: str = Field(description="The status in words")
    status: int
    detail: str = Field(description="What was wrong, and what to do")
    instance: str = Field(description="Path of the request")
    transaction_id: str = Field(description="Id of the request, as in X-Transaction-Id and in the logs")
    errors: list[FieldErrorDocument] = Field(description="What is wrong, field by field")


DESCRIPTIONS: Mapping[int, str] = {
    400: "The request is not valid HTTP",
    403: "The role that the endpoint asks for is missing",
    404: "There is nothing at this path",
    405: "The path does not answer this method",
    409: "The state of the service forbids it",
    413: "The body is larger than is let in",
    415: "The body is not JSON by its content type",
    422: "The request is not valid; `errors` says field by field why",
    500: "The service failed; its log has the trace under the transaction id",
    503: "Out of capacity, or something the answer needs is away",
    504: "No answer within the time limit",
}


def title(status: int) -> str:
    """Return the phrase of an HTTP status."""
    return PHRASES.get(status) or HTTPStatus(status).phrase


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of the problems an endpoint can answer with."""
    reference = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {PROBLEM_TYPE: {"schema": reference}}}
        for status in sorted(statuses)
    }
