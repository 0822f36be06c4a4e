"""What all pages share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vigie.schema import load_schema
from vigie.settings import Settings
from vigie.ui.site import Site


async def test_the_notice_is_the_packages_or_the_schemas_caution(
    settings_for: Callable[..., Settings], package_path: Path, untrained: Path
) -> None:
    """A simulated model is called a demonstration, in both languages; untrained, the caution stands alone."""
    schema = load_schema(untrained)
    bare = Site.open(settings_for(MODEL_PATH=untrained), schema)
    trained = Site.open(settings_for(MODEL_PATH=package_path), schema)
    assert bare.notice() == "not a medical device"
    assert trained.notice("en") == "demonstration model trained on a simulated cohort; not a medical device"
    assert trained.notice("fr") == (
        "modèle de démonstration entraîné sur une cohorte simulée ; n’est pas un dispositif médical"
    )
    await bare.close()
    await trained.close()


async def test_static_html_is_made_in_both_languages(
    settings_for: Callable[..., Settings], untrained: Path
) -> None:
    """One value for a component, which the server resolves for whoever looks at it."""
    site = Site.open(settings_for(MODEL_PATH=untrained), load_schema(untrained))
    written = str(site.html("logs/head.html"))
    assert f"<h1>{site.texts.say('fr', 'logs.title')}</h1>" in site.texts.resolve("fr", written)
    assert f"<h1>{site.texts.say('en', 'logs.title')}</h1>" in site.texts.resolve("en", written)
    await site.close()
