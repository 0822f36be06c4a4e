"""The functions of the named API, called directly."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import gradio as gr
import pytest
from tests.servers import free_port

from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.ui.api_client import ApiClient
from vigie.ui.logs_api import LogsReader
from vigie.ui.named_api import logs_api, predict_api


def test_a_prediction_takes_the_schemas_features(
    mixed_schema: FeatureSchema, settings_for: Callable[..., Settings]
) -> None:
    """One parameter per feature, of its type, with a valid value as its default."""
    function = predict_api(mixed_schema, ApiClient(settings_for().api))
    parameters = inspect.signature(function).parameters
    assert {name: (found.annotation, found.default) for name, found in parameters.items()} == {
        "OVERTIME": (int, 1),
        "AGE": (int, 40),
        "INCOME": (int, 10500),
        "MOOD": (float, 2.5),
        "DISTANCE": (float, 50),
        "CONTRACT": (int, 0),
        "TRAVEL": (str, "none"),
        "ROLE": (str, "Sales"),
    }


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "does not answer"),
        ({"LOG_TO_REDIS": "false"}, "LOG_TO_REDIS"),
        ({"AUTH_ENABLED": "true", "SECRET_KEY": "s" * 32}, "read-logs"),
    ],
)
def test_why_there_are_no_logs_reaches_the_program(
    settings_for: Callable[..., Settings], environment: dict[str, str], reason: str
) -> None:
    """Redis away, not in use, or no role: an error whose text Gradio passes on."""
    reader = LogsReader(settings_for(REDIS_PORT=free_port(), **environment))
    with pytest.raises(gr.Error, match=reason):
        logs_api(reader)("", 100, "")
