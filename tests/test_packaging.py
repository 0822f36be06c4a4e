"""The wheel holds everything in src/, and nothing in the repository names a package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import ROOT

SHIPPED = {".py", ".lua", ".yaml", ".json", ".css", ".js", ".html", ".typed"}


def files_below(folder: Path) -> set[str]:
    """Return the relative paths of the package's files below `folder`."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in SHIPPED and "__pycache__" not in path.parts
    }


def test_an_installed_wheel_has_every_file_of_src(tmp_path: Path) -> None:
    """No module, script, template or panel is left out when the package is built and installed."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "kibana", source / "kibana")
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", str(tmp_path), str(source)],
        [*uv, "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "installed"), *()],
    ):
        if "install" in command:
            command.append(str(next(tmp_path.glob("*.whl"))))
        subprocess.run(command, check=True, cwd=tmp_path)
    panels = {f"kibana/{path.name}" for path in (ROOT / "kibana").glob("*.yaml")}
    assert files_below(tmp_path / "installed" / "vigie") == files_below(ROOT / "src") | panels


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-embedded.txt",
        "requirements-dev.txt",
        "requirements-build.txt",
        "tests/drift/evidently/requirements.txt",
    ],
)
def test_locks_pin_hashes_and_name_no_index(name: str) -> None:
    """Each requirement is pinned with hashes, and where it comes from is the installer's business."""
    text = (ROOT / name).read_text()
    pinned = re.findall(r"^[A-Za-z0-9][^\n]*(?:\n[ \t]+[^\n]*)*", text, re.MULTILINE)
    assert len(pinned) >= 2
    for requirement in pinned:
        assert "==" in requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links)", text, re.MULTILINE)
