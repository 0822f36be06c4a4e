"""Handlers of the store itself, of indices, mappings and settings."""

from __future__ import annotations

from vigie.store.catalog import IndexEntry
from vigie.store.errors import JsonObject, StoreError, illegal_argument, index_not_found
from vigie.store.http import INDICES_PARAMETERS, Answer, Call, Route
from vigie.store.settings import nested_settings

_ACKNOWLEDGED: JsonObject = {"acknowledged": True}
_CREATE_KEYS = frozenset({"settings", "mappings", "aliases"})
_VERSION = "8.19.0"
_BUILD_FLAVOR = "vigie-embedded"
# Elasticsearch's internal number of version 8.19.
_INDEX_VERSION = "8536000"


def _root(_: Call) -> Answer:
    return Answer(
        200,
        {
            "name": "vigie",
            "cluster_name": "vigie",
            "cluster_uuid": "vigie",
            "version": {
                "number": _VERSION,
                "build_flavor": _BUILD_FLAVOR,
                "build_type": "embedded",
                "minimum_wire_compatibility_version": "7.17.0",
                "minimum_index_compatibility_version": "7.0.0",
            },
            "tagline": "Not Elasticsearch: the embedded store of Vigie, which answers a part of its REST",
        },
    )


def _health(call: Call) -> Answer:
    wanted = call.parameters.get("wait_for_status", "green")
    if wanted not in ("green", "yellow", "red"):
        raise illegal_argument(f"unknown cluster health status [{wanted}]")
    shards = len(call.engine.catalog.indices)
    body: JsonObject = {"cluster_name": "vigie", "status": "green", "timed_out": False}
    body |= {"number_of_nodes": 1, "number_of_data_nodes": 1}
    body |= {"active_primary_shards": shards, "active_shards": shards}
    idle = ("relocating_shards", "initializing_shards", "unassigned_shards", "unassigned_primary_shards")
    waiting = ("delayed_unassigned_shards", "number_of_pending_tasks", "number_of_in_flight_fetch")
    body |= dict.fromkeys((*idle, *waiting, "task_max_waiting_in_queue_millis"), 0)
    return Answer(200, {**body, "active_shards_percent_as_number": 100.0})


def _create_index(call: Call) -> Answer:
    name, body = call.variables["index"], call.json()
    for key in body:
        if key not in _CREATE_KEYS:
            raise StoreError(400, "parse_exception", f"unknown key [{key}] for create index")
    call.engine.create_index(name, body)
    return Answer(200, {**_ACKNOWLEDGED, "shards_acknowledged": True, "index": name})


def _head_index(call: Call) -> Answer:
    try:
        return Answer(200 if call.names() or "*" in call.variables["index"] else 404)
    except StoreError as error:
        return Answer(error.status)


def _get_index(call: Call) -> Answer:
    return Answer(
        200,
        {
            name: {
                "aliases": entry.aliases,
                "mappings": entry.mappings[-1],
                "settings": _settings(name, entry),
            }
            for name, entry in _entries(call).items()
        },
    )


def _entries(call: Call) -> dict[str, IndexEntry]:
    names = call.names()
    return {name: call.engine.catalog.indices[name] for name in names}


def _settings(name: str, entry: IndexEntry) -> JsonObject:
    shown = {
        "number_of_shards": "1",
        "number_of_replicas": "1",
        **entry.settings,
        "provided_name": name,
        "creation_date": str(entry.created_ms),
        "uuid": entry.uuid,
        "version.created": _INDEX_VERSION,
    }
    return {"index": nested_settings(shown)}


def _delete_index(call: Call) -> Answer:
    expression = call.variables["index"]
    # As Elasticsearch by default (action.destructive_requires_name): a typing error must not cost every
    # index.
    if expression == "_all" or "*" in expression:
        raise illegal_argument("Wildcard expressions or all indices are not allowed")
    for part in expression.split(","):
        if call.engine.catalog.alias_members(part):
            raise illegal_argument(
                f"The provided expression [{part}] matches an alias, specify the corresponding concrete "
                "indices instead."
            )
    call.engine.delete_indices(call.names())
    return Answer(200, _ACKNOWLEDGED)


def _get_mapping(call: Call) -> Answer:
    return Answer(200, {name: {"mappings": entry.mappings[-1]} for name, entry in _entries(call).items()})


def _put_mapping(call: Call) -> Answer:
    names = call.names()
    if not names:
        raise index_not_found(call.variables["index"])
    call.engine.put_mapping(names, call.json())
    return Answer(200, _ACKNOWLEDGED)


def _get_settings(call: Call) -> Answer:
    return Answer(200, {name: {"settings": _settings(name, entry)} for name, entry in _entries(call).items()})


def _refresh(call: Call) -> Answer:
    indices = call.indices()
    for index in indices:
        index.refresh()
    shards = len(indices)
    return Answer(200, {"_shards": {"total": shards, "successful": shards, "failed": 0}})


def _cat_indices(call: Call) -> Answer:
    if call.parameters.get("format") != "json":
        raise illegal_argument("[_cat] without [format=json] is not supported by this store")
    return Answer(200, [_cat_row(call, name, entry) for name, entry in _entries(call).items()])


def _cat_row(call: Call, name: str, entry: IndexEntry) -> JsonObject:
    row: JsonObject = {"health": "green", "status": "open", "index": name, "uuid": entry.uuid}
    settings = _settings(name, entry)["index"]
    row |= {"pri": settings["number_of_shards"], "rep": settings["number_of_replicas"]}
    index = call.engine.index(name)
    index.refresh()
    return {**row, "docs.count": str(index.document_count)}


INDEX_ROUTES: tuple[Route, ...] = (
    Route(("GET", "HEAD"), "/", _root),
    Route(("GET",), "/_cluster/health", _health, frozenset({"wait_for_status", "wait_for_nodes"})),
    Route(("GET",), "/_cat/indices", _cat_indices, INDICES_PARAMETERS | {"format"}),
    Route(("GET",), "/_cat/indices/{index}", _cat_indices, INDICES_PARAMETERS | {"format"}),
    Route(("GET", "POST"), "/_refresh", _refresh, INDICES_PARAMETERS),
    Route(("GET", "POST"), "/{index}/_refresh", _refresh, INDICES_PARAMETERS),
    Route(("GET",), "/_mapping", _get_mapping, INDICES_PARAMETERS),
    Route(("GET",), "/{index}/_mapping", _get_mapping, INDICES_PARAMETERS),
    Route(("PUT", "POST"), "/{index}/_mapping", _put_mapping, INDICES_PARAMETERS),
    Route(("GET",), "/_settings", _get_settings, INDICES_PARAMETERS),
    Route(("GET",), "/{index}/_settings", _get_settings, INDICES_PARAMETERS),
    Route(("PUT",), "/{index}", _create_index, frozenset({"wait_for_active_shards"})),
    Route(("GET",), "/{index}", _get_index, INDICES_PARAMETERS),
    Route(("HEAD",), "/{index}", _head_index, INDICES_PARAMETERS),
    Route(("DELETE",), "/{index}", _delete_index, INDICES_PARAMETERS),
)
