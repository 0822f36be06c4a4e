"""Brings saved objects, the connector and the alert rules into Kibana, writing only what differs.

Kibana migrates what it imports, so its copy cannot be compared with ours. What was imported last is
therefore written down beside it, as one fingerprint per object in the description of a tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from vigie.dashboards.fields import check_fields, field_types
from vigie.dashboards.kibana import (
    CORE_LEVEL,
    DASHBOARDS_FILE,
    as_ndjson,
    object_id,
    saved_objects,
)
from vigie.dashboards.rules import AlertRules, KibanaRule, kibana_rules
from vigie.dashboards.specification import PANELS_FILE, load_specification
from vigie.indices.mappings import ALERTS, MESSAGE, index_mappings
from vigie.logs_pipeline.kibana_client import KibanaClient, KibanaError
from vigie.logs_pipeline.templates import Action, Change
from vigie.schema import FeatureSchema

Json = dict[str, Any]
PAGE: Final = 100
"""Objects asked for in one request."""
KINDS: Final[Mapping[str, str]] = {"index-pattern": "data view", "lens": "visualization"}
"""Type of a saved object → what people call it, where that differs."""
TAG_LEVEL: Final = "8.0.0"
TAG_COLOUR: Final = "#0072B2"


def objects_to_import(folder: Path, schema: FeatureSchema, prefix: str) -> list[Json]:
    """Return the saved objects for the served model and ES_INDEX_PREFIX, and those of other files.

    The dashboards come from panels.yaml, as dashboards.ndjson does for the model and prefix it was written
    for; every other *.ndjson of `folder` is taken as it is. Raises SpecificationError, or KibanaError for a
    file that is not NDJSON of saved objects.
    """
    objects: list[Json] = []
    panels = folder / PANELS_FILE
    if panels.exists():
        specification = load_specification(panels, schema)
        types = field_types(index_mappings(), schema, MESSAGE)
        check_fields(specification, types)
        objects += saved_objects(specification, types, prefix)
    for path in sorted(folder.glob("*.ndjson")):
        if path.name != DASHBOARDS_FILE or not panels.exists():
            objects += _read(path)
    return objects


def _read(path: Path) -> list[Json]:
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise KibanaError(f"{path}, line {number}: not JSON ({error})") from error
        if isinstance(one, dict) and "exportedCount" in one:  # the summary that Kibana's own exports end with
            continue
        if not isinstance(one, dict) or not {"type", "id", "attributes"} <= one.keys():
            raise KibanaError(f"{path}, line {number}: not a saved object (type, id, attributes)")
        found.append(one)
    return found


class KibanaObjects:
    """The objects of one installation (one index prefix) in one Kibana space."""

    def __init__(self, client: KibanaClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._tag_id = object_id("tag", "provision", prefix)

    def import_objects(self, objects: Sequence[Json]) -> Iterator[Change]:
        """Import what is missing or differs from the last import, and yield what was done with each.

        An object that somebody edited in Kibana meanwhile stays as it is until ours changes. Raises
        KibanaError naming each object that Kibana did not take.
        """
        tag = {"type": "tag", "id": self._tag_id}
        there = self._there([*objects, tag])
        known = _fingerprints(there.get(("tag", self._tag_id)))
        wanted = {_key(one): _fingerprint(one) for one in objects}
        actions = {key: _action(key, there, known, wanted) for key in wanted}
        changed = [one for one in objects if actions[_key(one)] != "unchanged"]
        if changed:
            self._import("objects.ndjson", changed)
        if known != {_short(key): value for key, value in wanted.items()}:
            self._import("tag.ndjson", [self._tag(wanted)])  # last: it says that the others are imported
        for one in objects:
            title = str(one["attributes"].get("title") or one["attributes"].get("name") or one["id"])
            yield Change(KINDS.get(one["type"], one["type"]), title, actions[_key(one)])

    def _there(self, objects: Sequence[Json]) -> dict[tuple[str, str], Json]:
        """Return those of `objects` that Kibana has, as it has them."""
        found: dict[tuple[str, str], Json] = {}
        for start in range(0, len(objects), PAGE):
            asked = [{"type": one["type"], "id": one["id"]} for one in objects[start : start + PAGE]]
            answer = self._client.ask("POST", "/api/saved_objects/_bulk_get", asked, missing=())
            found |= {_key(one): one for one in answer["saved_objects"] if "error" not in one}
        return found

    def _import(self, name: str, objects: Sequence[Json]) -> None:
        answer = self._client.upload("/api/saved_objects/_import?overwrite=true", name, as_ndjson(objects))
        if not answer.get("success", False):
            faults = "; ".join(_fault(error) for error in answer.get("errors", ()))
            raise KibanaError(f"Kibana at {self._client.url} did not take every object: {faults}")

    def _tag(self, fingerprints: Mapping[tuple[str, str], str]) -> Json:
        said = " ".join(f"{_short(key)}:{value}" for key, value in sorted(fingerprints.items()))
        attributes = {
            "name": f"{self._prefix}vigie",
            "description": f"Imported by `vigie provision`: {said}",
            "color": TAG_COLOUR,
        }
        return {
            "type": "tag",
            "id": self._tag_id,
            "attributes": attributes,
            "references": [],
            "migrationVersion": {"tag": TAG_LEVEL},
            "coreMigrationVersion": CORE_LEVEL,
        }

    def provision_rules(self, rules: AlertRules) -> Iterator[Change]:
        """Create the connector into ml-api-alerts and the rules, or update those that differ.

        Raises KibanaError, also when Kibana cannot keep rules for want of an encryption key.
        """
        health = self._client.ask("GET", "/api/alerting/_health", missing=())
        if health.get("has_permanent_encryption_key") is False:
            raise KibanaError(
                f"Kibana at {self._client.url} cannot keep alert rules: set "
                "xpack.encryptedSavedObjects.encryptionKey (32 characters or more) in kibana.yml"
            )
        connector_id, change = self._connector()
        yield change
        for rule in kibana_rules(rules, connector_id, self._prefix):
            yield self._rule(rule)

    def _connector(self) -> tuple[str, Change]:
        """Return the connector's id; found by its name, since Kibana before 8.8 gives ids of its own."""
        name = f"{self._prefix}vigie alerts"
        config = {"index": f"{self._prefix}{ALERTS}", "refresh": False, "executionTimeField": "@timestamp"}
        for listed in self._client.ask("GET", "/api/actions/connectors", missing=()):
            if listed["name"] == name and listed["connector_type_id"] == ".index":
                path = f"/api/actions/connector/{listed['id']}"
                if _covers(self._client.ask("GET", path, missing=())["config"], config):
                    return listed["id"], Change("connector", name, "unchanged")
                self._client.ask("PUT", path, {"name": name, "config": config, "secrets": {}}, missing=())
                return listed["id"], Change("connector", name, "updated")
        body = {"name": name, "connector_type_id": ".index", "config": config, "secrets": {}}
        made = self._client.ask("POST", "/api/actions/connector", body, missing=())
        return str(made["id"]), Change("connector", name, "created")

    def _rule(self, rule: KibanaRule) -> Change:
        path = f"/api/alerting/rule/{rule.id}"
        stored = self._client.ask("GET", path)
        if stored is None:
            self._client.ask("POST", path, {**rule.body, **rule.fixed}, missing=())
            return Change("rule", rule.name, "created")
        if _covers(stored, rule.body):
            return Change("rule", rule.name, "unchanged")
        self._client.ask("PUT", path, rule.body, missing=())
        return Change("rule", rule.name, "updated")


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return str(one["type"]), str(one["id"])


def _short(key: tuple[str, str]) -> str:
    return hashlib.sha256("/".join(key).encode()).hexdigest()[:8]


def _fingerprint(one: Json) -> str:
    return hashlib.sha256(orjson.dumps(one, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]


def _fingerprints(tag: Json | None) -> dict[str, str]:
    """Return what the tag says of the last import: short key → fingerprint."""
    if tag is None:
        return {}
    said = str(tag["attributes"].get("description", "")).rpartition("`: ")[2]
    pairs = (part.partition(":") for part in said.split())
    return {short: fingerprint for short, _, fingerprint in pairs}


def _action(
    key: tuple[str, str],
    there: Mapping[tuple[str, str], Json],
    known: Mapping[str, str],
    wanted: Mapping[tuple[str, str], str],
) -> Action:
    if key not in there:
        return "created"
    return "unchanged" if known.get(_short(key)) == wanted[key] else "updated"


def _covers(stored: Any, wanted: Any) -> bool:
    """Whether `stored` has everything of `wanted`; Kibana adds defaults and particulars of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(
            _covers(stored.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(wanted)
            and all(_covers(one, other) for one, other in zip(stored, wanted, strict=True))
        )
    return bool(stored == wanted)


def _fault(error: Mapping[str, Any]) -> str:
    """Return in words why Kibana did not take an object."""
    about = error.get("error", {})
    name = error.get("title") or error.get("meta", {}).get("title") or error.get("id")
    kind = about.get("type")
    if kind == "missing_references":
        missing = ", ".join(f"{one['type']} {one['id']}" for one in about.get("references", ()))
        why = f"it refers to {missing}, which is neither in the import nor in Kibana"
    elif kind == "unsupported_type":
        why = f"this Kibana knows no saved objects of type {error.get('type')}"
    elif kind in {"conflict", "ambiguous_conflict"}:
        why = "another object has its id; delete or rename that one"
    else:
        why = str(about.get("message") or kind)
        if about.get("statusCode") == 422:
            why += " (it is of a newer format than this Kibana knows; use Kibana 8.3 or newer)"
    return f"{error.get('type')} {name}: {why}"
