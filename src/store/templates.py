"""Component and index templates: checked, and composed into what a new index starts with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vigie.store.catalog import Catalog, matches
from vigie.store.errors import JsonObject, StoreError, illegal_argument, unknown_field
from vigie.store.mapping import Mapping, template_merged
from vigie.store.settings import flat_settings, nested_settings

_COMPONENT_KEYS = frozenset({"template", "version", "_meta"})
_INDEX_KEYS = frozenset({"index_patterns", "composed_of", "priority", "template", "version", "_meta"})
_TEMPLATE_KEYS = frozenset({"settings", "mappings", "aliases"})
_ALIAS_KEYS = frozenset({"is_write_index", "is_hidden"})


@dataclass(slots=True)
class IndexDefinition:
    """What an index is created with: dotted settings, mappings and aliases."""

    settings: dict[str, str] = field(default_factory=dict)
    mappings: JsonObject = field(default_factory=dict)
    aliases: dict[str, JsonObject] = field(default_factory=dict)

    def add(self, template: JsonObject) -> None:
        """Lay a template, or the body of a create request, over what is there."""
        self.settings.update(flat_settings(template.get("settings") or {}))
        self.mappings = template_merged(self.mappings, template.get("mappings") or {})
        self.aliases.update(checked_aliases(template.get("aliases") or {}))


def checked_aliases(aliases: JsonObject) -> dict[str, JsonObject]:
    """Return the aliases with their options. Raises for an option that this store does not support."""
    for name, options in aliases.items():
        for option in options or {}:
            if option not in _ALIAS_KEYS:
                raise illegal_argument(f"[{option}] of alias [{name}] is not supported by this store")
    return {name: dict(options or {}) for name, options in aliases.items()}


def put_component_template(catalog: Catalog, name: str, body: JsonObject) -> None:
    """Check and keep a component template. Raises for what it does not support or would break."""
    _check_keys("component_template", body, _COMPONENT_KEYS)
    if not isinstance(body.get("template"), dict):
        raise illegal_argument("[component_template] requires a [template]")
    catalog.component_templates[name] = _shown(body)


def put_index_template(catalog: Catalog, name: str, body: JsonObject) -> None:
    """Check and keep an index template.

    Raises for missing components, and for another template of the same priority that could match the same
    index.
    """
    _check_keys("index_template", body, _INDEX_KEYS)
    patterns = body.get("index_patterns")
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not patterns:
        raise illegal_argument(f"index_template [{name}] needs [index_patterns]")
    missing = [part for part in body.get("composed_of", []) if part not in catalog.component_templates]
    if missing:
        cause = (
            f"index template [{name}] specifies component templates [{', '.join(missing)}] that do not exist"
        )
        raise StoreError(
            400, "invalid_index_template_exception", f"index_template [{name}] invalid, cause [{cause}]"
        )
    priority = body.get("priority", 0)
    for other, held in catalog.index_templates.items():
        if (
            other != name
            and held.get("priority", 0) == priority
            and _overlap(patterns, held["index_patterns"])
        ):
            raise illegal_argument(
                f"index template [{name}] has index patterns {patterns} matching patterns from existing "
                f"templates [{other}] with patterns ({other} => {held['index_patterns']}) that have the "
                f"same priority [{priority}], multiple index templates may not match during index "
                "creation, please use a different priority"
            )
    shown = {**_shown(body), "index_patterns": patterns, "composed_of": body.get("composed_of", [])}
    compose(catalog, shown)
    catalog.index_templates[name] = shown


def delete_component_template(catalog: Catalog, name: str) -> None:
    """Remove a component template. Raises when there is none or an index template uses it."""
    names = _matching(catalog.component_templates, name)
    if not names:
        raise StoreError(404, "resource_not_found_exception", name)
    for component in names:
        users = [user for user, body in catalog.index_templates.items() if component in body["composed_of"]]
        if users:
            raise illegal_argument(
                f"component templates [{component}] cannot be removed as they are still in use by index "
                f"templates [{', '.join(users)}]"
            )
    for component in names:
        del catalog.component_templates[component]


def delete_index_template(catalog: Catalog, name: str) -> None:
    """Remove the index templates of that name or pattern. Raises when there is none."""
    names = _matching(catalog.index_templates, name)
    if not names:
        raise StoreError(404, "index_template_missing_exception", f"index_template [{name}] missing")
    for template in names:
        del catalog.index_templates[template]


def found_templates(templates: dict[str, JsonObject], name: str, kind: str) -> dict[str, JsonObject]:
    """Return the templates of that name or pattern. Raises resource_not_found_exception for an absent one."""
    names = _matching(templates, name)
    if not names and "*" not in name:
        raise StoreError(404, "resource_not_found_exception", f"{kind} template matching [{name}] not found")
    return {found: templates[found] for found in names}


def template_for(catalog: Catalog, index: str) -> JsonObject | None:
    """Return the matching index template of the highest priority."""
    fitting = [
        template
        for template in catalog.index_templates.values()
        if any(matches(pattern, index) for pattern in template["index_patterns"])
    ]
    return max(fitting, key=lambda template: template.get("priority", 0), default=None)


def compose(catalog: Catalog, template: JsonObject | None) -> IndexDefinition:
    """Return what a template gives a new index: its components in order, then its own part over them."""
    definition = IndexDefinition()
    if template is not None:
        for component in template["composed_of"]:
            definition.add(catalog.component_templates[component].get("template", {}))
        definition.add(template.get("template") or {})
    Mapping(definition.mappings)
    return definition


def _check_keys(kind: str, body: JsonObject, allowed: frozenset[str]) -> None:
    for key in body:
        if key not in allowed:
            raise unknown_field(kind, key)
    for key in body.get("template") or {}:
        if key not in _TEMPLATE_KEYS:
            raise unknown_field("template", key)


def _shown(body: JsonObject) -> JsonObject:
    """Return a template as it is shown again, its parts checked."""
    template = dict(body.get("template") or {})
    if "settings" in template:
        template["settings"] = {"index": nested_settings(flat_settings(template["settings"]))}
    if "mappings" in template:
        Mapping(template["mappings"])
    checked_aliases(template.get("aliases") or {})
    return {**body, **({"template": template} if "template" in body else {})}


def _matching(templates: dict[str, JsonObject], name: str) -> list[str]:
    return [held for held in templates if any(matches(part, held) for part in name.split(","))]


def _overlap(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether some index name could match a pattern of each, by the fixed parts around the first wildcard."""
    for a in first:
        for b in second:
            (a_start, _, a_end), (b_start, _, b_end) = a.partition("*"), b.partition("*")
            if "*" not in a or "*" not in b:
                if matches(a, b) or matches(b, a):
                    return True
                continue
            a_end, b_end = a_end.rpartition("*")[2], b_end.rpartition("*")[2]
            starts = a_start.startswith(b_start) or b_start.startswith(a_start)
            if starts and (a_end.endswith(b_end) or b_end.endswith(a_end)):
                return True
    return False
