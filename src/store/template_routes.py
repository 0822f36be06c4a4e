"""Handlers of component and index templates."""

from __future__ import annotations

from vigie.store import templates
from vigie.store.errors import JsonObject, StoreError
from vigie.store.http import Answer, Call, Route

_ACKNOWLEDGED: JsonObject = {"acknowledged": True}


def _put_component(call: Call) -> Answer:
    with call.engine.changing() as catalog:
        _refuse_existing(call, catalog.component_templates, "component template")
        templates.put_component_template(catalog, call.variables["name"], call.json())
    return Answer(200, _ACKNOWLEDGED)


def _put_index_template(call: Call) -> Answer:
    with call.engine.changing() as catalog:
        _refuse_existing(call, catalog.index_templates, "index template")
        templates.put_index_template(catalog, call.variables["name"], call.json())
    return Answer(200, _ACKNOWLEDGED)


def _refuse_existing(call: Call, held: dict[str, JsonObject], kind: str) -> None:
    if call.flag("create", False) and call.variables["name"] in held:
        raise StoreError(
            400, "illegal_argument_exception", f"{kind} [{call.variables['name']}] already exists"
        )


def _get_component(call: Call) -> Answer:
    held = call.engine.catalog.component_templates
    found = templates.found_templates(held, call.variables.get("name", "*"), "component")
    shown = [{"name": name, "component_template": body} for name, body in found.items()]
    return Answer(200 if shown or "name" not in call.variables else 404, {"component_templates": shown})


def _get_index_template(call: Call) -> Answer:
    held = call.engine.catalog.index_templates
    found = templates.found_templates(held, call.variables.get("name", "*"), "index")
    shown = [{"name": name, "index_template": body} for name, body in found.items()]
    return Answer(200 if shown or "name" not in call.variables else 404, {"index_templates": shown})


def _head_component(call: Call) -> Answer:
    return Answer(200 if call.variables["name"] in call.engine.catalog.component_templates else 404)


def _head_index_template(call: Call) -> Answer:
    return Answer(200 if call.variables["name"] in call.engine.catalog.index_templates else 404)


def _delete_component(call: Call) -> Answer:
    with call.engine.changing() as catalog:
        templates.delete_component_template(catalog, call.variables["name"])
    return Answer(200, _ACKNOWLEDGED)


def _delete_index_template(call: Call) -> Answer:
    with call.engine.changing() as catalog:
        templates.delete_index_template(catalog, call.variables["name"])
    return Answer(200, _ACKNOWLEDGED)


TEMPLATE_ROUTES: tuple[Route, ...] = (
    Route(("PUT", "POST"), "/_component_template/{name}", _put_component, frozenset({"create"})),
    Route(("GET",), "/_component_template/{name}", _get_component),
    Route(("GET",), "/_component_template", _get_component),
    Route(("HEAD",), "/_component_template/{name}", _head_component),
    Route(("DELETE",), "/_component_template/{name}", _delete_component),
    Route(("PUT", "POST"), "/_index_template/{name}", _put_index_template, frozenset({"create"})),
    Route(("GET",), "/_index_template/{name}", _get_index_template),
    Route(("GET",), "/_index_template", _get_index_template),
    Route(("HEAD",), "/_index_template/{name}", _head_index_template),
    Route(("DELETE",), "/_index_template/{name}", _delete_index_template),
)
