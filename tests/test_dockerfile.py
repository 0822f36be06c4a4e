"""The Dockerfile: what it copies is there, what it installs is locked, what it runs works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.containers import (
    Container,
    copied_from_context,
    image_environment,
    in_context,
    instructions,
    services,
)
from tests.servers import ROOT

from vigie.model.model_loader import load_model
from vigie.settings import variable_names

OF_PYTHON = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "HOME"}


def of(name: str) -> list[str]:
    """Return the texts of all instructions called `name`."""
    return [one.text for one in instructions() if one.name == name]


def test_the_base_is_pinned_and_no_registry_is_named() -> None:
    """Both stages stand on one Python of a full version, from wherever the builder gets its images."""
    bases = {text.split()[0] for text in of("FROM")}
    assert len(of("FROM")) == 2
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.12\.\d+-slim-\w+", bases.pop())


@pytest.mark.parametrize(("source", "target"), list(copied_from_context()))
def test_what_is_copied_exists_and_is_let_in(source: str, target: str) -> None:
    """Each source of a COPY is in the project, and .dockerignore does not keep it out."""
    path = ROOT / source
    assert path.exists()
    files = [path] if path.is_file() else [one for one in path.rglob("*.*") if one.is_file()]
    assert any(in_context(str(one.relative_to(ROOT))) for one in files)


def test_what_is_private_or_made_here_is_kept_out() -> None:
    """Secrets, environments, caches and a package trained on this machine stay out of the image."""
    for path in (
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".vigie/producers/x/lock",
        "model/lung_cancer/manifest.json",
        "src/__pycache__/cli.pyc",
        "src/vigie.egg-info/PKG-INFO",
        "tests/servers.py",
    ):
        assert not in_context(path), path
    for path in ("model/lung_cancer/schema.yaml", "src/api/main.py", "src/telemetry/stream/write.lua"):
        assert in_context(path), path


def test_what_is_installed_is_locked_by_hashes() -> None:
    """Each pip command takes a lock with hashes that was copied before, or the project without dependencies."""
    copied = set()
    installs = []
    for one in instructions():
        if one.name == "COPY":
            copied |= set(one.text.split()[:-1])
        if one.name == "RUN":
            for command in one.text.split(" && "):
                words = shlex.split(command)
                if words[0] == "pip":
                    installs.append(words)
                    if "-r" in words:
                        lock = words[words.index("-r") + 1]
                        assert "--require-hashes" in words
                        assert lock in copied
                        assert "--hash=sha256:" in (ROOT / lock).read_text(encoding="utf-8")
                    else:
                        assert "--no-deps" in words
                        assert "--no-build-isolation" in words or words[-1].endswith(".whl")
    assert [words[words.index("-r") + 1] for words in installs if "-r" in words] == [
        "requirements-build.txt",
        "requirements.txt",
    ]


def test_a_changed_source_file_installs_no_dependency_again() -> None:
    """The sources are copied after the dependencies are installed."""
    order = [f"{one.name} {one.text}" for one in instructions()]
    installed = next(at for at, line in enumerate(order) if "requirements.txt" in line and "RUN" in line)
    assert order.index("COPY src ./src") > installed


def test_the_image_runs_vigie_as_nobody_in_particular() -> None:
    """The command is vigie's, the user a number other than root's, the health checks are the compose file's."""
    assert of("ENTRYPOINT") == ['["vigie"]']
    (user,) = of("USER")
    assert [int(part) > 0 for part in user.split(":")] == [True, True]
    made = next(text for text in of("RUN") if "useradd" in text)
    assert f"--uid {user.split(':')[0]} " in made
    assert f"--gid {user.split(':')[1]} " in made
    assert of("HEALTHCHECK") == []


def test_the_image_says_where_things_are() -> None:
    """Its variables are settings; its folders are the compose file's and belong to its user."""
    environment = image_environment()
    assert environment.keys() <= variable_names() | OF_PYTHON
    for name, service in services().items():
        if "build" in service:
            given = service["environment"]
            for variable in environment.keys() & given.keys():
                assert given[variable] == environment[variable], f"{variable} of {name}"
    made = next(text for text in of("RUN") if "install --directory" in text)
    assert f"--owner=vigie --group=vigie {environment['VIGIE_HOME']}" in made
    folders = {target for _, target in copied_from_context()}
    assert "./model" in folders
    assert environment["MODEL_PATH"] == "/app/model/lung_cancer"


def test_the_training_of_the_build_makes_a_package_that_serves(tmp_path: Path) -> None:
    """The build's own command, on a copy of what it copies, writes a package that answers its golden rows."""
    for source, target in copied_from_context():
        if target in {"./model", "./kibana"}:
            for path in (ROOT / source).rglob("*"):
                relative = path.relative_to(ROOT)
                if path.is_file() and in_context(str(relative)):
                    (tmp_path / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, tmp_path / relative)
    (command,) = [text for text in of("RUN") if text.startswith("vigie ")]
    package = tmp_path / Path(image_environment()["MODEL_PATH"]).relative_to("/app")
    subprocess.run(
        [sys.executable, "-m", "vigie.cli", *command.split()[1:]],
        cwd=tmp_path,
        env={**os.environ, "MODEL_PATH": str(package)},
        check=True,
        timeout=120,
    )
    assert load_model(package).golden_ok()


def test_every_service_command_is_one_of_vigie(tmp_path: Path) -> None:
    """The words after the entry point are a command that exists."""
    for name, service in services().items():
        if "build" in service:
            container = Container(name, tmp_path / name, {})
            ran = subprocess.run(
                [sys.executable, "-m", "vigie.cli", *service["command"], "--help"],
                env=container.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
