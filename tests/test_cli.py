"""The `vigie` command: errors for people are one line, and each subcommand is described."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import ROOT, StoreServer, free_port
from typer.testing import CliRunner

from vigie.cli import app


def vigie(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "vigie.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_the_commands() -> None:
    """Every subcommand has a line that says what it does."""
    text = CliRunner().invoke(app, ["--help"]).output
    for name in (
        "demo",
        "api",
        "ui",
        "redis",
        "store",
        "train",
        "provision",
        "retention",
        "pipeline",
        "model",
        "verify",
        "drift",
        "quality",
        "history",
        "trace",
        "logs",
        "clear-logs",
        "health",
        "predict-test",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (
            ["health"],
            {"API_PROT": "8000"},
            "API_PROT in the environment is not a setting: did you mean API_PORT?",
        ),
        (["api"], {"API_PORT": "eighty"}, "API_PORT='eighty' is malformed"),
        (["api"], {"MODEL_PATH": "model/none"}, "model/none: no such folder"),
        (["api"], {"MODEL_PATH": "old_model.pkl"}, "a pickle is not served"),
        (["api"], {"VIGIE_HOME": "/proc/none"}, "VIGIE_HOME=/proc/none cannot be made"),
        (["demo"], {"VIGIE_HOME": "/proc/none"}, "VIGIE_HOME=/proc/none cannot be made"),
        (["demo"], {"MODEL": "docs"}, "docs/schema.yaml: cannot be read"),
    ],
)
def test_an_error_for_people_is_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    """No traceback: what is wrong, where, and what to do, on standard error."""
    ports = {name: str(free_port()) for name in ("API_PORT", "ES_PORT", "REDIS_PORT", "GRADIO_PORT")}
    ran = vigie(*arguments, **{**ports, "VIGIE_HOME": str(tmp_path), **environment})
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_an_unknown_name_in_the_dotenv_file_stops_every_command(tmp_path: Path) -> None:
    """A typo in `.env` is found before anything is done."""
    (tmp_path / ".env").write_text("REDIS_HOTS=cache\n")
    ran = vigie("health", cwd=tmp_path)
    assert ran.returncode == 2
    assert "REDIS_HOTS in .env is not a setting: did you mean REDIS_HOST?" in ran.stderr


def test_a_store_directory_in_use_is_one_line(tmp_path: Path) -> None:
    """A second store on one folder says who has it and what to do, and the demo passes that line on."""
    home = tmp_path / "home"
    store = StoreServer.start(home / "store")
    try:
        ports = {name: str(free_port()) for name in ("API_PORT", "ES_PORT", "REDIS_PORT", "GRADIO_PORT")}
        for command in ("store", "demo"):
            ran = vigie(
                command, **ports, VIGIE_HOME=str(home), MODEL_PATH=str(ROOT / "model" / "lung_cancer")
            )
            assert ran.returncode == 2, ran.stderr
            assert f"is in use by process {store.process.pid}" in ran.stderr
            assert "set VIGIE_HOME" in ran.stderr
            assert len(ran.stderr.strip().splitlines()) == 1
    finally:
        store.stop()


def test_a_store_port_in_use_is_one_line(tmp_path: Path) -> None:
    """The message names the port and the variable."""
    store = StoreServer.start(tmp_path / "store")
    try:
        ran = vigie("store", ES_PORT=str(store.port), VIGIE_HOME=str(tmp_path / "other"))
        assert ran.returncode == 2
        assert f"port {store.port}" in ran.stderr
        assert "ES_PORT" in ran.stderr
    finally:
        store.stop()
