"""What a request to the store asks for, as an endpoint and the kinds of everything in it.

`POST /ml-api-logs/_search` with a term query becomes the endpoint ``POST /{name}/_search`` and the
kinds ``query.term``, ``size`` …: fine enough to tell whether the contract has a test for it, coarse
enough to be a list that people read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

NESTED_QUERIES = ("bool", "constant_score", "nested")
NAMED_BY_THE_USER = ("aliases", "_meta")
"""Parts of a body whose keys are names of ours, not of the REST interface."""


def signature(method: str, target: str, body: bytes) -> tuple[str, set[str]]:
    """Return endpoint and kinds of a request; `target` is path and query string."""
    path, _, parameters = target.partition("?")
    segments = [unquote(part) for part in urlsplit(path).path.split("/") if part]
    names = [part for part in segments if not part.startswith("_")]
    shown = [part if part.startswith("_") else "{name}" for part in segments]
    kinds = {f"?{name}" for name, _ in parse_qsl(parameters, keep_blank_values=True)}
    kinds |= {"path.wildcard" for name in names if "*" in name}
    kinds |= {"path.list" for name in names if "," in name}
    kinds.update(_body_kinds(shown, body))
    return f"{method} /{'/'.join(shown)}", kinds


def _body_kinds(segments: list[str], body: bytes) -> Iterator[str]:
    if not body:
        return
    if segments and segments[-1] == "_bulk":
        yield from _bulk_kinds(body)
        return
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        yield "malformed"
        return
    if isinstance(content, dict):
        if "_settings" in segments:
            yield from _setting_names(content)
        elif {"_doc", "_create"} & set(segments):
            yield "document"
        else:
            yield from _keys(content)


def _bulk_kinds(body: bytes) -> Iterator[str]:
    lines = iter(body.splitlines())
    for line in lines:
        try:
            ((action, about),) = orjson.loads(line).items()
        except (ValueError, AttributeError):
            yield "malformed"
            return
        yield action
        yield from (f"{action}.{name}" for name in about or ())
        if action != "delete":
            next(lines, None)


def _keys(content: Mapping[str, Any]) -> Iterator[str]:
    for name, value in content.items():
        match name:
            case "query" | "filter" | "post_filter" if isinstance(value, dict):
                yield from _query(value)
            case "aggs" | "aggregations" if isinstance(value, dict):
                yield from _aggregations(value)
            case "sort":
                yield from _sort(value)
            case "mappings" | "properties" if isinstance(value, dict):
                mapping = value if name == "mappings" else {"properties": value}
                yield from _mapping(mapping)
            case "settings" if isinstance(value, dict):
                yield from _setting_names(value)
            case "template" if isinstance(value, dict):
                yield "template"
                yield from _keys(value)
            case "actions" if isinstance(value, list):
                yield from (f"action.{kind}" for action in value for kind in action)
            case _:
                yield name


def _query(clause: Mapping[str, Any]) -> Iterator[str]:
    for kind, about in clause.items():
        if kind in NESTED_QUERIES and isinstance(about, dict):
            for occurrence, inner in about.items():
                yield f"query.{kind}.{occurrence}"
                for one in inner if isinstance(inner, list) else [inner]:
                    if isinstance(one, dict):
                        yield from _query(one)
        elif kind == "range" and isinstance(about, dict):
            yield from (f"query.range.{option}" for options in about.values() for option in options)
        elif isinstance(about, dict) and kind in {"query_string", "simple_query_string", "multi_match"}:
            yield from (f"query.{kind}.{option}" for option in about)
        else:
            yield f"query.{kind}"


def _aggregations(aggregations: Mapping[str, Any]) -> Iterator[str]:
    for one in aggregations.values():
        for kind, about in one.items():
            if kind in {"aggs", "aggregations"}:
                yield "agg.inside"
                yield from _aggregations(about)
                continue
            yield f"agg.{kind}"
            if kind == "filter":
                yield from _query(about)
            elif kind == "filters" and isinstance(about.get("filters"), dict):
                for query in about["filters"].values():
                    yield from _query(query)
            elif isinstance(about, dict):
                yield from (f"agg.{kind}.{option}" for option in about)


def _sort(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            for about in one.values():
                yield "sort"
                if isinstance(about, dict):
                    yield from (f"sort.{option}" for option in about if option != "order")
        else:
            yield "sort"


def _mapping(mapping: Mapping[str, Any]) -> Iterator[str]:
    for name, value in mapping.items():
        if name in {"properties", "fields"}:
            yield f"mapping.{name}"
            for field in value.values():
                if "type" in field:
                    yield f"mapping.type.{field['type']}"
                yield from _mapping({key: part for key, part in field.items() if key != "type"})
        else:
            yield f"mapping.{name}"


def _setting_names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _setting_names(value, f"{full}.")
        else:
            yield f"settings.{full.removeprefix('index.')}"
