"""Writes `.env.example` and docs/reference/ from the code (`make reference`); a test holds them fresh."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from vigie.settings import Concern, concerns

ROOT = Path(__file__).parents[1]
HEADER = "<!-- Written by `make reference` from the code: change the code, not this page. -->\n\n"
COMMENTED = {"REDIS_HOST", "ES_HOST"}
"""Settings that change what is started when they are given at all."""


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    names = list(columns)
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def default_of(field: FieldInfo) -> str:
    """Return a setting's default as it is written in a `.env` file."""
    match field.default:
        case None | SecretStr():
            return ""
        case bool() as flag:
            return str(flag).lower()
        case tuple() as parts:
            return ",".join(parts)
        case float() as number:
            return f"{number:g}"
        case other:
            return str(other)


def settings_of(concern: type[Concern]) -> Iterable[tuple[str, str, str]]:
    """Yield name, default and description of each setting."""
    for name, field in concern.model_fields.items():
        yield name.upper(), default_of(field), field.description or ""


def env_example() -> str:
    """Return `.env.example`."""
    parts = ["# Copy to .env and change what you need; the environment goes before this file.\n"]
    for concern in concerns().values():
        parts.append(f"\n# --- {concern.__doc__} ---\n")
        for name, default, description in settings_of(concern):
            comment = "# " if name in COMMENTED or not default else ""
            parts.append(f"# {description}\n{comment}{name}={default}\n")
    return "".join(parts)


def settings_page() -> str:
    """Return the page of the settings."""
    parts = [
        "# Settings\n\n",
        "Environment variables, or lines of a `.env` file in the working directory; the environment goes "
        "first. An unknown name in `.env`, a near miss of one of these names in the environment, and a "
        "malformed value are errors at start.\n",
    ]
    for concern in concerns().values():
        parts.append(f"\n## {concern.__doc__}\n\n")
        rows = [
            (f"`{name}`", f"`{default}`" if default else "unset", text)
            for name, default, text in settings_of(concern)
        ]
        parts.append(table(("variable", "default", "what"), rows))
    return "".join(parts)


def make_targets_page() -> str:
    """Return the page of the make targets."""
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return "# Make targets\n\n" + table(
        ("target", "what"), [(f"`make {name}`", what) for name, what in found]
    )


PAGES: Mapping[str, Callable[[], str]] = {
    ".env.example": env_example,
    "docs/reference/settings.md": settings_page,
    "docs/reference/make-targets.md": make_targets_page,
}


def contents() -> dict[Path, str]:
    """Return every generated file with what it should hold."""
    return {ROOT / name: (HEADER if name.endswith(".md") else "") + page() for name, page in PAGES.items()}


def main() -> None:
    """Write what changed."""
    for path, content in contents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
