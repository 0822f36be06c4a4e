"""Index settings: which are accepted, and how they are shown.

The accepted ones either change nothing that this store does (shards, replicas, refresh) or are honoured
(`max_result_window`); any other is refused.
"""

from __future__ import annotations

from vigie.store.errors import JsonObject, illegal_argument

DEFAULT_RESULT_WINDOW = 10_000
_KNOWN = frozenset(
    {
        "number_of_shards",
        "number_of_replicas",
        "auto_expand_replicas",
        "refresh_interval",
        "codec",
        "hidden",
        "max_result_window",
        "mapping.total_fields.limit",
        "mapping.depth.limit",
        "translog.durability",
    }
)


def flat_settings(source: JsonObject) -> dict[str, str]:
    """Return settings, nested or dotted, with or without `index.`, as dotted names and texts.

    Raises illegal_argument_exception for a setting that is not known.
    """
    result: dict[str, str] = {}
    _flatten(source, "", result)
    for name in result:
        if name not in _KNOWN:
            raise illegal_argument(
                f"unknown setting [index.{name}] please check that any required plugins are installed, or "
                "check the breaking changes documentation for removed settings"
            )
    return result


def nested_settings(flat: dict[str, str]) -> JsonObject:
    """Return dotted settings as nested objects."""
    result: JsonObject = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return result


def result_window(flat: JsonObject) -> int:
    """Return how many hits, from the first, a search of the index may reach."""
    return int(flat.get("max_result_window", DEFAULT_RESULT_WINDOW))


def _flatten(source: JsonObject, prefix: str, result: dict[str, str]) -> None:
    for name, value in source.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict):
            _flatten(value, f"{full}.", result)
        elif value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            result[full.removeprefix("index.")] = text
