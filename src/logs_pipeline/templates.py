"""Index templates: what the store must know before the first document, applied again and again unharmed.

Common fields are one component template, each model's inputs another; the index templates of the events
are composed of them, that of the alerts stands alone. Each carries a version and a fingerprint in `_meta`:
what is equal is left alone, and so is what a newer version of the platform wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError
from loguru import logger

from vigie.errors import VigieError
from vigie.indices.mappings import (
    ALERT_FIELDS,
    ALERTS,
    COMMON_FIELDS,
    DEAD,
    DEAD_FIELDS,
    INDICES,
    MESSAGE,
    OWN_FIELDS,
    VERSION,
    FieldMapping,
)
from vigie.indices.routing import Epoch, granularity, letters_index
from vigie.schema import FeatureSchema
from vigie.settings import StoreSettings

COMMON: Final = "ml-api-common"
INPUT: Final = "ml-api-input"
PRIORITY: Final = 500
"""Above the templates for `logs-*-*` and the like that Elasticsearch brings (100 to 200)."""
_OWNER: Final = "vigie"


class ProvisionError(VigieError):
    """The templates cannot be applied; the message names what stands against it."""


Action = Literal["created", "updated", "unchanged", "left: newer"]


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one object of the store, or of Kibana."""

    kind: str
    name: str
    action: Action

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.action}"


class Provisioner:
    """Applies the templates of one installation (one index prefix)."""

    def __init__(self, client: Elasticsearch, settings: StoreSettings) -> None:
        self._client = client
        self._settings = settings
        self._prefix = settings.es_index_prefix

    def run(self, schema: FeatureSchema, now: datetime | None = None) -> Iterator[Change]:
        """Yield each change as it is made; `now` (UTC) decides which indices are today's."""
        known = self.models()
        check_types(schema, known)
        yield self._component(f"{self._prefix}{COMMON}", _template(COMMON_FIELDS), {})
        inputs = {"mappings": {"properties": {"input_data": {"properties": schema.index_properties()}}}}
        about = {"model": schema.name, "model_version": schema.version, "present": _present(schema)}
        yield self._component(self._input_name(schema.name), inputs, about)
        for index in INDICES:
            yield self._event_template(index, sorted({*known, schema.name}))
        alerts = f"{self._prefix}{ALERTS}"
        yield self._index_template(alerts, alerts, _template(ALERT_FIELDS), [])
        dead = f"{self._prefix}{DEAD}"
        yield self._index_template(dead, f"{dead}-*", {"aliases": {dead: {}}, **_template(DEAD_FIELDS)}, [])
        epoch = Epoch("0-0", self._prefix, granularity(self._settings))
        for index in INDICES:
            yield self._index(epoch.physical(index, now or datetime.now(UTC)))
        yield self._index(alerts)
        yield self._index(letters_index(self._prefix, now or datetime.now(UTC)))
        for index in INDICES:
            yield from self._declared_fields(f"{self._prefix}{index}", {**COMMON_FIELDS, **OWN_FIELDS[index]})
        yield from self._declared_fields(alerts, ALERT_FIELDS)
        yield from self._declared_fields(dead, DEAD_FIELDS)
        yield from self._input_fields(schema)

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the models provisioned before: name → {"types": feature → type, "present": [feature]}."""
        try:
            found = self._client.cluster.get_component_template(name=self._input_name("*"))
        except NotFoundError:
            return {}
        models = {}
        for template in found["component_templates"]:
            body = template["component_template"]
            fields = body["template"]["mappings"]["properties"]["input_data"]["properties"]
            meta = body["_meta"]
            types = {name: field["type"] for name, field in fields.items()}
            models[str(meta["model"])] = {"types": types, "present": list(meta["present"])}
        return models

    def _input_name(self, model: str) -> str:
        return f"{self._prefix}{INPUT}-{model}"

    def _component(self, name: str, template: Mapping[str, Any], about: Mapping[str, Any]) -> Change:
        try:
            answer = self._client.cluster.get_component_template(name=name)
            stored = answer["component_templates"][0]["component_template"].get("_meta")
        except NotFoundError:
            stored = None
        body = {"template": template}
        meta = _meta(body, about)
        action = _compare(name, stored, meta)
        if action in {"created", "updated"}:
            self._client.cluster.put_component_template(
                name=name, template=template, version=VERSION, meta=meta
            )
        return Change("component template", name, action)

    def _event_template(self, index: str, models: list[str]) -> Change:
        name = f"{self._prefix}{index}"
        composed = [f"{self._prefix}{COMMON}"]
        if index == MESSAGE:
            composed += [self._input_name(model) for model in models]
        template = {"aliases": {name: {}}, "mappings": {"properties": OWN_FIELDS[index]}}
        return self._index_template(name, f"{name}-*", template, composed)

    def _index_template(
        self, name: str, pattern: str, template: Mapping[str, Any], composed: list[str]
    ) -> Change:
        try:
            answer = self._client.indices.get_index_template(name=name)
            stored = answer["index_templates"][0]["index_template"].get("_meta")
        except NotFoundError:
            stored = None
        body = {"template": template, "composed_of": composed}
        meta = _meta(body, {})
        action = _compare(name, stored, meta)
        if action in {"created", "updated"}:
            self._client.indices.put_index_template(
                name=name,
                index_patterns=[pattern],
                composed_of=composed,
                priority=PRIORITY,
                template=template,
                version=VERSION,
                meta=meta,
            )
        return Change("index template", name, action)

    def _index(self, physical: str) -> Change:
        """Create an index, so that its name can be asked before the first document."""
        try:
            self._client.indices.create(index=physical)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
            return Change("index", physical, "unchanged")
        return Change("index", physical, "created")

    def _declared_fields(self, name: str, wanted: Mapping[str, FieldMapping]) -> Iterator[Change]:
        """Add fields of a later version to the indices that exist; templates only reach new ones."""
        for physical, body in sorted(self._client.indices.get_mapping(index=name).items()):
            missing = _missing(wanted, body["mappings"].get("properties", {}), physical)
            if missing:
                self._client.indices.put_mapping(index=physical, properties=missing)
                yield Change("mapping", physical, "updated")

    def _input_fields(self, schema: FeatureSchema) -> Iterator[Change]:
        """Add the inputs to the indices of ml-api-message that exist; templates only reach later ones."""
        alias = f"{self._prefix}{MESSAGE}"
        wanted = schema.index_properties()
        for physical, body in sorted(self._client.indices.get_mapping(index=alias).items()):
            inputs = body["mappings"].get("properties", {}).get("input_data", {})
            there = {name: field.get("type") for name, field in inputs.get("properties", {}).items()}
            for name, field in wanted.items():
                if there.get(name, field["type"]) != field["type"]:
                    raise ProvisionError(
                        f"model {schema.name}: feature {name} is {field['type']}, but index {physical} "
                        f"has it as {there[name]}: rename the feature, or use another ES_INDEX_PREFIX"
                    )
            missing = {name: field for name, field in wanted.items() if name not in there}
            if missing:
                self._client.indices.put_mapping(
                    index=physical, properties={"input_data": {"properties": missing}}
                )
            yield Change("mapping", physical, "updated" if missing else "unchanged")


def check_types(schema: FeatureSchema, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ProvisionError when a feature of `schema` has another type in a model provisioned before."""
    for model, about in sorted(known.items()):
        for name, field in schema.index_properties().items():
            other = about["types"].get(name)
            if other is not None and other != field["type"]:
                raise ProvisionError(
                    f"feature {name} is {field['type']} in model {schema.name} and {other} in model {model}: "
                    "two models on one store need one type for one name; rename it, or use another "
                    "ES_INDEX_PREFIX"
                )


def _present(schema: FeatureSchema) -> list[str]:
    return [feature.name for feature in schema.features if feature.present]


def _template(fields: Mapping[str, FieldMapping]) -> dict[str, Any]:
    return {
        "settings": {"index": {"number_of_shards": "1", "auto_expand_replicas": "0-1"}},
        "mappings": {"dynamic": False, "properties": fields},
    }


def _missing(
    wanted: Mapping[str, FieldMapping], there: Mapping[str, FieldMapping], physical: str, path: str = ""
) -> dict[str, FieldMapping]:
    """Return the fields of `wanted` that are not `there`; one of another type is left, and told."""
    missing: dict[str, FieldMapping] = {}
    for name, field in wanted.items():
        if name not in there:
            missing[name] = field
        elif "properties" in field:
            inner = _missing(field["properties"], there[name].get("properties", {}), physical, f"{name}.")
            if inner:
                missing[name] = {"properties": inner}
        elif there[name].get("type", "object") != field.get("type", "object"):
            logger.warning("index {} has field {}{} as {}", physical, path, name, there[name].get("type"))
    return missing


def _meta(body: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    text = orjson.dumps({**body, "about": about, "version": VERSION}, option=orjson.OPT_SORT_KEYS)
    fingerprint = hashlib.sha256(text).hexdigest()[:16]
    return {"managed_by": _OWNER, "version": VERSION, "fingerprint": fingerprint, **about}


def _compare(name: str, stored: Mapping[str, Any] | None, meta: Mapping[str, Any]) -> Action:
    if stored is None:
        return "created"
    if int(stored.get("version", 0)) > VERSION:
        logger.warning(
            "template {} is of version {}, newer than {}: left alone", name, stored["version"], VERSION
        )
        return "left: newer"
    return "unchanged" if stored.get("fingerprint") == meta["fingerprint"] else "updated"
