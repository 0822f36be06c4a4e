"""Dockerfile and compose file as the tests read them, and their commands as processes without a container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from tests.servers import ROOT

COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}")
OURS = ("api", "ui", "pipeline", "provision")
WRITTEN = "written.log"
SITECUSTOMIZE = '''
"""Writes down each file that this process opens for writing, and each folder it makes."""
import os, sys

log = os.open(os.environ["WRITTEN_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, (str, bytes)) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event == "os.mkdir":
        path = arguments[0]
    else:
        return
    os.write(log, os.path.abspath(os.fsdecode(path)).encode() + b"\\n")

sys.addaudithook(note)
'''


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, in the stage of its number."""

    stage: int
    name: str
    text: str


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the compose file with the variables of `environment` (default: none) put in."""
    given = environment or {}
    content: dict[str, Any] = _put_in(yaml.safe_load(COMPOSE_TEXT), given)
    return content


def _put_in(content: Any, given: Mapping[str, str]) -> Any:
    """Replace the variables in the values, after the file is parsed, as compose does."""
    match content:
        case str():
            return VARIABLE.sub(lambda found: given.get(found["name"]) or found["default"], content)
        case list():
            return [_put_in(one, given) for one in content]
        case dict():
            return {name: _put_in(one, given) for name, one in content.items()}
        case _:
            return content


def services(environment: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the services of the compose file by name."""
    found: dict[str, dict[str, Any]] = compose(environment)["services"]
    return found


def instructions() -> list[Instruction]:
    """Return the Dockerfile's instructions, with their ARGs put in."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Instruction] = []
    arguments: dict[str, str] = {}
    stage = -1
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "ARG":
            variable, _, value = rest.partition("=")
            arguments[variable] = value
        stage += name == "FROM"
        rest = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest)
        found.append(Instruction(stage, name, " ".join(rest.split())))
    return found


def image_environment() -> dict[str, str]:
    """Return the environment of the image that runs, but for its PATH."""
    last = max(one.stage for one in instructions())
    pairs = [
        pair.partition("=")
        for one in instructions()
        if one.name == "ENV" and one.stage == last
        for pair in one.text.split()
    ]
    return {name: value for name, _, value in pairs if name != "PATH"}


def copied_from_context() -> Iterator[tuple[str, str]]:
    """Yield each source that the Dockerfile copies from the project, and where to."""
    for one in instructions():
        if one.name == "COPY" and "--from" not in one.text:
            *sources, target = one.text.split()
            yield from ((source, target) for source in sources)


def in_context(path: str) -> bool:
    """Whether .dockerignore lets the file `path` into the build: the last line that matches decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            folders = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
            if any(_matches(str(folder), pattern) for folder in folders):
                kept = line.startswith("!")
    return kept


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatchcase(part, pattern[3:]) for part in path.split("/"))
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


@dataclass
class Container:
    """A service's command with its environment, as a process of this machine.

    `substitutes` are the addresses, ports and folders that a container would have to itself.
    """

    name: str
    folder: Path
    substitutes: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the process gets: the image's environment, the service's, the substitutes."""
        for made in (self.folder, self.folder / "tmp"):
            made.mkdir(parents=True, exist_ok=True)
        (self.folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        inherited = {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE_")}
        return {
            **inherited,
            "PATH": os.environ["PATH"],
            **image_environment(),
            **services()[self.name]["environment"],
            **self.substitutes,
            "HOME": str(self.folder / "tmp"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": str(self.folder),
            "WRITTEN_LOG": str(self.folder / WRITTEN),
        }

    @property
    def output(self) -> str:
        """What it printed."""
        return (self.folder / "output.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command."""
        environment = self.environment
        with (self.folder / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                _command(["vigie", *services()[self.name]["command"]]),
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def healthy(self) -> bool:
        """Run the service's health check."""
        assert self.process is None or self.process.poll() is None, self.output
        kind, *words = services()[self.name]["healthcheck"]["test"]
        assert kind == "CMD"
        for inside, variable in (("127.0.0.1:8000", "API_PORT"), ("127.0.0.1:7860", "GRADIO_PORT")):
            words = [word.replace(inside, f"127.0.0.1:{self.substitutes[variable]}") for word in words]
        checked = subprocess.run(
            _command(words), env=self.environment, cwd=ROOT, capture_output=True, timeout=30, check=False
        )
        return checked.returncode == 0

    def written(self) -> list[Path]:
        """Return what its processes opened for writing, coverage's own files left out."""
        lines = (self.folder / WRITTEN).read_text(encoding="utf-8").splitlines()
        return sorted({Path(line) for line in lines if ".coverage" not in line})


def _command(words: Sequence[str]) -> list[str]:
    program, *arguments = words
    ours = {"python": [], "vigie": ["-m", "vigie.cli"]}
    return [sys.executable, *ours[program], *arguments]
