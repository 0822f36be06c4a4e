"""Runs a benchmark and keeps what it printed: `python benchmarks/record.py serving --rounds 5`.

The result goes to `benchmarks/results/<name>.json`; `make reference` writes docs/performance.md from it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"


def main() -> int:
    """Run the benchmark that the first argument names with the others; keep JSON and table if it succeeds."""
    name, *arguments = sys.argv[1:]
    command = ["benchmarks/" + name + ".py", *arguments]
    done = subprocess.run(
        [sys.executable, *command], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    if done.returncode:
        return done.returncode
    result, end = json.JSONDecoder().raw_decode(done.stdout)
    kept = {
        "command": " ".join(["python", *command]),
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "table": done.stdout[end:].strip().splitlines(),
        "result": result,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
