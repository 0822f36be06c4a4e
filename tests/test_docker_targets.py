"""The make targets for containers: what they ask docker for, and what they say when it cannot be asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.containers import services
from tests.servers import ROOT, outside

STAND_IN = """#!/bin/sh
# Writes its arguments down; `docker compose …` and `docker version` fail when the test says so.
echo "$*" >> "{log}"
case "$*" in
  "compose version") exit {compose} ;;
  "version") exit {daemon} ;;
  "compose run "*) echo "provisioned"; exit {provision} ;;
esac
"""
TARGETS = (
    "docker-build",
    "docker-up",
    "docker-down",
    "docker-logs",
    "pipeline-elasticsearch-up",
    "pipeline-elasticsearch-down",
)


class Docker:
    """A stand-in for the docker client that keeps what it was asked."""

    def __init__(self, folder: Path, compose: int = 0, daemon: int = 0, provision: int = 0) -> None:
        self.log = folder / "asked"
        self.log.touch()
        self.bin = folder / "bin"
        self.bin.mkdir()
        program = self.bin / "docker"
        program.write_text(STAND_IN.format(log=self.log, compose=compose, daemon=daemon, provision=provision))
        program.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        """What it was asked for, its version aside."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line not in {"version", "compose version"}]

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a make target that finds this docker."""
        return run_make(f"{self.bin}{os.pathsep}{os.environ['PATH']}", *words)


def run_make(path: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project with the given PATH."""
    make = shutil.which("make")
    assert make is not None
    return subprocess.run(
        [make, f"VENV={sys.prefix}", *words],
        cwd=ROOT,
        env={**outside(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_without_docker_one_line_says_so(tmp_path: Path, target: str) -> None:
    """Missing, without compose, or without its daemon: one line names what is missing, and nothing is done."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "echo", "python3"):
        (tools / name).symlink_to(str(shutil.which(name)))
    missing = run_make(str(tools), target)
    assert missing.returncode != 0
    assert missing.stdout.splitlines() == ["docker is not installed; without it, `make demo` runs everything"]
    for at, (fault, said) in enumerate(
        (
            ({"compose": 1}, "docker has no compose: install its compose plugin"),
            ({"daemon": 1}, "the Docker daemon does not answer: start it (`docker version` says more)"),
        )
    ):
        folder = tmp_path / str(at)
        folder.mkdir()
        docker = Docker(folder, **fault)
        refused = docker.make(target)
        assert refused.returncode != 0
        assert refused.stdout.splitlines() == [said]
        assert docker.asked == []


def test_up_starts_every_service_and_then_provisions(tmp_path: Path) -> None:
    """docker-up builds, waits for each lasting service of the compose file, and provisions."""
    docker = Docker(tmp_path)
    assert docker.make("docker-up").returncode == 0
    lasting = {name for name, service in services().items() if service["restart"] != "no"}
    build, up, provision, shown = docker.asked
    assert build == "compose build api"
    assert up.startswith("compose up --detach --wait ")
    assert set(up.split()[4:]) == lasting
    assert provision == "compose run --rm -T provision"
    assert shown == "compose ps"


def test_the_stores_come_up_with_everything_in_place(tmp_path: Path) -> None:
    """pipeline-elasticsearch-up runs the one-shot service, which waits for the two it depends on."""
    docker = Docker(tmp_path)
    done = docker.make("pipeline-elasticsearch-up")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["provisioned"]
    assert docker.asked == ["compose build api", "compose run --rm -T provision"]
    down = docker.make("pipeline-elasticsearch-down")
    assert down.returncode == 0
    removed = docker.asked[-1].removeprefix("compose rm --stop --force ").split()
    assert set(removed) == set(services()["provision"]["depends_on"])


@pytest.mark.parametrize("target", ["docker-up", "pipeline-elasticsearch-up"])
def test_a_refused_provision_fails_the_target(tmp_path: Path, target: str) -> None:
    """The exit status of the one-shot service is reported, and make's is not 0."""
    failed = Docker(tmp_path, provision=3).make(target)
    assert failed.returncode != 0
    assert re.search(r"Error 3\b", failed.stderr)


def test_down_keeps_the_volumes_unless_told(tmp_path: Path) -> None:
    """docker-down removes containers only; ARGS=--volumes also what they kept; docker-logs takes a service."""
    docker = Docker(tmp_path)
    assert docker.make("docker-down").returncode == 0
    assert docker.make("docker-down", "ARGS=--volumes").returncode == 0
    assert docker.make("docker-logs", "ARGS=api").returncode == 0
    assert docker.asked == [
        "compose down",
        "compose down --volumes",
        "compose logs --follow --tail 100 api",
    ]
