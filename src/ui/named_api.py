"""The functions of Gradio's named API, which programs call by `gradio_client`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import gradio as gr
from pydantic import ValidationError

from vigie.schema import FeatureSchema, Value
from vigie.ui.api_client import ApiClient
from vigie.ui.logs_api import LogsQuery, LogsReader, LogsUnavailableError, NotPermittedError
from vigie.ui.outcome import Failure
from vigie.ui.predict.answers import record_from

TYPES: dict[str, type] = {"integer": int, "number": float, "binary": int, "category": str}
"""Type of a feature in the schema → type of the parameter."""


def predict_api(schema: FeatureSchema, api: ApiClient) -> Callable[..., Coroutine[Any, Any, dict[str, Any]]]:
    """Return a prediction as a function with one named parameter per feature of `schema`."""

    async def predict(*values: Value) -> dict[str, Any]:
        """Predict one record."""
        outcome = await api.predict(record_from(schema, values))
        if isinstance(outcome, Failure):
            raise gr.Error(outcome.in_one_line())
        return outcome.model_dump()

    parameters = [
        inspect.Parameter(
            feature.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=feature.example,
            annotation=TYPES[feature.type],
        )
        for feature in schema.features
    ]
    signature = inspect.Signature(parameters, return_annotation=dict[str, Any])
    vars(predict)["__signature__"] = signature  # what Gradio reads the names from
    predict.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": dict[str, Any]}
    return predict


def logs_api(reader: LogsReader) -> Callable[[str, int, str], dict[str, Any]]:
    """Return `/logs_api` as a function; it answers in threads, since `reader` blocks."""

    def page(after: str = "", limit: int = 100, consumer: str = "") -> dict[str, Any]:
        """Log entries in pages, as GET /logs_api gives them."""
        try:
            return reader.page(LogsQuery(after=after, limit=limit, consumer=consumer)).model_dump()
        except ValidationError as error:
            reasons = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
            raise gr.Error("; ".join(reasons)) from error
        except (NotPermittedError, LogsUnavailableError) as error:
            raise gr.Error(str(error)) from error

    return page
