"""Which model may take another's place without a restart."""

from __future__ import annotations

from typing import Any, Final

from vigie.model.package import PackageError
from vigie.schema import FeatureSchema

OWN_PARTS: Final = {"version", "caution", "derive", "data", "simulation"}
"""What of its schema a successor may have of its own: what only the model itself, or its answers, show."""
OWN_PARTS_OF_TARGET: Final = {"threshold", "meaning"}
OWN_PARTS_OF_FEATURE: Final = {"simulation"}


def refuse_other_contract(served: FeatureSchema, successor: FeatureSchema) -> None:
    """Raise PackageError when the `successor` takes other inputs or gives other answers than the `served`.

    OpenAPI, the form and the store's mapping are made from the schema at the start of the services, so such
    a model needs a restart of them.
    """
    differing = differences(served, successor)
    if differing:
        raise PackageError(
            f"its schema differs from the served one in {', '.join(differing)}; OpenAPI, form and mapping "
            "are made from it at the start: restart API, front end and pipeline to serve it"
        )


def differences(served: FeatureSchema, successor: FeatureSchema) -> list[str]:
    """Return the parts of the schema that differ and may not, features by their names."""
    old, new = _contract(served), _contract(successor)
    changed = [part for part in old if part != "features" and old[part] != new[part]]
    before, after = old["features"], new["features"]
    names = dict.fromkeys([*before, *after])
    features = [f"feature {name}" for name in names if before.get(name) != after.get(name)]
    if not features and list(before) != list(after):
        features = ["the order of the features"]
    return changed + features


def _contract(schema: FeatureSchema) -> dict[str, Any]:
    """Return what a client, the form and the indices rely on: part → declaration, features by name."""
    return {
        **schema.model_dump(exclude=OWN_PARTS | {"target", "features"}),
        "target": schema.target.model_dump(exclude=OWN_PARTS_OF_TARGET),
        "features": {
            feature.name: feature.model_dump(exclude=OWN_PARTS_OF_FEATURE) for feature in schema.features
        },
    }
