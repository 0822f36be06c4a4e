"""The specification for the reference model, and a store with the seeded events in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from elasticsearch import Elasticsearch
from tests.dashboards.seed import Event
from tests.dashboards.seeding import index_seeded
from tests.real_store import index_prefix
from tests.servers import ROOT
from tests.store_proxy import StoreProxy

from vigie.dashboards.fields import FieldTypes, field_types
from vigie.dashboards.specification import Specification, load_specification
from vigie.indices.mappings import MESSAGE, index_mappings
from vigie.schema import FeatureSchema
from vigie.settings import load_settings


@pytest.fixture(scope="session")
def specification(schema: FeatureSchema) -> Specification:
    """The committed panels, written out for the reference model."""
    return load_specification(ROOT / "kibana" / "panels.yaml", schema)


@pytest.fixture(scope="session")
def types(schema: FeatureSchema) -> FieldTypes:
    """The type of every field of the platform's indices."""
    return field_types(index_mappings(), schema, MESSAGE)


@dataclass(frozen=True)
class Seeded:
    """A store that holds the documents of `events` under `prefix`."""

    client: Elasticsearch
    prefix: str
    events: list[Event]


@pytest.fixture(scope="session")
def seeded(store_server: StoreProxy, schema: FeatureSchema) -> Iterator[Seeded]:
    """The seeded events in the run's store: provisioned, filtered and indexed as the pipeline does it."""
    prefix = f"{index_prefix()}panels-"
    settings = load_settings({"ES_HOST": "127.0.0.1", "ES_INDEX_PREFIX": prefix}, None)
    with Elasticsearch(store_server.url, request_timeout=60) as client:
        yield Seeded(client, prefix, index_seeded(client, settings.store, schema))
