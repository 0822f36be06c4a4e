"""The front end of the tests, served in a thread with a double in the API's place."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from loguru import logger
from tests.servers import ROOT, RedisServer, free_port
from tests.ui.doubles import ANSWER, ApiDouble, served

from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings, load_settings
from vigie.telemetry.service_report import ServiceReports

A_DAY = 86_400.0

MIXED = {
    "name": "tenure",
    "title": "Will <they> stay?",
    "description": "Every type of field.",
    "caution": "an exercise, no advice",
    "target": {
        "name": "STAYS",
        "title": "Tenure",
        "classes": ["leaves", "unsure", "stays"],
        "positive": "stays",
        "meaning": {"stays": "The answers resemble those of people who stay."},
    },
    "data": "some.module:function",
    "groups": [{"name": "work", "title": "Work & pay"}, {"name": "none", "title": "Empty"}],
    "features": [
        {"name": "OVERTIME", "type": "binary", "group": "work", "label": "Overtime", "default": 1},
        {"name": "AGE", "type": "integer", "group": "work", "label": "Age", "minimum": 18, "maximum": 65}
        | {"unit": "years", "default": 40},
        {"name": "INCOME", "type": "integer", "group": "work", "label": "Income", "minimum": 1000}
        | {"maximum": 20000, "help": "Before tax"},
        {"name": "MOOD", "type": "number", "group": "work", "label": "Mood", "minimum": 0, "maximum": 5}
        | {"step": 0.5},
        {"name": "DISTANCE", "type": "number", "group": "work", "label": "Distance", "minimum": 0}
        | {"maximum": 100},
        {"name": "CONTRACT", "type": "binary", "group": "work", "label": "Contract"}
        | {"values": {0: "Fixed term", 1: "Permanent"}},
        {"name": "TRAVEL", "type": "category", "group": "work", "label": "Travel"}
        | {"categories": ["none", "often"], "default": "none"},
        {"name": "ROLE", "type": "category", "group": "work", "label": "Role"}
        | {"categories": ["Sales", "Research", "Finance", "Legal", "Support"]},
    ],
}


@pytest.fixture(scope="session")
def mixed_schema(tmp_path_factory: pytest.TempPathFactory) -> FeatureSchema:
    """A made-up schema with every type of feature."""
    folder = tmp_path_factory.mktemp("tenure")
    (folder / "schema.yaml").write_text(yaml.safe_dump(MIXED), encoding="utf-8")
    return load_schema(folder)


@pytest.fixture(scope="session")
def _api_server() -> Iterator[ApiDouble]:
    double = ApiDouble()
    with served(double) as double.url:
        yield double


@pytest.fixture
def api_double(_api_server: ApiDouble) -> ApiDouble:
    """The double, answering with a prediction until told otherwise."""
    _api_server.answer_with(200, ANSWER)
    _api_server.requests.clear()
    _api_server.elsewhere.clear()
    _api_server.asked.clear()
    return _api_server


@pytest.fixture(scope="session")
def front_end_settings(
    _api_server: ApiDouble, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of the served front end; it logs nothing, so that the stream holds what a test wrote."""
    folder = tmp_path_factory.mktemp("front-end")
    shutil.copy(ROOT / "model" / "lung_cancer" / "schema.yaml", folder)
    environment = {
        "MODEL_PATH": folder,
        "VIGIE_HOME": folder / "home",
        "API_URL": _api_server.url,
        "REQUEST_TIMEOUT": 0.1,
        "REDIS_PORT": redis_server.port,
        "GRADIO_PORT": free_port(),
        "JOURNAL_MAX_BYTES": 64 * 1024**2,
        "LOG_LEVEL": "CRITICAL",
    }
    return load_settings({name: str(value) for name, value in environment.items()}, None)


@pytest.fixture(scope="session")
def front_end(front_end_settings: Settings) -> Iterator[str]:
    """Base URL of a served front end whose API is the double; it reports on itself at its end only."""
    from vigie.ui import app

    handlers, level = logging.root.handlers[:], logging.root.level
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "ServiceReports", functools.partial(ServiceReports, first_seconds=A_DAY))
        with served(app.create_app(front_end_settings)) as url:
            yield url
    logging.root.handlers[:], logging.root.level = handlers, level
    logger.remove()


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """A folder with the reference schema and no trained model."""
    shutil.copy(ROOT / "model" / "lung_cancer" / "schema.yaml", tmp_path)
    return tmp_path
