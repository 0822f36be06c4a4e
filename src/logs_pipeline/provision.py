"""`vigie provision`: templates into the store; data views, dashboards and alert rules into Kibana.

Everything may be run again and again: what is as it should be is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from elasticsearch import ApiError, TransportError

from vigie.dashboards.rules import ALERTS_FILE, load_rules
from vigie.indices.store_client import connect_store, fault_of
from vigie.logs_pipeline.kibana_client import KibanaClient
from vigie.logs_pipeline.kibana_objects import KibanaObjects, objects_to_import
from vigie.logs_pipeline.templates import Change, Provisioner, ProvisionError
from vigie.schema import FeatureSchema
from vigie.settings import Settings, StoreSettings

PAUSE_SECONDS: Final = 1.0
Say = Callable[[str], None]


def provision_all(
    settings: Settings, schema: FeatureSchema, folder: Path, wait_seconds: float, say: Say
) -> Iterator[Change]:
    """Yield each change as it is made; `say` is told what is waited for or left out.

    Store and Kibana are each waited for up to `wait_seconds`; without KIBANA_URL only the templates are
    applied. Raises ProvisionError or KibanaError, in words, when one does not come or refuses.
    """
    yield from provision_store(settings.store, schema, wait_seconds, say)
    if not settings.store.kibana_url:
        say("KIBANA_URL is not set: templates only")
        return
    yield from provision_kibana(settings.store, schema, folder, wait_seconds, say)


def provision_store(
    settings: StoreSettings, schema: FeatureSchema, wait_seconds: float, say: Say
) -> Iterator[Change]:
    """Yield each change to the store's templates and indices."""
    end = time.monotonic() + wait_seconds
    told = False
    with connect_store(settings) as client:
        while True:
            try:
                changes = list(Provisioner(client, settings).run(schema))
                break
            except (ApiError, TransportError) as error:
                fault = fault_of(error, settings.url)
                if fault.ruling != "retry" or time.monotonic() >= end:
                    raise ProvisionError(fault.text) from error
                if not told:
                    say(f"waiting for the store: {fault.text}")
                    told = True
                time.sleep(min(PAUSE_SECONDS, max(0.0, end - time.monotonic())))
    yield from changes


def provision_kibana(
    settings: StoreSettings, schema: FeatureSchema, folder: Path, wait_seconds: float, say: Say
) -> Iterator[Change]:
    """Yield each change to Kibana's saved objects, connector and rules."""
    objects = objects_to_import(folder, schema, settings.es_index_prefix)
    rules = load_rules(folder / ALERTS_FILE) if (folder / ALERTS_FILE).exists() else None
    if not objects:
        say(f"no saved objects in {folder}: no dashboards")
    with KibanaClient(settings) as client:
        client.wait(wait_seconds, say)
        kibana = KibanaObjects(client, settings.es_index_prefix)
        if objects:
            yield from kibana.import_objects(objects)
        if rules is None:
            say(f"no {ALERTS_FILE} in {folder}: no alert rules")
        else:
            yield from kibana.provision_rules(rules)
