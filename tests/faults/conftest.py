"""The platform with faults between its parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.place import Place, begin
from tests.real_store import RUN

from vigie.model.cohort import draw
from vigie.schema import FeatureSchema


@pytest.fixture
def place(tmp_path: Path, package_path: Path) -> Iterator[Place]:
    """A platform of the test's own, also its store: in a run on a real Elasticsearch a node of its own."""
    if RUN.user is not None:
        pytest.skip("kills the store: not the user's own")
    one = begin(tmp_path / "home", package_path, real=RUN.real, with_disk=False)
    yield one
    one.stop()


@pytest.fixture(scope="session")
def records(schema: FeatureSchema) -> list[dict[str, Any]]:
    """Records to predict."""
    return [dict(record) for record in draw(schema, 500, seed=1)[0]]
