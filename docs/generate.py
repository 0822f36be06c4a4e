"""Writes `.env.example`, docs/reference/, docs/dashboards.md and docs/performance.md from the code (`make reference`); a test holds them fresh."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

from annotated_doc import Doc
from benchmarks.page import draw_pictures, performance_page
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from vigie.api.documentation import fastapi_application
from vigie.api.hot import hot_endpoints
from vigie.api.roles import ENDPOINTS
from vigie.api.service import Service
from vigie.dashboards.documentation import dashboards_page
from vigie.dashboards.specification import load_specification
from vigie.indices.mappings import (
    ALERT_FIELDS,
    ALERTS,
    COMMON_FIELDS,
    DEAD,
    DEAD_FIELDS,
    OWN_FIELDS,
    FieldMapping,
)
from vigie.model.feature_engineering import LUNG_CANCER_FEATURES
from vigie.model.training import train
from vigie.schema import load_schema
from vigie.settings import Concern, concerns, load_settings
from vigie.telemetry.drift_figures import DriftFigures
from vigie.telemetry.event import (
    EventData,
    FieldError,
    FunctionCost,
    ModelIdentity,
    PerformanceMetrics,
    Result,
    Stages,
)
from vigie.telemetry.ledger_figures import LedgerFigures
from vigie.telemetry.outcome import Outcome
from vigie.telemetry.quality_figures import QualityFigures
from vigie.ui.logs_api import ROLE as LOGS_API_ROLE

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


def derived_features_page() -> str:
    """Return the page of the reference model's derived features."""
    rows = [(f"`{one.name}`", one.formula) for one in LUNG_CANCER_FEATURES]
    return (
        "# Derived features of the reference model\n\n"
        f"Computed from the {len(load_schema(ROOT / 'model' / 'lung_cancer').features)} inputs by "
        "`vigie.model.feature_engineering.derive_lung_cancer`; the model's columns are the inputs, then these.\n\n"
        + table(("column", "formula"), rows)
    )


def indices_page() -> str:
    """Return the page of the indices and their fields."""
    parts = [
        "# Indices\n\n",
        "Each name is an alias over physical indices of one UTC day of the event's own time (one month above "
        "300 days of RETENTION_DAYS), such as `ml-api-logs-2026.11.20`; ES_INDEX_PREFIX goes before it. "
        "Fields are mapped explicitly; what is marked *stored* is kept in the document and not indexed.\n\n",
        table(("index", "doc_type", "used for"), INDEX_PURPOSES),
        "\n## Fields of every document\n\n",
        table(("field", "type"), flat_fields(COMMON_FIELDS)),
    ]
    for index, fields in OWN_FIELDS.items():
        parts.append(f"\n## Further fields of {index}\n\n")
        parts.append(table(("field", "type"), flat_fields(fields)))
    parts.append(f"\n## Fields of {ALERTS}\n\n")
    parts.append(table(("field", "type"), flat_fields(ALERT_FIELDS)))
    parts.append(f"\n## Fields of {DEAD}\n\n")
    parts.append(table(("field", "type"), flat_fields(DEAD_FIELDS)))
    parts.append(
        "\n`input_data.<FEATURE>` of ml-api-message is mapped from each served model's schema: integer and binary "
        "features as `integer`, numbers as `double`, categories as `keyword`.\n"
    )
    return "".join(parts)


INDEX_PURPOSES = (
    (
        "`ml-api-logs`",
        "`request`, `prediction`, `log`, `drift`, `feedback`, `quality`: every event but the reports",
        "audit, debugging",
    ),
    (
        "`ml-api-message`",
        "`prediction` (ok and refused), `drift` (one per feature and window), `distribution` (one per part of "
        "each of them), `feedback`, `quality` (every ten minutes)",
        "data drift, model quality",
    ),
    (
        "`ml-api-perfs`",
        "`request` (one per answered prediction), `function` (one per top function), `service` (every 30 s per "
        "process of API, front end and pipeline)",
        "optimisation, operations",
    ),
    (
        "`ml-api-dead`",
        "`dead`",
        "[dead letters](../operations/dead-letters.md): a copy of what waits in Redis, and what became of it; one "
        "index of each month",
    ),
    ("`ml-api-alerts`", "", "alerts, written by Kibana's rules; one index without a date"),
)


def flat_fields(fields: Mapping[str, FieldMapping], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted name and type of each field."""
    for name, mapping in fields.items():
        if "properties" in mapping:
            yield from flat_fields(mapping["properties"], f"{prefix}{name}.")
        else:
            stored = mapping.get("enabled") is False or mapping.get("index") is False
            kind = "stored" if stored else f"`{mapping['type']}`"
            yield f"`{prefix}{name}`", kind


UI_ENDPOINTS = (
    (
        "GET `/logs_api`",
        LOGS_API_ROLE,
        "Entries of the stream in pages: `after`, `limit`, `consumer` → logs, next, oldest",
    ),
    (
        "GET `/reports/drift`, `/reports/quality`",
        LOGS_API_ROLE,
        "A report as an HTML file, on `window=`: recorded, 500, 2000, 1h, 24h, 7d",
    ),
    ("GET `/health`", "open", "The process is up, and whether it reaches the API"),
)


def endpoints_page() -> str:
    """Return the page of the endpoints."""
    operations = openapi_document()["paths"]
    rows = [
        (
            f"{method} `{path}`",
            role.value,
            operations.get(path, {}).get(method.lower(), {}).get("summary", "documentation"),
        )
        for (method, path), role in ENDPOINTS.items()
    ]
    return (
        "# Endpoints\n\n"
        "The API describes itself in full at `/docs`, `/redoc` and `/openapi.json`. Every response carries "
        "`X-Transaction-Id` and `Server-Timing`; errors are problem documents (RFC 9457) with the transaction id "
        "and `errors[{field, reason}]`. While AUTH_ENABLED is off every role is granted.\n\n"
        + table(("endpoint", "role", "what"), rows)
        + "\nThe front end answers these beside its pages:\n\n"
        + table(("endpoint", "role", "what"), UI_ENDPOINTS)
    )


@cache
def openapi_document() -> dict[str, Any]:
    """Return the API's own description, with the reference model behind it."""
    with TemporaryDirectory() as folder:
        train(ROOT / "model" / "lung_cancer", Path(folder))
        service = Service(load_settings({"MODEL_PATH": folder, "VIGIE_HOME": folder}, None))
        return fastapi_application(service, hot_endpoints(service)).openapi()


EVENT_PARTS: Mapping[str, type] = {
    "data": EventData,
    "data.model": ModelIdentity,
    "data.result": Result,
    "data.performance_metrics": PerformanceMetrics,
    "data.performance_metrics.top_functions[]": FunctionCost,
    "data.stages": Stages,
    "data.errors[]": FieldError,
    "data.ledger": LedgerFigures,
    "data.drift": DriftFigures,
    "data.quality": QualityFigures,
    "data.outcome": Outcome,
}


def event_page() -> str:
    """Return the page of the event."""
    parts = [
        "# The event\n\n",
        "A single JSON object in the Redis stream `api_logs`: `timestamp` (UTC, microseconds), `level`, `message` "
        "(`[<transaction_id>] POST /predict - 200 - 45ms - <input> - <result>`) and `data`. A key that does not "
        "apply is absent.\n",
    ]
    for heading, part in EVENT_PARTS.items():
        parts.append(f"\n## {heading}\n\n{(part.__doc__ or '').strip()}\n\n")
        hints = get_type_hints(part, include_extras=True)
        parts.append(
            table(("key", "what"), [(f"`{name}`", documentation_of(hint)) for name, hint in hints.items()])
        )
    return "".join(parts)


def documentation_of(hint: object) -> str:
    """Return the text of the Doc that annotates a key."""
    (text,) = [part.documentation for part in getattr(hint, "__metadata__", ()) if isinstance(part, Doc)]
    return str(text)


def reference_dashboards_page() -> str:
    """Return the page of the dashboards, for the reference model."""
    schema = load_schema(ROOT / "model" / "lung_cancer")
    return dashboards_page(load_specification(ROOT / "kibana" / "panels.yaml", schema))


DRIFT_TABLE = "<!-- table: written by `make reference` from benchmarks/results/drift.json -->\n"
END_OF_TABLE = "<!-- end of table -->\n"


def drift_page() -> str:
    """Return the page of drift, written by hand, with the table of the benchmark's kept result."""
    before, _, rest = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8").partition(DRIFT_TABLE)
    after = rest.partition(END_OF_TABLE)[2]
    kept = json.loads((ROOT / "benchmarks" / "results" / "drift.json").read_text(encoding="utf-8"))
    rules = list(kept["rows"][0]["named"])
    rows = [
        (row["change"], f"{row['rows']:,}", *(f"{row['named'][rule]:.1%}" for rule in rules))
        for row in kept["rows"]
    ]
    counts = sorted({row["windows"] for row in kept["rows"]}, reverse=True)
    said = (
        f"`{kept['command']}`, {kept['day']}; {counts[0]} windows without a change, {counts[-1]} with each:"
    )
    shown = table(("change", "rows", *rules), rows)
    return f"{before}{DRIFT_TABLE}\n{said}\n\n{shown}\n{END_OF_TABLE}{after}"


PAGES: Mapping[str, Callable[[], str]] = {
    ".env.example": env_example,
    "docs/dashboards.md": reference_dashboards_page,
    "docs/performance.md": performance_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/make-targets.md": make_targets_page,
    "docs/reference/derived-features.md": derived_features_page,
    "docs/reference/indices.md": indices_page,
    "docs/reference/endpoints.md": endpoints_page,
    "docs/reference/event.md": event_page,
}


def contents() -> dict[Path, str]:
    """Return every generated file with what it should hold."""
    written = {ROOT / name: (HEADER if name.endswith(".md") else "") + page() for name, page in PAGES.items()}
    return {**written, ROOT / "docs" / "drift.md": drift_page()}


def main() -> None:
    """Write what changed."""
    for path, content in contents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    for path in draw_pictures():
        sys.stdout.write(f"drew {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
