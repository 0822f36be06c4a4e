"""Handlers of bulk and of single documents."""

from __future__ import annotations

from vigie.store.bulk import bulk, write_one
from vigie.store.errors import JsonObject, illegal_argument, index_not_found
from vigie.store.http import Answer, Call, Route
from vigie.store.source_filter import SourceFilter

_SOURCE_PARAMETERS = frozenset(
    {"_source", "_source_includes", "_source_excludes", "realtime", "refresh", "preference"}
)
_WRITE_PARAMETERS = frozenset({"refresh", "wait_for_active_shards", "require_alias"})
_BULK_PARAMETERS = _WRITE_PARAMETERS | {"filter_path"}


def _bulk(call: Call) -> Answer:
    refreshed = _refresh(call) == "true"
    _refuse_require_alias(call)
    paths = call.parameters.get("filter_path", "")
    wanted = paths.split(",") if paths else ()
    index = call.variables.get("index")
    answer = bulk(call.engine, call.body, index, call.executor, refreshed=refreshed, wanted=wanted)
    return Answer(200, answer)


def _refresh(call: Call) -> str:
    """Return the refresh parameter; readers refresh by themselves, so that there is nothing to do for it."""
    value = call.parameters.get("refresh", "false")
    if value not in ("", "true", "false", "wait_for"):
        raise illegal_argument(f"Unknown value for refresh: [{value}].")
    return "true" if value == "" else value


def _refuse_require_alias(call: Call) -> None:
    if call.flag("require_alias", False):
        raise illegal_argument("[require_alias] is not supported by this store")


def _index(call: Call) -> Answer:
    operation = call.parameters.get("op_type", "index")
    if operation not in ("index", "create"):
        raise illegal_argument(f"opType must be 'create' or 'index', found: [{operation}]")
    return _write(call, operation)


def _create(call: Call) -> Answer:
    return _write(call, "create")


def _delete(call: Call) -> Answer:
    if call.engine.catalog.write_target(call.variables["index"]) is None:
        raise index_not_found(call.variables["index"])
    return _write(call, "delete")


def _write(call: Call, action: str) -> Answer:
    _refuse_require_alias(call)
    refreshed = _refresh(call) == "true"
    status, body = write_one(
        call.engine, action, call.variables["index"], call.variables.get("id"), call.body
    )
    return Answer(status, {**body, "forced_refresh": True} if refreshed else body)


def _get(call: Call) -> Answer:
    names = call.names()
    if len(names) != 1:
        raise illegal_argument(
            f"alias [{call.variables['index']}] has more than one index associated with it {names}, can't "
            "execute a single index op"
        )
    document = call.engine.index(names[0]).get(call.variables["id"])
    head: JsonObject = {"_index": names[0], "_id": call.variables["id"]}
    if document is None:
        return Answer(404, {**head, "found": False})
    source = _source_filter(call).applied(document.source)
    shown = {} if source is None else {"_source": source}
    place = {"_version": document.version, "_seq_no": document.sequence, "_primary_term": 1}
    return Answer(200, {**head, **place, "found": True, **shown})


def _source_filter(call: Call) -> SourceFilter:
    given = call.parameters.get("_source")
    if given in ("true", "false"):
        return SourceFilter(given == "true")
    includes = call.parameters.get("_source_includes") or given
    excludes = call.parameters.get("_source_excludes")
    return SourceFilter(
        True, tuple(includes.split(",")) if includes else (), tuple(excludes.split(",")) if excludes else ()
    )


DOCUMENT_ROUTES: tuple[Route, ...] = (
    Route(("POST", "PUT"), "/_bulk", _bulk, _BULK_PARAMETERS),
    Route(("POST", "PUT"), "/{index}/_bulk", _bulk, _BULK_PARAMETERS),
    Route(("POST",), "/{index}/_doc", _index, _WRITE_PARAMETERS | {"op_type"}),
    Route(("PUT", "POST"), "/{index}/_doc/{id}", _index, _WRITE_PARAMETERS | {"op_type"}),
    Route(("PUT", "POST"), "/{index}/_create/{id}", _create, _WRITE_PARAMETERS),
    Route(("GET", "HEAD"), "/{index}/_doc/{id}", _get, _SOURCE_PARAMETERS),
    Route(("DELETE",), "/{index}/_doc/{id}", _delete, _WRITE_PARAMETERS),
)
