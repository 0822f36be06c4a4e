"""The connection to the store: the official client, with every retry left to the indexer."""

from __future__ import annotations

from typing import Any

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError
from elasticsearch.serializer import JsonSerializer, NdjsonSerializer

from vigie.indices.verdicts import Fault, whole_request
from vigie.settings import StoreSettings


def connect_store(settings: StoreSettings, *, timeout: float = 10.0) -> Elasticsearch:
    """Return a client for `settings` that gives up after `timeout` seconds and never retries by itself."""
    options: dict[str, Any] = {"request_timeout": timeout, "max_retries": 0, "retry_on_timeout": False}
    if settings.es_api_key:
        options["api_key"] = settings.es_api_key.get_secret_value()
    elif settings.es_username and settings.es_password:
        options["basic_auth"] = (settings.es_username, settings.es_password.get_secret_value())
    if settings.es_ca_certs:
        options["ca_certs"] = str(settings.es_ca_certs)
    options["serializers"] = {JsonSerializer.mimetype: _Json(), NdjsonSerializer.mimetype: _Lines()}
    # a node that failed once is tried again at once: how long to wait is the circuit breaker's decision
    return Elasticsearch(settings.url, dead_node_backoff_factor=0.0, max_dead_node_backoff=0.0, **options)


class _Json(JsonSerializer):
    """Reads answers by orjson, and what that is too strict for (NaN, lone surrogates) by the library."""

    def json_loads(self, data: bytes) -> Any:
        """Return what `data` says. Raises ValueError for what is no JSON."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return super().json_loads(data)


class _Lines(NdjsonSerializer):
    """Sends a bulk that is bytes already as it is; the library's would copy its megabytes twice."""

    def dumps(self, data: Any) -> bytes:
        """Return the body of a bulk: `data` itself, or its lines."""
        return data if isinstance(data, bytes) else super().dumps(data)


def fault_of(error: ApiError | TransportError, url: str) -> Fault:
    """Return what an exception of the client means for the request that raised it."""
    if isinstance(error, ApiError):
        cause = error.body.get("error") if isinstance(error.body, dict) else None
        if isinstance(cause, dict):
            return whole_request(error.status_code, str(cause.get("type")), str(cause.get("reason")))
        return whole_request(error.status_code, "", str(cause or error.body or error.message)[:200])
    text = f"the store at {url} does not answer ({error.message}): start it, or check ES_HOST and ES_PORT"
    return Fault("retry", text, trips=True)
