"""Browser tests: a real installation on embedded parts, and visitors with a Chromium of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browser.chromium import NAMES, chromium
from tests.browser.installation import Installation
from tests.browser.visitors import DEADLINE_MS, Visitors
from tests.dashboards.seeding import index_seeded
from tests.stack import Stack

from vigie.schema import FeatureSchema

expect.set_options(timeout=DEADLINE_MS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests run only when asked for: `make test-browser`."""
    if any("browser" in str(argument) for argument in config.invocation_params.args):
        return
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if here:
        items[:] = [item for item in items if item not in here]
        config.hook.pytest_deselected(items=here)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One running Chromium; each visitor has a context of their own in it."""
    path = chromium()
    if path is None:
        reason = f"no Chromium: install one of {', '.join(NAMES)}, or name it by CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, package_path: Path, schema: FeatureSchema
) -> Iterator[Installation]:
    """One installation for all browser tests: Redis, store, API, pipeline and front end as processes."""
    stack = Stack(tmp_path_factory.mktemp("browser") / "home", package_path)
    try:
        stack.start("redis", "store")
        with Elasticsearch(stack.store_url, request_timeout=60) as client:
            events = index_seeded(client, stack.settings.store, schema)
        stack.start("api", "pipeline", "ui")
        yield Installation(stack, schema, events)
    finally:
        stack.stop()


@pytest.fixture
def visit(browser: Browser, installation: Installation) -> Iterator[Visitors]:
    """Opens pages for any number of visitors; an error in a browser fails the test."""
    visitors = Visitors(browser, installation.url)
    yield visitors
    faults = visitors.untold
    visitors.close()
    assert faults == []


@pytest.fixture
def page(visit: Visitors) -> Page:
    """A page of one visitor in English, in the light theme, not opened yet."""
    return visit(None)
