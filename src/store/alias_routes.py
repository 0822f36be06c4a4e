"""Handlers of aliases."""

from __future__ import annotations

from vigie.store.catalog import Catalog, matches
from vigie.store.errors import JsonObject, StoreError, illegal_argument, index_not_found, unknown_field
from vigie.store.http import INDICES_PARAMETERS, Answer, Call, Route
from vigie.store.templates import checked_aliases

_ALIAS_DONE: JsonObject = {"acknowledged": True, "errors": False}
_ACTION_KEYS = frozenset({"index", "indices", "alias", "aliases"})


def _get_alias(call: Call) -> Answer:
    wanted = call.variables.get("name")
    entries = {name: call.engine.catalog.indices[name] for name in call.names()}
    if wanted is None:
        shown = {name: {"aliases": entry.aliases} for name, entry in entries.items()}
        return Answer(200, shown)
    found: dict[str, JsonObject] = {}
    for name, entry in entries.items():
        kept = {
            alias: options
            for alias, options in entry.aliases.items()
            if any(matches(part, alias) for part in wanted.split(","))
        }
        if kept:
            found[name] = {"aliases": kept}
    seen = {alias for entry in found.values() for alias in entry["aliases"]}
    missing = [part for part in wanted.split(",") if "*" not in part and part != "_all" and part not in seen]
    if missing:
        plural = "aliases" if len(missing) > 1 else "alias"
        return Answer(404, {"error": f"{plural} [{','.join(missing)}] missing", "status": 404, **found})
    return Answer(200, found)


def _put_alias(call: Call) -> Answer:
    names = call.names()
    if not names:
        raise index_not_found(call.variables["index"])
    with call.engine.changing() as catalog:
        _add_alias(catalog, names, call.variables["name"], call.json())
    return Answer(200, _ALIAS_DONE)


def _delete_alias(call: Call) -> Answer:
    names = call.names()
    with call.engine.changing() as catalog:
        _remove_alias(catalog, names, call.variables["name"].split(","))
    return Answer(200, _ALIAS_DONE)


def _add_alias(catalog: Catalog, names: list[str], alias: str, options: JsonObject) -> None:
    catalog.check_alias(alias)
    checked = checked_aliases({alias: options})
    for name in names:
        catalog.indices[name].aliases |= checked
    writers = [name for name, held in catalog.alias_members(alias).items() if held.get("is_write_index")]
    if len(writers) > 1:
        raise StoreError(
            500,
            "illegal_state_exception",
            f"alias [{alias}] has more than one write index [{','.join(writers)}]",
        )


def _remove_alias(catalog: Catalog, names: list[str], aliases: list[str]) -> None:
    removed = [
        (name, alias)
        for name in names
        for alias in list(catalog.indices[name].aliases)
        if any(matches(part, alias) for part in aliases)
    ]
    if not removed:
        listed = ",".join(aliases)
        details = {"resource.type": "aliases", "resource.id": listed}
        raise StoreError(404, "aliases_not_found_exception", f"aliases [{listed}] missing", details=details)
    for name, alias in removed:
        del catalog.indices[name].aliases[alias]


def _update_aliases(call: Call) -> Answer:
    actions = call.json().get("actions")
    if not isinstance(actions, list) or not actions:
        raise illegal_argument("No action specified")
    with call.engine.changing() as catalog:
        results = [_update_alias(call, catalog, action) for action in actions]
        refused = [error for _, error in results if error is not None]
        # An alias that is not there to remove fails the request only when nothing else is to be done.
        if len(refused) == len(results):
            raise refused[0]
    if not refused:
        return Answer(200, _ALIAS_DONE)
    shown = [
        {"action": action, "status": 200}
        if error is None
        else {"action": action, "status": error.status, "error": error.as_object()}
        for action, error in results
    ]
    return Answer(200, {"acknowledged": True, "errors": True, "action_results": shown})


def _update_alias(call: Call, catalog: Catalog, action: JsonObject) -> tuple[JsonObject, StoreError | None]:
    """Apply one action; return it as it is reported, and why it could not be done (nothing to remove)."""
    kind, body = next(iter(action.items()))
    if kind not in ("add", "remove"):
        raise unknown_field("alias_action", kind)
    indices = body.get("indices", body.get("index"))
    aliases = body.get("aliases", body.get("alias"))
    if not indices or not aliases:
        raise illegal_argument("One of [index] or [indices] and one of [alias] or [aliases] are required")
    expression = ",".join(indices) if isinstance(indices, list) else indices
    names = call.names(expression)
    if not names:
        raise index_not_found(expression)
    listed = aliases if isinstance(aliases, list) else [aliases]
    shown: JsonObject = {"type": kind, "indices": names, "aliases": listed}
    if kind == "remove":
        try:
            _remove_alias(catalog, names, listed)
        except StoreError as error:
            return shown, error
        return shown, None
    options = {name: value for name, value in body.items() if name not in _ACTION_KEYS}
    for alias in listed:
        _add_alias(catalog, names, alias, options)
    return shown, None


ALIAS_ROUTES: tuple[Route, ...] = (
    Route(("POST",), "/_aliases", _update_aliases),
    Route(("GET", "HEAD"), "/_alias", _get_alias, INDICES_PARAMETERS),
    Route(("GET", "HEAD"), "/_alias/{name}", _get_alias, INDICES_PARAMETERS),
    Route(("GET", "HEAD"), "/{index}/_alias", _get_alias, INDICES_PARAMETERS),
    Route(("GET", "HEAD"), "/{index}/_alias/{name}", _get_alias, INDICES_PARAMETERS),
    Route(("PUT", "POST"), "/{index}/_alias/{name}", _put_alias),
    Route(("DELETE",), "/{index}/_alias/{name}", _delete_alias),
)
