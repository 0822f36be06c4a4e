"""Index mappings: parsed, checked, merged and flattened to typed fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from vigie.store.dates import DATE_DEFAULT, NANOS_DEFAULT, DateFormat, date_format
from vigie.store.errors import JsonObject, StoreError, illegal_argument

INTEGER_LIMITS = {"byte": 2**7, "short": 2**15, "integer": 2**31, "long": 2**63}
FLOAT_TYPES = frozenset({"float", "half_float", "double"})
DATE_TYPES = frozenset({"date", "date_nanos"})
NUMERIC_TYPES = FLOAT_TYPES | INTEGER_LIMITS.keys()

_COMMON = frozenset({"type", "meta", "fields", "index", "doc_values"})
_PARAMETERS: dict[str, frozenset[str]] = {
    "keyword": _COMMON | {"ignore_above", "null_value"},
    "text": (_COMMON - {"doc_values"}) | {"norms"},
    "boolean": _COMMON | {"null_value"},
    **dict.fromkeys(NUMERIC_TYPES, _COMMON | {"null_value"}),
    **dict.fromkeys(DATE_TYPES, _COMMON | {"null_value", "format"}),
}
_OBJECT_PARAMETERS = frozenset({"type", "dynamic", "enabled", "properties"})
_ROOT_PARAMETERS = frozenset(
    {"dynamic", "properties", "_meta", "_source", "date_detection", "numeric_detection"}
)
_UPDATEABLE = frozenset({"ignore_above", "meta", "fields"})


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped leaf (or multi-field) by its full dotted path."""

    path: str
    type: str
    ignore_above: int | None = None
    null_value: object = None
    format: DateFormat = DATE_DEFAULT
    doc_values: bool = True
    searchable: bool = True


@dataclass(slots=True)
class Leaf:
    """A property that takes values: its field and the multi-fields fed by the same values."""

    field: Field
    multi_fields: tuple[Field, ...] = ()


@dataclass(slots=True)
class ObjectNode:
    """An object: its properties, and what happens to names it does not map.

    `dynamic` is `true`, `false` or `strict`; an object that is not `enabled` takes any JSON and indexes
    nothing.
    """

    path: str
    dynamic: str
    enabled: bool = True
    properties: dict[str, ObjectNode | Leaf] = field(default_factory=dict)


class Mapping:
    """The mapping of an index. Raises mapper_parsing_exception for what it does not support."""

    def __init__(self, source: JsonObject) -> None:
        for name in source:
            if name not in _ROOT_PARAMETERS:
                raise _unparsable(
                    f"Root mapping definition has unsupported parameters:  [{name} : {source[name]}]"
                )
        if not (source.get("_source") or {}).get("enabled", True):
            raise _unparsable("disabling [_source] is not supported by this store")
        self.source = _normalised(source, root=True)
        self.root = _object_node("", self.source, "true")

    @cached_property
    def fields(self) -> dict[str, Field]:
        """All fields, multi-fields included, by path."""
        return {leaf.path: leaf for leaf in _leaves(self.root)}

    def merged(self, update: JsonObject) -> Mapping:
        """Return this mapping with the update's fields added.

        Raises illegal_argument_exception when a field would change its type or a fixed parameter.
        """
        addition = Mapping(update)
        return Mapping(_merge_objects(self.source, addition.source, ""))

    def object_fields(self, path: str) -> list[Field]:
        """Return the fields below the object of that path; empty when there is none."""
        prefix = path + "."
        return [leaf for name, leaf in self.fields.items() if name.startswith(prefix)]


def template_merged(first: JsonObject, second: JsonObject) -> JsonObject:
    """Return two templates' mappings combined: objects recursively, fields replaced by the second's."""
    result = dict(first)
    for name, value in second.items():
        held = result.get(name)
        if isinstance(held, dict) and isinstance(value, dict) and "type" not in value and name != "_meta":
            result[name] = template_merged(held, value)
        else:
            result[name] = value
    return result


def _unparsable(reason: str) -> StoreError:
    cause = {"type": "mapper_parsing_exception", "reason": reason}
    return StoreError(400, "mapper_parsing_exception", f"Failed to parse mapping: {reason}", caused_by=cause)


def _is_object(source: JsonObject) -> bool:
    return bool(source.get("type", "object") == "object")


def _normalised(source: JsonObject, *, root: bool = False) -> JsonObject:
    """Return the mapping as Elasticsearch shows it: `dynamic` as text, properties by name."""
    result = {name: value for name, value in source.items() if name != "properties"}
    if "dynamic" in result:
        dynamic = str(result["dynamic"]).lower()
        if dynamic not in ("true", "false", "strict"):
            raise _unparsable(f"[dynamic: {dynamic}] is not supported by this store")
        result["dynamic"] = dynamic
    properties = source.get("properties")
    if properties is not None:
        if not isinstance(properties, dict):
            raise _unparsable("Expected map for property [properties]")
        result["properties"] = {
            name: _normalised_property(name, properties[name]) for name in sorted(properties)
        }
        if not root and properties:
            result.pop("type", None)
    return result


def _normalised_property(name: str, source: object) -> JsonObject:
    if not isinstance(source, dict):
        raise _unparsable(f"Expected map for property [fields] on field [{name}]")
    return _normalised(source) if _is_object(source) else dict(source)


def _object_node(path: str, source: JsonObject, inherited: str) -> ObjectNode:
    node = ObjectNode(path, source.get("dynamic", inherited), source.get("enabled", True) is not False)
    for name, value in source.get("properties", {}).items():
        if not name or "." in name:
            raise _unparsable(
                f"field name [{name}] is not supported by this store: write objects as properties"
            )
        full = f"{path}.{name}" if path else name
        if not _is_object(value):
            node.properties[name] = _leaf(full, value)
            continue
        for parameter in value:
            if parameter not in _OBJECT_PARAMETERS:
                raise _unparsable(f"unknown parameter [{parameter}] on mapper [{full}] of type [object]")
        node.properties[name] = _object_node(full, value, node.dynamic)
    return node


def _leaf(path: str, source: JsonObject) -> Leaf:
    multi_fields = source.get("fields", {})
    return Leaf(
        _field(path, source), tuple(_field(f"{path}.{name}", part) for name, part in multi_fields.items())
    )


def _field(path: str, source: JsonObject) -> Field:
    kind = source.get("type", "")
    if kind not in _PARAMETERS:
        raise _unparsable(
            f"The mapper type [{kind}] declared on field [{path}] does not exist or is not supported by "
            "this store."
        )
    for parameter in source:
        if parameter not in _PARAMETERS[kind]:
            raise _unparsable(f"unknown parameter [{parameter}] on mapper [{path}] of type [{kind}]")
    default = NANOS_DEFAULT if kind == "date_nanos" else DATE_DEFAULT
    ignore_above = source.get("ignore_above")
    if ignore_above is not None and (isinstance(ignore_above, bool) or not isinstance(ignore_above, int)):
        raise _unparsable(f"[ignore_above] of [{path}] must be a number")
    doc_values = source.get("doc_values", kind != "text") is not False
    return Field(
        path,
        kind,
        ignore_above,
        source.get("null_value"),
        date_format(source["format"]) if "format" in source else default,
        doc_values,
        source.get("index", True) is not False or doc_values,
    )


def _leaves(node: ObjectNode) -> Iterator[Field]:
    for child in node.properties.values():
        if isinstance(child, ObjectNode):
            yield from _leaves(child)
        else:
            yield child.field
            yield from child.multi_fields


def _merge_objects(old: JsonObject, new: JsonObject, path: str) -> JsonObject:
    result = {**old, **{name: value for name, value in new.items() if name != "properties"}}
    properties = dict(old.get("properties", {}))
    for name, value in new.get("properties", {}).items():
        full = f"{path}.{name}" if path else name
        held = properties.get(name)
        properties[name] = value if held is None else _merge_property(held, value, full)
    if properties:
        result["properties"] = properties
    return result


def _merge_property(old: JsonObject, new: JsonObject, path: str) -> JsonObject:
    if _is_object(old) != _is_object(new):
        raise illegal_argument(f"can't merge a non object mapping [{path}] with an object mapping")
    if _is_object(old):
        if old.get("enabled", True) != new.get("enabled", old.get("enabled", True)):
            raise illegal_argument(
                f"the [enabled] parameter can't be updated for the object mapping [{path}]"
            )
        return _merge_objects(old, new, path)
    if old["type"] != new["type"]:
        raise illegal_argument(
            f"mapper [{path}] cannot be changed from type [{old['type']}] to [{new['type']}]"
        )
    for name in (old.keys() | new.keys()) - _UPDATEABLE:
        if old.get(name) != new.get(name):
            raise illegal_argument(
                f"Mapper for [{path}] conflicts with existing mapper:\n\tCannot update parameter [{name}] "
                f"from [{old.get(name)}] to [{new.get(name)}]"
            )
    merged_fields = _merge_objects(
        {"properties": old.get("fields", {})}, {"properties": new.get("fields", {})}, path
    ).get("properties")
    return {**old, **new, **({"fields": merged_fields} if merged_fields else {})}
