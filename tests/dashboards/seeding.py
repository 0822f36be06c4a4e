"""The seeded events in a store: provisioned, filtered and indexed as the pipeline does it."""

from __future__ import annotations

from datetime import datetime

import orjson
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from tests.dashboards.expected import ZONE
from tests.dashboards.seed import START, Event, as_event, seeded_events, seeded_letters

from vigie.indices.mappings import DEAD, INDICES, MESSAGE
from vigie.indices.routing import Epoch, letters_index
from vigie.logs_pipeline.dead_mirror import document
from vigie.logs_pipeline.filter import Context, Document, documents_of
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import FeatureSchema
from vigie.settings import StoreSettings
from vigie.telemetry.stream.stream import StreamEntry


def index_seeded(client: Elasticsearch, settings: StoreSettings, schema: FeatureSchema) -> list[Event]:
    """Index the seeded events under the prefix of `settings`; return them, dead letters as events too."""
    prefix = settings.es_index_prefix
    present = {schema.name: [feature.name for feature in schema.features if feature.present]}
    context = Context(ZONE, (), present.get)
    epoch = Epoch("0-0", prefix, "day")
    events = seeded_events(schema)
    list(Provisioner(client, settings).run(schema, START))
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
    return [*events, *(as_event(*one) for one in letters)]


def source_of(document: Document, event: Event) -> Event:
    """Return the document's fields, of an outcome those that it has once it is joined with its prediction."""
    source: Event = orjson.loads(document.source)
    return {**source, **event.get("joined", {})} if document.index == MESSAGE else source


def entry_of(event: Event) -> StreamEntry:
    """Return the event as it is read from the stream."""
    sent = {name: value for name, value in event.items() if name != "joined"}
    return StreamEntry("1-1", event["data"]["producer"], event["data"]["number"], orjson.dumps(sent))
