"""Twins of the hot endpoints: FastAPI documents them, and answers them through the same handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from vigie.api.exchange import exchange_of
from vigie.api.hot import HotEndpoint
from vigie.api.problems import FieldErrorDocument, documented
from vigie.api.service import Service

RECORD = {"$ref": "#/components/schemas/Record"}
"""The schema's request model, which documentation.py adds to the components."""


class RowPrediction(BaseModel):
    """What the model says of one record."""

    prediction: int = Field(description="Position of the class in the target's classes")
    label: str
    probability: float = Field(
        ge=0,
        le=1,
        description="P(positive class), also when the answer is the other; of more than two, as confidence",
    )
    confidence: float = Field(ge=0, le=1, description="P(class given)")


class Prediction(RowPrediction):
    """Answer of POST /predict."""

    message: str = Field(description="The answer in a plain sentence, and what has to be said with it")
    model_name: str
    model_version: str
    transaction_id: str
    timestamp: str


class PredictionWithProbabilities(Prediction):
    """Answer of POST /predict_proba."""

    probabilities: dict[str, float] = Field(description="Class label → probability")


class FailedRow(BaseModel):
    """Why a row has no prediction."""

    detail: str
    errors: list[FieldErrorDocument]


class PredictedRecord(RowPrediction):
    """A row that was predicted."""

    index: int
    transaction_id: str


class RefusedRecord(BaseModel):
    """A row that was not predicted."""

    index: int
    transaction_id: str
    error: FailedRow


class BatchAnswer(BaseModel):
    """Answer of POST /predict/batch, in the order of the request."""

    transaction_id: str
    timestamp: str
    model_name: str
    model_version: str
    message: str = Field(description="What has to be said wherever the model answers")
    count: int
    failed: int
    results: list[PredictedRecord | RefusedRecord]


def predict_router(service: Service, hot: Mapping[tuple[str, str], HotEndpoint]) -> APIRouter:
    """Return the twins of `hot`, whose endpoints may be replaced by those of another model."""
    router = APIRouter(tags=["predict"], responses=documented(413, 415, 422, 500, 503, 504))
    spelling = (
        " Names are accepted with underscores or with spaces (CHEST_PAIN, CHEST PAIN), not both at once."
    )
    twins: list[tuple[str, str, type[BaseModel], dict[str, Any], str]] = [
        ("/predict", "Predict one record", Prediction, RECORD, "One record." + spelling),
        (
            "/predict_proba",
            "Predict one record, with the probability of each class",
            PredictionWithProbabilities,
            RECORD,
            "One record." + spelling,
        ),
        (
            "/predict/batch",
            "Predict many records at once",
            BatchAnswer,
            _batch_schema(service.settings.api.batch_max_records),
            "Records, as an array or in an object. Each is judged by itself: one that is not valid is "
            "answered with its errors, the others with their predictions." + spelling,
        ),
    ]
    for path, summary, answer, body, description in twins:
        example: object = service.model.schema.example()
        router.add_api_route(
            path,
            _twin(hot, ("POST", path)),
            methods=["POST"],
            operation_id=path.strip("/").replace("/", "_"),
            summary=summary,
            description=description,
            response_model=answer,
            openapi_extra={
                "parameters": [_PROFILE_HEADER],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": body,
                            "example": {"records": [example]} if answer is BatchAnswer else example,
                        }
                    },
                },
            },
        )
    return router


_PROFILE_HEADER = {
    "name": "X-Profile",
    "in": "header",
    "required": False,
    "description": "1: profile this prediction, whatever the budget says (role admin)",
    "schema": {"type": "string"},
}


def _twin(hot: Mapping[tuple[str, str], HotEndpoint], key: tuple[str, str]) -> Any:
    async def answer(request: Request) -> Response:
        exchange, endpoint = exchange_of(request.scope), hot[key]
        exchange.kind, exchange.model = endpoint.kind, endpoint.model
        found = await endpoint.answer(exchange, request.receive)
        response = Response(found.body, found.status, media_type=found.content_type.decode())
        response.raw_headers += list(found.headers)
        return response

    return answer


def _batch_schema(most: int) -> dict[str, Any]:
    anything = {"description": "Anything else is answered as a row with an error"}
    records = {
        "type": "array",
        "items": {"anyOf": [RECORD, anything]},
        "minItems": 1,
        "maxItems": most,
    }
    in_object = {
        "type": "object",
        "properties": {"records": records},
        "required": ["records"],
        "additionalProperties": False,
    }
    return {"anyOf": [in_object, records]}
