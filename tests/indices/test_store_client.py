"""The connection to the store."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from elastic_transport import SerializationError

from vigie.indices.store_client import connect_store
from vigie.settings import Settings


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, None),
        ({"ES_API_KEY": "a-key"}, "ApiKey a-key"),
        ({"ES_USERNAME": "me", "ES_PASSWORD": "secret"}, "Basic bWU6c2VjcmV0"),
        ({"ES_API_KEY": "a-key", "ES_USERNAME": "me", "ES_PASSWORD": "secret"}, "ApiKey a-key"),
        ({"ES_USERNAME": "me"}, None),
    ],
)
def test_credentials_are_sent(
    settings_for: Callable[..., Settings], environment: dict[str, str], header: str | None
) -> None:
    """An API key goes before user name and password."""
    with connect_store(settings_for(**environment).store) as client:
        assert client._headers.get("authorization") == header


def test_the_authorities_to_trust_are_used(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    """ES_CA_CERTS decides whom an https connection trusts, and certificates are verified."""
    file = tmp_path / "authorities.pem"
    with connect_store(settings_for(ES_SCHEME="https", ES_CA_CERTS=file).store) as client:
        (node,) = client.transport.node_pool.all()
        assert (node.config.scheme, node.config.ca_certs) == ("https", str(file))
        assert node.config.verify_certs is not False


@pytest.mark.parametrize("mimetype", ["application/x-ndjson", "application/vnd.elasticsearch+x-ndjson"])
def test_a_bulk_that_is_bytes_is_sent_as_it_is(settings_for: Callable[..., Settings], mimetype: str) -> None:
    """The lines of a bulk that were written beforehand are not copied; other lines are written out."""
    body = b'{"create":{}}\n{"number":1}\n'
    with connect_store(settings_for().store) as client:
        serializer = client.transport.serializers.get_serializer(mimetype)
        assert serializer.dumps(body) is body
        assert serializer.dumps([{"create": {}}, b'{"number":1}']) == b'{"create":{}}\n{"number":1}\n'


def test_what_a_strict_reader_refuses_in_an_answer_is_read_all_the_same(
    settings_for: Callable[..., Settings],
) -> None:
    """Documents of others may hold NaN or half a surrogate pair; a page of them must not fail for that."""
    with connect_store(settings_for().store) as client:
        for kind in ("application/json", "application/vnd.elasticsearch+json"):
            read = client.transport.serializers.get_serializer(kind).loads
            assert read(b'{"a": [1, "\\u00e9"]}') == {"a": [1, "é"]}
            found = read(b'{"a": NaN, "b": "\\ud800"}')
            assert math.isnan(found["a"])
            assert found["b"] == "\ud800"
            with pytest.raises(SerializationError):
                read(b'{"a": ')
