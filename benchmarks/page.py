"""docs/performance.md: the prose of `performance.md`, with what the benchmarks printed last.

A line `{{name}}` of the prose stands for the result of that name: command, machine, picture and table.
`{{tried}}` stands for the table of `tried.yaml`. What no line asks for comes at the end.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from benchmarks.pictures import draw, first_line

HERE: Final = Path(__file__).parent
PICTURES: Final = HERE.parent / "docs" / "performance"
_PLACE: Final = re.compile(r"^\{\{(\w+)\}\}\n", re.MULTILINE)


def performance_page(folder: Path = HERE) -> str:
    """Return the page."""
    results = kept_results(folder / "results")
    prose = (folder / "performance.md").read_text(encoding="utf-8")
    asked = _PLACE.findall(prose)

    def shown(place: re.Match[str]) -> str:
        name = place[1]
        if name == "tried":
            return tried(folder / "tried.yaml")
        return section(name, results[name]) if name in results else f"`{name}` has not been kept yet.\n"

    parts = [_PLACE.sub(shown, prose)]
    for name, kept in results.items():
        if name not in asked:
            parts.append(f"\n## {title(folder / (kept['script'] + '.py'))}\n\n{section(name, kept)}")
    return "".join(parts)


def kept_results(folder: Path) -> dict[str, Any]:
    """Return what `record.py` kept, by name; other files of the folder are somebody else's."""
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))
    }
    return {name: {"script": name, **kept} for name, kept in found.items() if "table" in kept}


def section(name: str, kept: Mapping[str, Any]) -> str:
    """Return command, picture and table of a result."""
    lines = [f"`{kept['command']}` on {kept['machine']}, {kept['day']}:", ""]
    bars = kept["result"].get("bars")
    if bars is not None:
        lines += [f"![{bars['title']}](performance/{name}.svg)", ""]
    lines += kept["table"]
    if "remark" in kept:  # put there by hand: what a reader of the figures has to know
        lines += ["", kept["remark"]]
    return "".join(f"{line}\n" for line in lines)


def title(script: Path) -> str:
    """Return the first line of a benchmark's docstring, without its command."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(": `")[0].rstrip(".")


def tried(path: Path) -> str:
    """Return the table of what was tried and did not help."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = ["| tried | for | what came of it |", "|---|---|---|"]
    lines += [f"| {row['what']} | {row['hope']} | {row['found']} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def stale_pictures(folder: Path = HERE, pictures: Path = PICTURES) -> dict[Path, Mapping[str, Any]]:
    """Return the figures of each picture that was drawn from others or not at all, by its file."""
    shown = {
        pictures / f"{name}.svg": kept["result"]["bars"]
        for name, kept in kept_results(folder / "results").items()
        if "bars" in kept["result"]
    }
    return {path: bars for path, bars in shown.items() if not _is_fresh(path, first_line(bars))}


def _is_fresh(path: Path, line: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").startswith(line)


def draw_pictures() -> list[Path]:
    """Draw each picture that is stale, and return their files."""
    stale = stale_pictures()
    for path, bars in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(bars), encoding="utf-8")
    return [*stale]
