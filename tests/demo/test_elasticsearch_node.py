"""Building and starting a real Elasticsearch, with stand-ins for Java and Maven."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.servers import free_port

from vigie.demo import elasticsearch_node as module
from vigie.demo.elasticsearch_node import (
    ElasticsearchMissingError,
    ElasticsearchNode,
    Tools,
    build,
    find_tools,
)

MAVEN = '#!/bin/sh\necho "$JAVA_HOME" >> "$(dirname "$4")/built"\nmkdir -p "$(dirname "$4")/target/lib"\n'
BROKEN_MAVEN = '#!/bin/sh\necho "Downloading"\necho "[ERROR] Could not resolve org.elasticsearch"\nexit 1\n'


def program(path: Path, text: str) -> Path:
    """Write an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def jdk(home: Path, version: str, compiler: bool = True) -> Path:
    """Make something that says it is Java `version`."""
    program(home / "bin" / "java", f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    if compiler:
        program(home / "bin" / "javac", "#!/bin/sh\n")
    return home


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java and Maven; its PATH is the folder `bin`, its JDKs are in `jvm`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "jvm").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(module, "JDK_FOLDERS", (tmp_path / "jvm", tmp_path / "none"))
    return tmp_path


def test_everything_that_is_missing_is_named(machine: Path) -> None:
    """One line says what lacks: both, or the one."""
    with pytest.raises(ElasticsearchMissingError, match=r"lacks a JDK 17 and Maven \(mvn\).*ES_HOST"):
        find_tools()
    program(machine / "bin" / "mvn", MAVEN)
    with pytest.raises(ElasticsearchMissingError, match=r"lacks a JDK 17 \("):
        find_tools()


def test_a_jdk_is_one_of_version_17_with_a_compiler(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME goes first, then the PATH, then the usual folders; other versions and a JRE are passed over."""
    maven = program(machine / "bin" / "mvn", MAVEN)
    jdk(machine / "jvm" / "a-25", "25.0.1")
    jdk(machine / "jvm" / "b-17-jre", "17.0.15", compiler=False)
    program(machine / "jvm" / "c-broken" / "bin" / "java", "no program")
    program(machine / "jvm" / "c-broken" / "bin" / "javac", "no program")
    usual = jdk(machine / "jvm" / "d-17", "17.0.15")
    assert find_tools() == Tools(usual, maven)
    on_path = jdk(machine / "opt" / "java-17", "17.0.1")
    (machine / "bin" / "java").symlink_to(on_path / "bin" / "java")
    assert find_tools().java_home == on_path
    named = jdk(machine / "named", "17")
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert find_tools().java == named / "bin" / "java"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A node's sources."""
    folder = tmp_path / "elasticsearch-node"
    (folder / "src").mkdir(parents=True)
    (folder / "pom.xml").write_text("<project/>")
    (folder / "src" / "Node.java").write_text("class Node {}")
    return folder


def tools(folder: Path, maven: str) -> Tools:
    """Return tools whose Maven is the script `maven`."""
    return Tools(folder / "jdk", program(folder / "mvn", maven))


def test_it_is_built_again_only_when_a_source_changed(tmp_path: Path, sources: Path) -> None:
    """Maven runs on the first start and after a change, with our JDK, on an empty target folder."""
    said: list[str] = []
    ours = tools(tmp_path, MAVEN)
    assert build(ours, said.append, sources) == sources / "target"
    build(ours, said.append, sources)
    assert (sources / "built").read_text().splitlines() == [str(tmp_path / "jdk")]
    (sources / "target" / "lib" / "of-another-version.jar").touch()
    (sources / "src" / "Node.java").write_text("class Node { }")
    build(ours, said.append, sources)
    assert len((sources / "built").read_text().splitlines()) == len(said) == 2
    assert list((sources / "target" / "lib").iterdir()) == []


def test_a_failed_build_says_what_maven_said(tmp_path: Path, sources: Path) -> None:
    """The first error of Maven is the message, and the next start tries again."""
    for _ in range(2):
        with pytest.raises(ElasticsearchMissingError, match=r"Could not resolve org\.elasticsearch"):
            build(tools(tmp_path, BROKEN_MAVEN), lambda _: None, sources)


def test_an_installed_package_has_no_sources(tmp_path: Path) -> None:
    """Outside a checkout the message says what to do."""
    with pytest.raises(ElasticsearchMissingError, match=r"belongs to the repository.*ES_HOST"):
        build(tools(tmp_path, MAVEN), lambda _: None, tmp_path / "none")


def test_the_command_line_of_a_node(machine: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node listens on loopback at its port, keeps its data under its folder, and takes further settings."""
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:/usr/bin:/bin")
    program(machine / "bin" / "mvn", MAVEN)
    home = jdk(machine / "jvm" / "17", "17.0.15")
    monkeypatch.setattr(module.build, "__defaults__", (sources,))
    monkeypatch.setenv("JAVA_HOME", str(home))
    node = ElasticsearchNode.prepare(machine / "data", 9321, lambda _: None)
    command = node.command()
    assert command[0] == str(home / "bin" / "java")
    assert {"network.host=127.0.0.1", "http.port=9321", f"path.data={machine / 'data' / 'data'}"} <= set(
        command
    )
    assert f"{sources / 'target'}/elasticsearch-node.jar:{sources / 'target'}/lib/*" in command
    assert (machine / "data" / "config").is_dir()
    narrow = ElasticsearchNode(node.tools, node.built, node.directory, 9321, {"http.port": "9322"})
    assert "http.port=9322" in narrow.command()
    assert "http.port=9321" not in narrow.command()


@pytest.fixture
def health() -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """A server that answers with what is put into the list."""
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1], answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_node_is_ready_when_its_primaries_are_there(
    tmp_path: Path, health: tuple[int, list[tuple[int, bytes]]]
) -> None:
    """Yellow and green are ready; red, a time-out, an error and silence are not."""
    port, answers = health
    node = ElasticsearchNode(Tools(tmp_path, tmp_path), tmp_path, tmp_path, port)
    for status, body, ready in (
        (200, b'{"status": "yellow"}', True),
        (200, b'{"status": "green"}', True),
        (200, b'{"status": "red"}', False),
        (408, b'{"status": "red", "timed_out": true}', False),
        (503, b"{}", False),
    ):
        answers.append((status, body))
        assert node.ready() is ready
    silent = ElasticsearchNode(Tools(tmp_path, tmp_path), tmp_path, tmp_path, free_port())
    assert silent.ready() is False
