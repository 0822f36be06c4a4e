"""Evidently's own report, with a real Evidently: it wants an older pandas, so that it runs in its own environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.drift.test_commands import fill
from tests.servers import ROOT

from vigie.schema import FeatureSchema
from vigie.settings import Settings

VIGIE = ROOT / ".venv-evidently" / "bin" / "vigie"


@pytest.fixture(scope="module")
def vigie() -> Path:
    """The command where the extra `drift-report` is installed."""
    if not VIGIE.exists():
        missing = "Evidently is not installed: `make test-evidently` does that"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return VIGIE


def write(vigie: Path, settings: Settings, file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `vigie drift --evidently` to its end."""
    own = {
        "VIGIE_HOME": settings.api.vigie_home,
        "MODEL_PATH": settings.model.model_path,
        "ES_HOST": settings.store.es_host,
        "ES_PORT": settings.store.es_port,
        "ES_INDEX_PREFIX": settings.store.es_index_prefix,
        "REDIS_HOST": settings.redis.redis_host,
        "REDIS_PORT": settings.redis.redis_port,
    }
    return subprocess.run(
        [vigie, "drift", *arguments, "--evidently", file],
        env={**os.environ, **{name: str(value) for name, value in own.items()}},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_evidently_writes_its_report(
    vigie: Path, settings: Settings, package_path: Path, schema: FeatureSchema, tmp_path: Path
) -> None:
    """A page with each input, of a number of predictions as of a period; without any it says so."""
    file = tmp_path / "report.html"
    refused = write(vigie, settings, file, "--window", "60")
    assert refused.returncode == 2
    assert "there are no predictions" in refused.stderr
    assert not file.exists()
    fill(settings, package_path, schema, 60)
    for asked in (("--window", "60"), ("--last", "1h")):
        done = write(vigie, settings, file, *asked)
        assert done.returncode == 0, done.stderr
        page = file.read_text(encoding="utf-8")
        assert all(name in page for name in schema.names)
        file.unlink()
