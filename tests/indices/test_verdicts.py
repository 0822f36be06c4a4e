"""The verdict table: what is done, what is tried again, and the little that is dead."""

from __future__ import annotations

import pytest

from vigie.indices.verdicts import item, whole_request


@pytest.mark.parametrize(
    ("status", "kind", "reason", "ruling"),
    [
        (200, "", "", "done"),
        (201, "", "", "done"),
        (409, "version_conflict_engine_exception", "document already exists", "done"),
        (429, "es_rejected_execution_exception", "queue is full", "retry"),
        (502, "", "", "retry"),
        (503, "unavailable_shards_exception", "primary shard is not active", "retry"),
        (504, "", "", "retry"),
        (400, "document_parsing_exception", "failed to parse field", "dead"),
        (400, "mapper_parsing_exception", "failed to parse", "dead"),
        (400, "strict_dynamic_mapping_exception", "not allowed", "dead"),
        (400, "illegal_argument_exception", "Document contains at least one immense term", "dead"),
        (400, "illegal_argument_exception", "id is too long, must be no longer than 512 bytes", "dead"),
        (400, "illegal_argument_exception", "no write index is defined for alias", "blocked"),
        (400, "validation_exception", "this cluster currently has [1000]/[1000] shards open", "blocked"),
        (400, "index_closed_exception", "closed", "blocked"),
        (400, "something_new", "?", "blocked"),
        (401, "security_exception", "missing authentication", "blocked"),
        (403, "security_exception", "unauthorized", "blocked"),
        (403, "cluster_block_exception", "index read-only", "blocked"),
        (404, "index_not_found_exception", "no such index", "blocked"),
        (429, "cluster_block_exception", "disk usage exceeded flood-stage watermark", "blocked"),
        (413, "", "", "too_large"),
        (500, "null_pointer_exception", "", "unclear"),
        (507, "", "", "unclear"),
    ],
)
def test_each_answer_has_its_verdict(status: int, kind: str, reason: str, ruling: str) -> None:
    """Only what a document itself can cause makes it dead; everything else is tried again."""
    fault = item(status, {"type": kind, "reason": reason} if kind else None)
    assert fault.ruling == ruling
    assert fault.trips == (ruling == "blocked")


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (401, "", "ES_API_KEY"),
        (403, "", "the right to create and write"),
        (404, "", "ES_HOST"),
        (403, "security_exception", "ES_API_KEY"),
        (403, "cluster_block_exception", "free disk space"),
        (400, "index_closed_exception", "open the index"),
        (404, "index_not_found_exception", "auto_create_index"),
        (400, "validation_exception", "RETENTION_DAYS"),
        (400, "unheard_of", "the store's own log"),
    ],
)
def test_what_stands_in_the_way_comes_with_its_remedy(status: int, kind: str, remedy: str) -> None:
    """An operator reads what to do, not only what failed."""
    assert remedy in item(status, {"type": kind, "reason": "because"}).text


def test_the_cause_of_a_refusal_is_told() -> None:
    """The reason inside Elasticsearch's `caused_by` names the value at fault: it belongs into the letter."""
    error = {
        "type": "document_parsing_exception",
        "reason": "[1:2]",
        "caused_by": {"reason": 'For input "x"'},
    }
    assert item(400, error).text == 'document_parsing_exception: [1:2] (For input "x")'


@pytest.mark.parametrize(
    ("status", "kind", "ruling", "trips"),
    [
        (503, "", "retry", True),
        (429, "", "retry", True),
        (400, "document_parsing_exception", "blocked", True),
        (401, "security_exception", "blocked", True),
        (413, "", "too_large", False),
        (500, "", "unclear", False),
    ],
)
def test_a_refused_request_kills_no_document(status: int, kind: str, ruling: str, trips: bool) -> None:
    """A request refused as a whole says nothing about one document of it."""
    fault = whole_request(status, kind, "because")
    assert (fault.ruling, fault.trips) == (ruling, trips)


def test_a_ruling_says_what_the_store_said() -> None:
    """A dead letter names status, type of error and reason, the deeper cause included."""
    cause = {"type": "number_format_exception", "reason": 'For input string: "slow"'}
    error = {"type": "document_parsing_exception", "reason": "failed to parse field", "caused_by": cause}
    fault = item(400, error)
    assert (fault.status, fault.type) == (400, "document_parsing_exception")
    assert fault.reason == 'failed to parse field (For input string: "slow")'
    assert fault.text == f"document_parsing_exception: {fault.reason}"
    assert (item(500, {"type": "panic", "reason": "r"}).status, item(413, None).status) == (500, 413)
