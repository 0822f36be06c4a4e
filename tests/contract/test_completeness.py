"""The contract is complete: every request that the platform makes has its test.

requests.yaml lists what the platform asks of a store, endpoint by endpoint. The tests of the platform
go through a recording door (tests/store_proxy.py), and so does this suite; these two tests run last.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

import pytest
import yaml
from tests.store_proxy import CONTRACT, PLATFORM

LIST = Path(__file__).with_name("requests.yaml")

pytestmark = pytest.mark.last


def listed() -> dict[str, set[str]]:
    """Return the contract's list: endpoint → kinds."""
    return {endpoint: set(kinds or ()) for endpoint, kinds in yaml.safe_load(LIST.read_text()).items()}


def beyond(asked: Mapping[str, Set[str]], known: Mapping[str, Set[str]]) -> list[str]:
    """Return what `asked` has beyond `known`, one line for each endpoint."""
    return [
        f"{endpoint}: {', '.join(sorted(kinds - known.get(endpoint, set()))) or 'the endpoint itself'}"
        for endpoint, kinds in sorted(asked.items())
        if endpoint not in known or kinds - known[endpoint]
    ]


def test_every_request_of_the_platform_is_in_the_contract(store_url: str) -> None:
    """What the run's other tests made the platform ask is on the list (write a contract test, then add it)."""
    assert beyond(PLATFORM.requests, listed()) == []


def test_everything_on_the_list_is_tested(store_url: str, whole_contract: bool) -> None:
    """This suite asks everything that is on the list, of every store it runs on."""
    if not whole_contract:
        pytest.skip("only a part of the contract suite was chosen")
    assert beyond(listed(), CONTRACT.requests) == []
