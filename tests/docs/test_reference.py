"""Documentation that is generated from the code is fresh and complete."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.servers import ROOT

from vigie.settings import load_settings, variable_names


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_fresh(generator: ModuleType) -> None:
    """Each generated file holds what the code says today; `make reference` writes them anew."""
    stale = [
        str(path.relative_to(ROOT))
        for path, content in generator.contents().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    assert stale == []


def test_env_example_is_itself_a_valid_env_file() -> None:
    """Copied to `.env` as it stands, it means the defaults and starts the embedded parts."""
    settings = load_settings({}, ROOT / ".env.example")
    assert settings == load_settings({}, None)
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == variable_names()


def test_redis_and_store_hosts_are_commented_out() -> None:
    """A newcomer's copy does not switch off the embedded Redis and store."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert "# REDIS_HOST=" in lines
    assert "# ES_HOST=" in lines


def test_every_make_target_is_described() -> None:
    """A target without a description would be missing from `make help` and from the docs."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"\.PHONY: ((?:.*\\\n)*.*)", makefile)
    assert phony is not None
    described = set(re.findall(r"^([a-z-]+):.*?## ", makefile, re.MULTILINE))
    assert described == set(phony[1].replace("\\\n", " ").split())


@pytest.mark.parametrize("page", sorted(Path(ROOT, "docs").rglob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link in the documentation names a file that exists."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
