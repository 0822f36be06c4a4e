"""Runs a benchmark and keeps what it printed: `python benchmarks/record.py serving --rounds 5`.

The result goes to `benchmarks/results/<name>.json`, with `--as NAME` before the benchmark's own arguments
under that name; `make reference` writes docs/performance.md from it. `make bench` does so with all of them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"


@dataclass(frozen=True, slots=True)
class Printed:
    """What a benchmark printed: JSON, then a table for people."""

    command: str
    status: int
    result: dict[str, Any]
    table: list[str]


def run(script: str, arguments: Sequence[str]) -> Printed:
    """Run `benchmarks/<script>.py` to its end. Raises ValueError when it did not print a result."""
    command = [f"benchmarks/{script}.py", *arguments]
    done = subprocess.run(
        [sys.executable, *command], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=False
    )
    shown = " ".join(["python", *command])
    try:
        result, end = json.JSONDecoder().raw_decode(done.stdout)
    except json.JSONDecodeError:
        raise ValueError(f"`{shown}` ended with status {done.returncode} and no result") from None
    return Printed(shown, done.returncode, result, done.stdout[end:].strip().splitlines())


def keep(name: str, script: str, printed: Printed, folder: Path = RESULTS) -> None:
    """Write what was printed to `folder`/`name`.json."""
    kept = {
        "script": script,
        "command": printed.command,
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "table": printed.table,
        "result": printed.result,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(
        json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def main() -> int:
    """Run the benchmark that the arguments name; keep what it printed if it succeeds."""
    words = sys.argv[1:]
    name = words[1] if words[0] == "--as" else words[0]
    script, *arguments = words[2:] if words[0] == "--as" else words
    try:
        printed = run(script, arguments)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("\n".join(printed.table) + "\n")
    if printed.status:
        sys.stderr.write(f"{printed.command} failed with status {printed.status}: nothing kept\n")
    else:
        keep(name, script, printed)
    return printed.status


if __name__ == "__main__":
    sys.exit(main())
