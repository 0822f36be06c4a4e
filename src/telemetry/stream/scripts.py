"""The Lua scripts that run inside Redis, each in a file beside the module that calls it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import redis

_HERE: Final = Path(__file__).parent


def script(client: redis.Redis, name: str, folder: Path = _HERE) -> Any:
    """Return the function that runs `<name>.lua` of `folder`, called with keys=[…] and args=[…].

    Redis is asked for nothing yet. Raises OSError for a file that is not there.
    """
    return client.register_script(_source(folder / f"{name}.lua"))


@cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")
