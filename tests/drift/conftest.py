"""The trained reference package, and an installation that serves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.drift.traffic import reference_of
from tests.store_proxy import StoreProxy

from vigie.drift.check import Served, read_served
from vigie.model.reference_profile import ReferenceProfile
from vigie.settings import RedisSettings, Settings


@pytest.fixture(scope="session")
def reference(package_path: Path) -> ReferenceProfile:
    """The package's reference profile."""
    return reference_of(package_path)


@pytest.fixture(scope="session")
def served(package_path: Path) -> Served:
    """The package as drift is measured against it."""
    return read_served(package_path)


@pytest.fixture
def settings(
    redis_settings: RedisSettings,
    store_server: StoreProxy,
    settings_for: Callable[..., Settings],
    package_path: Path,
) -> Settings:
    """An installation with an empty Redis and a prefix of its own in the store, which serves the package."""
    return settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        MODEL_PATH=package_path,
    )
