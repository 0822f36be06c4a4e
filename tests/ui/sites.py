"""Sites for tests that need no server."""

from __future__ import annotations

from pathlib import Path

from vigie.schema import FeatureSchema
from vigie.settings import load_settings
from vigie.ui.site import Site


def site_of(schema: FeatureSchema, folder: Path, **environment: object) -> Site:
    """Return the site of an installation under `folder` whose model is not trained."""
    own = {"VIGIE_HOME": folder, "MODEL_PATH": folder, **environment}
    return Site.open(load_settings({name: str(value) for name, value in own.items()}, None), schema)
