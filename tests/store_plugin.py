"""`pytest --store=elasticsearch` (`make test-elastic`): the tests that use a store, on a real Elasticsearch.

That is each test with the fixture `store_url` (most have it by `store_server`) or the mark `every_store`,
which run on both kinds of store, and each with the mark `elastic`, which runs on the real one alone. The
server is a node of the run's own, or the one that ES_HOST names: there everything is made under
ES_INDEX_PREFIX with a name of the run's own behind it, and removed afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from tests.real_store import RUN, RealStore
from tests.servers import ROOT

from vigie.demo.elasticsearch_node import ElasticsearchMissingError, find_tools
from vigie.settings import load_settings

MINIMUM = ROOT / "tests" / "elastic" / "minimum.txt"
"""How many tests must pass on a real Elasticsearch in CI."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --store."""
    parser.addoption(
        "--store",
        choices=("embedded", "elasticsearch"),
        default="embedded",
        help="the store under the tests that use one; elasticsearch: those tests alone, on a real one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find out what the run is to be."""
    RUN.real = config.getoption("--store") == "elasticsearch"
    if not RUN.real:
        return
    settings = load_settings(None, None).store
    if settings.es_host is not None:
        RUN.user = settings
        return
    try:
        find_tools()
    except ElasticsearchMissingError as error:
        RUN.missing = str(error)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of this kind of run, those marked `last` at its end; skip all where no node can start."""
    kept = [item for item in items if _belongs(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _belongs(item)])
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("last") is not None)
    if RUN.missing:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=RUN.missing))


def _belongs(item: pytest.Item) -> bool:
    if not RUN.real:
        return item.get_closest_marker("elastic") is None
    marked = item.get_closest_marker("elastic") or item.get_closest_marker("every_store")
    return marked is not None or "store_url" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def _real_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the tests' Elasticsearch, or nothing."""
    if not RUN.real or RUN.missing:
        yield
        return
    if RUN.user is not None:
        RUN.store = RealStore.of_the_user(RUN.user)
    else:
        RUN.store = RealStore.of_the_run(tmp_path_factory.mktemp("elasticsearch"))
    answer = httpx.get(
        RUN.store.url, headers=RUN.store.headers, verify=RUN.store.tls or True, trust_env=False
    )
    RUN.store.version = answer.raise_for_status().json()["version"]["number"]
    try:
        yield
    finally:
        RUN.store.close()


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what passed on the real store."""
    if RUN.store is not None and report.when == "call" and report.passed:
        RUN.passed.add(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, too few tests on a real Elasticsearch are a failure."""
    if _too_few(session.config) and exitstatus in {0, 5}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _too_few(config: pytest.Config) -> bool:
    demanded = RUN.real and os.environ.get("CI") == "true" and not config.option.collectonly
    return demanded and len(RUN.passed) < int(MINIMUM.read_text(encoding="ascii"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on the real Elasticsearch, or why none did."""
    if not RUN.real:
        return
    if RUN.missing:
        terminalreporter.line(f"no test ran on a real Elasticsearch: {RUN.missing}", yellow=True)
    elif RUN.store is not None:
        where = f"Elasticsearch {RUN.store.version} at {RUN.store.url}"
        terminalreporter.line(f"{len(RUN.passed)} tests passed on a real {where}", green=True)
    if _too_few(terminalreporter.config):
        wanted = MINIMUM.read_text(encoding="ascii").strip()
        terminalreporter.line(
            f"FAILED: CI demands at least {wanted} of them ({MINIMUM.relative_to(ROOT)})", red=True
        )
