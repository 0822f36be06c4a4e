"""The trained reference package, and an installation that serves it with predictions and outcomes stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.store_proxy import StoreProxy

from vigie.drift.check import Served, read_served
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.templates import Provisioner
from vigie.quality.calibration import Bins
from vigie.quality.held_out import held_out_scores
from vigie.schema import FeatureSchema
from vigie.settings import Settings


@pytest.fixture(scope="session")
def served(package_path: Path) -> Served:
    """The package as quality is measured against it."""
    return read_served(package_path)


@pytest.fixture(scope="session")
def held_out(package_path: Path, served: Served) -> Bins:
    """Its held-out rows by score."""
    return held_out_scores(package_path, served.schema)


@pytest.fixture
def settings(
    store_server: StoreProxy,
    settings_for: Callable[..., Settings],
    package_path: Path,
    schema: FeatureSchema,
) -> Settings:
    """An installation with a prefix of its own in the store, provisioned, which serves the package."""
    found = settings_for(ES_HOST="127.0.0.1", ES_PORT=store_server.port, MODEL_PATH=package_path)
    with connect_store(found.store) as client:
        list(Provisioner(client, found.store).run(schema, datetime.now(UTC)))
    return found
