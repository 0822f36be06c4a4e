"""The run on a real Elasticsearch says what it did, and why when it did nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import ROOT
from tests.store_plugin import MINIMUM


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the contract suite with --store=elasticsearch on a machine without Maven."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "--store=elasticsearch", "-p", "no:cacheprovider"]
    clean = {name: value for name, value in os.environ.items() if name not in {"CI", "ES_HOST"}}
    return subprocess.run(
        [*command, "tests/contract/test_service.py", "tests/test_house_rules.py"],
        cwd=ROOT,
        env={**clean, "PATH": str(tmp_path / "bin"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_maven_the_tests_are_skipped_visibly_and_ci_fails(
    tmp_path: Path, ci: str, status: int
) -> None:
    """What is missing is named; on somebody's machine that is no failure, in CI it is."""
    done = run(tmp_path, CI=ci)
    assert done.returncode == status, done.stdout
    assert "no test ran on a real Elasticsearch: to start an Elasticsearch this machine lacks" in done.stdout
    assert "Maven (mvn)" in done.stdout
    assert " passed" not in done.stdout
    wanted = MINIMUM.read_text().strip()
    assert (f"CI demands at least {wanted}" in done.stdout) is (ci == "true")
