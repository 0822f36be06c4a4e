"""Fails when coverage.xml shows less than 95 % of the lines of src/, or 80 % of any file, as run."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

WHOLE = 0.95
EACH = 0.80


def faults(report: Path) -> list[str]:
    """Return what is below the floor, one sentence each."""
    root = ElementTree.parse(report).getroot()
    found = [
        f"{one.get('filename')}: {rate:.1%} of its lines ran, below {EACH:.0%}"
        for one in root.iter("class")
        if (rate := float(one.get("line-rate", "0"))) < EACH
    ]
    whole = float(root.get("line-rate", "0"))
    if whole < WHOLE:
        found.append(f"src/: {whole:.1%} of the lines ran, below {WHOLE:.0%}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(faults(Path(sys.argv[1]))) or 0)
