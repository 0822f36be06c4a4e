"""`python -m vigie.store --data DIR --host 127.0.0.1 --port N`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vigie.store.errors import NotLoopbackError, PortInUseError, StoreLockedError
from vigie.store.main import serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; return 2 with one line on stderr when the store cannot start."""
    parser = argparse.ArgumentParser(prog="python -m vigie.store", description="The embedded store of Vigie.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the directory that holds indices and templates"
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9200, help="the port (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        serve(options.data, options.host, options.port)
    except (StoreLockedError, PortInUseError, NotLoopbackError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
