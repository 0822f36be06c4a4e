"""The specification for the reference model, and a store with the seeded events in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson
import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from tests.dashboards.expected import ZONE
from tests.dashboards.seed import START, Event, as_event, seeded_events, seeded_letters
from tests.real_store import index_prefix
from tests.servers import ROOT
from tests.store_proxy import StoreProxy

from vigie.dashboards.fields import FieldTypes, field_types
from vigie.dashboards.specification import Specification, load_specification
from vigie.indices.mappings import DEAD, INDICES, MESSAGE, index_mappings
from vigie.indices.routing import Epoch, letters_index
from vigie.logs_pipeline.dead_mirror import document
from vigie.logs_pipeline.filter import Context, Document, documents_of
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import FeatureSchema
from vigie.settings import load_settings
from vigie.telemetry.stream import StreamEntry


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
    present = {schema.name: [feature.name for feature in schema.features if feature.present]}
    context = Context(ZONE, (), present.get)
    epoch = Epoch("0-0", prefix, "day")
    events = seeded_events(schema)
    with Elasticsearch(store_server.url, request_timeout=60) as client:
        list(Provisioner(client, settings.store).run(schema, START))
        actions = [
            {"_op_type": "create", "_index": one.physical, "_id": one.id, "_source": source_of(one, event)}
            for event in events
            for one in documents_of(entry_of(event), epoch, context)
        ]
        letters = seeded_letters(schema)
        actions += [
            {
                "_op_type": "create",
                "_index": letters_index(prefix, datetime.fromisoformat(letter.last_at)),
                "_id": letter.id,
                "_source": document(letter, state),
            }
            for letter, state in letters
        ]
        bulk(client, actions)
        for index in (*INDICES, DEAD):
            client.indices.refresh(index=f"{prefix}{index}")
        yield Seeded(client, prefix, [*events, *(as_event(*one) for one in letters)])


def source_of(document: Document, event: Event) -> Event:
    """Return the document's fields, of an outcome those that it has once it is joined with its prediction."""
    source: Event = orjson.loads(document.source)
    return {**source, **event.get("joined", {})} if document.index == MESSAGE else source


def entry_of(event: Event) -> StreamEntry:
    """Return the event as it is read from the stream."""
    sent = {name: value for name, value in event.items() if name != "joined"}
    return StreamEntry("1-1", event["data"]["producer"], event["data"]["number"], orjson.dumps(sent))
