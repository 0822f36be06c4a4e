"""Which part of a document's source a hit shows."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from vigie.store.catalog import matches
from vigie.store.errors import JsonObject, illegal_argument, require_keys

_KEYS = frozenset({"includes", "excludes", "include", "exclude"})


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """Include and exclude patterns over dotted paths; without any, the source is shown as it was sent."""

    shown: bool = True
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, given: object) -> SourceFilter:
        """Return the filter of a `_source` parameter: boolean, pattern, list, or includes and excludes."""
        if given is None or isinstance(given, bool):
            return cls(given is not False)
        if isinstance(given, dict):
            require_keys("_source", given, _KEYS)
            includes = given.get("includes", given.get("include"))
            return cls(True, _patterns(includes), _patterns(given.get("excludes", given.get("exclude"))))
        return cls(True, _patterns(given))

    def applied(self, source: bytes) -> orjson.Fragment | JsonObject | None:
        """Return what is shown of a source, None for nothing."""
        if not self.shown:
            return None
        if not self.includes and not self.excludes:
            return orjson.Fragment(source)
        document: JsonObject = orjson.loads(source)
        return self._filtered(document, "", inside=not self.includes)

    def _filtered(self, node: JsonObject, prefix: str, *, inside: bool) -> JsonObject:
        result: JsonObject = {}
        for name, value in node.items():
            path = f"{prefix}{name}"
            if any(matches(pattern, path) for pattern in self.excludes):
                continue
            included = inside or any(matches(pattern, path) for pattern in self.includes)
            kept = self._filtered_value(value, path, inside=included)
            if included or kept not in ({}, [], None):
                result[name] = kept
        return result

    def _filtered_value(self, value: object, path: str, *, inside: bool) -> object:
        if isinstance(value, dict):
            return self._filtered(value, f"{path}.", inside=inside)
        if isinstance(value, list):
            parts = [self._filtered_value(part, path, inside=inside) for part in value]
            return parts if inside else [part for part in parts if part not in ({}, [], None)]
        return value if inside else None


def _patterns(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        return tuple(given)
    raise illegal_argument(f"[_source] must be a boolean, a name, a list or an object, not [{given}]")
