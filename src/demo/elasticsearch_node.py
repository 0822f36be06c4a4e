"""A real Elasticsearch node without Docker: built by Maven from published artefacts, run by a JDK 17.

What it is made of is in `deploy/elasticsearch-node/`; production runs the distribution instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from vigie.errors import VigieError

SOURCES: Final = Path(__file__).parents[2] / "deploy" / "elasticsearch-node"
JAVA_VERSION: Final = 17
"""The one version that runs it: newer ones do not find its native zstd, older ones not its classes."""
JDK_FOLDERS: Final = (
    Path("/usr/lib/jvm"),
    Path("/opt/java"),
    Path.home() / ".sdkman" / "candidates" / "java",
)
"""Where distributions and installers put their JDKs."""
HEAP: Final = "512m"
MAIN_CLASS: Final = "org.elasticsearch.node.EmbeddedNode"
BUILD_STAMP: Final = "sources.sha256"
PROBE_SECONDS: Final = 2.0


class ElasticsearchMissingError(VigieError):
    """No Elasticsearch can be started on this machine; the message names what is missing."""


@dataclass(frozen=True)
class Tools:
    """What builds and runs the node."""

    java_home: Path
    """A JDK 17."""
    maven: Path

    @property
    def java(self) -> Path:
        """The launcher."""
        return self.java_home / "bin" / "java"


def find_tools() -> Tools:
    """Return the JDK 17 and the Maven of this machine.

    The JDK is that of JAVA_HOME, else of the `java` on the PATH, else one in the usual folders.
    Raises ElasticsearchMissingError, naming everything that is missing.
    """
    java_home = next((home for home in _java_homes() if _is_jdk(home)), None)
    maven = shutil.which("mvn")
    missing = [] if java_home else [f"a JDK {JAVA_VERSION}"]
    missing += [] if maven else ["Maven (mvn)"]
    if java_home is None or maven is None:
        raise ElasticsearchMissingError(
            f"to start an Elasticsearch this machine lacks {' and '.join(missing)} "
            "(Debian: apt-get install openjdk-17-jdk-headless maven); or set ES_HOST to a server of yours"
        )
    return Tools(java_home, Path(maven))


def _java_homes() -> Iterator[Path]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve().parents[1]
    for folder in JDK_FOLDERS:
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def _is_jdk(home: Path) -> bool:
    """Whether `home` is a JDK of the version we need: its launcher says so, and it has a compiler."""
    launcher = home / "bin" / "java"
    if not launcher.is_file() or not (home / "bin" / "javac").is_file():
        return False
    try:
        said = subprocess.run([launcher, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(rf'version "{JAVA_VERSION}[."]', said.stderr) is not None


def build(tools: Tools, say: Callable[[str], None], sources: Path = SOURCES) -> Path:
    """Return the folder of the built node, building it when its sources have changed since.

    `say` is told when there is something to build. Raises ElasticsearchMissingError when the sources are not
    there, and with Maven's own words when the build fails.
    """
    pom = sources / "pom.xml"
    if not pom.is_file():
        raise ElasticsearchMissingError(
            f"{sources} is not there: it belongs to the repository, not to an installed package. "
            "Run from a checkout, or set ES_HOST to a server of yours"
        )
    target = sources / "target"
    stamp = target / BUILD_STAMP
    with pom.open("rb") as lock:  # one build at a time, whoever asks
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _fingerprint(sources)
        if not stamp.is_file() or stamp.read_text(encoding="ascii") != wanted:
            say("building Elasticsearch (the first time, Maven downloads some 60 MB) …")
            shutil.rmtree(target, ignore_errors=True)  # no jar of another version on the class path
            _package(tools, pom)
            stamp.write_text(wanted, encoding="ascii")
    return target


def _fingerprint(sources: Path) -> str:
    digest = hashlib.sha256()
    for path in [sources / "pom.xml", *sorted((sources / "src").rglob("*.java"))]:
        digest.update(f"{path.relative_to(sources)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _package(tools: Tools, pom: Path) -> None:
    done = subprocess.run(
        [tools.maven, "-q", "-B", "-f", pom, "package"],
        env={**os.environ, "JAVA_HOME": str(tools.java_home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        said = errors[0] if errors else done.stdout.strip()[-500:]
        raise ElasticsearchMissingError(f"Maven could not build {pom.parent}: {said}")


@dataclass(frozen=True)
class ElasticsearchNode:
    """A node on loopback that keeps everything under `directory`."""

    tools: Tools
    built: Path
    """What `build` returned."""
    directory: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    """Elasticsearch's own settings, over those that a node for one machine needs."""

    @classmethod
    def prepare(cls, directory: Path, port: int, say: Callable[[str], None]) -> ElasticsearchNode:
        """Return a node that is built and ready to be started.

        Raises ElasticsearchMissingError.
        """
        tools = find_tools()
        return cls(tools, build(tools, say), directory, port)

    @property
    def url(self) -> str:
        """Base URL of its REST interface."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> tuple[str, ...]:
        """Return its command line; the folders it names are made."""
        home = self.directory.resolve()
        for name in ("config", "data", "logs", "tmp"):
            (home / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "path.home": home,
            "path.data": home / "data",
            "path.logs": home / "logs",
            "cluster.name": "vigie",
            "node.name": "vigie",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": 0,  # nobody else joins: any free port
            # a full disk is the machine's business; a demonstration must not turn read-only at 90 %
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **self.settings,
        }
        return (
            str(self.tools.java),
            f"-Xms{HEAP}",
            f"-Xmx{HEAP}",
            "-XX:+UseSerialGC",
            # the quick compiler alone: a node of minutes would spend a third of its time on the other
            "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={home / 'tmp'}",
            "-cp",
            f"{self.built / 'elasticsearch-node.jar'}:{self.built / 'lib'}/*",
            MAIN_CLASS,
            *(f"{name}={value}" for name, value in settings.items()),
        )

    def ready(self) -> bool:
        """Whether it serves: all primary shards are there (health yellow or green)."""
        try:
            answer = httpx.get(
                f"{self.url}/_cluster/health",
                params={"wait_for_status": "yellow", "timeout": "1s"},
                timeout=PROBE_SECONDS,
                trust_env=False,
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.json()["status"] in {"yellow", "green"}
