"""POST /feedback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from vigie.api.exchange import exchange_of
from vigie.api.feedback import FAILED, Taken
from vigie.api.feedback_reading import POSSIBLE_YEARS, Given, read_feedback
from vigie.api.limits import check_json
from vigie.api.problems import Problem, documented
from vigie.api.service import Service
from vigie.telemetry.stream.outcomes import MOST_OUTCOMES


class Feedback(BaseModel):
    """The true label of a prediction."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: str = Field(
        description="Id of the prediction, or of the row of a batch", json_schema_extra={"format": "uuid"}
    )
    label: str | int = Field(description="The class, or its position among the classes")
    at: AwareDatetime | None = Field(
        None,
        description="When it came to be known; now when it is not given",
        json_schema_extra={"pattern": POSSIBLE_YEARS},
    )
    correct: bool = Field(False, description="Let it take the place of another label given before")


class FeedbackAnswer(BaseModel):
    """What became of one outcome."""

    transaction_id: str
    status: Literal["recorded", "known", "kept", "corrected"] = Field(
        description="`known`: this label was recorded before, and nothing is added"
    )
    detail: str | None = None


class FeedbackResult(BaseModel):
    """What became of one outcome of a list."""

    index: int
    transaction_id: str | None
    status: Literal["recorded", "known", "kept", "corrected", "conflict", "unknown", "invalid"]
    detail: str | None = None


class FeedbackResults(BaseModel):
    """What became of a list of outcomes, in its order."""

    count: int
    failed: int = Field(description="How many were not recorded: conflict, unknown, invalid")
    results: list[FeedbackResult]


PROBLEMS = {"conflict": 409, "unknown": 404}


def feedback_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["feedback"], responses=documented(404, 409, 413, 415, 422, 500, 503, 504))

    @router.post(
        "/feedback",
        summary="Say what a prediction should have been",
        description="One outcome, or up to 1,000. It may come weeks late and be sent again. Another label "
        "than the one recorded is refused unless `correct` is true.",
        response_model=FeedbackAnswer | FeedbackResults,
        responses={202: {"description": "Kept until its prediction is stored", "model": FeedbackAnswer}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": _body(service.model.schema.target.classes)},
            }
        },
    )
    async def feedback(request: Request, response: Response) -> Any:
        exchange = exchange_of(request.scope)
        check_json(exchange.headers)
        exchange.body = await request.body()
        try:
            found = read_feedback(exchange.body, service.model.schema)
        except Problem:
            service.feedback.count_invalid()
            raise
        if isinstance(found, Given):
            (taken,) = await service.feedback.take([found], exchange)
            if taken.status in PROBLEMS:
                raise Problem(PROBLEMS[taken.status], taken.detail)
            response.status_code = 202 if taken.status == "kept" else 200
            return _shown(taken)
        all_taken = await service.feedback.take(found, exchange)
        return {
            "count": len(all_taken),
            "failed": sum(taken.status in FAILED for taken in all_taken),
            "results": [{"index": position, **_shown(taken)} for position, taken in enumerate(all_taken)],
        }

    return router


def _shown(taken: Taken) -> dict[str, Any]:
    return {"transaction_id": taken.transaction_id, "status": taken.status, "detail": taken.detail or None}


def _body(classes: Sequence[str]) -> dict[str, Any]:
    one = Feedback.model_json_schema()
    one["properties"]["label"] = {
        "enum": [*classes, *range(len(classes))],
        "description": Feedback.model_fields["label"].description,
    }
    some = {"type": "array", "items": {}, "minItems": 1, "maxItems": MOST_OUTCOMES}
    records = {
        "type": "object",
        "properties": {"records": {**some, "description": "Each is judged by itself"}},
        "required": ["records"],
        "additionalProperties": False,
    }
    example = {"transaction_id": "019a9f3e-5d1c-7c7a-8c53-0b1e6f2f9a11", "label": "YES"}
    return {"schema": {"anyOf": [one, records, some]}, "example": example}
