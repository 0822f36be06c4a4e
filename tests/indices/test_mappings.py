"""The declared mappings."""

from __future__ import annotations

from vigie.indices.mappings import COMMON_FIELDS, INDICES, index_mappings

COMMON = (
    "@timestamp doc_type transaction_id correlation_id batch_id subject_id producer number level message method "
    "path status_code status latency_ms model hour_of_day day_of_week"
)


def test_every_index_has_the_common_fields() -> None:
    """A panel may use a common field on any of the three indices."""
    assert set(COMMON_FIELDS) == set(COMMON.split())
    for index in INDICES:
        assert set(COMMON_FIELDS) <= set(index_mappings()[index])


def test_times_are_kept_to_the_microsecond() -> None:
    """With type `date`, events of one millisecond would be lost between two pages."""
    assert all(fields["@timestamp"]["type"] == "date_nanos" for fields in index_mappings().values())


def test_the_eight_metrics_are_at_the_top_of_the_performance_index() -> None:
    """Alert rules and panels name them without a path."""
    perfs = index_mappings()["ml-api-perfs"]
    metrics = (
        "inference_time_ms cpu_time_ms memory_mb memory_delta_mb function_calls latency_ms top_functions"
    )
    assert {*metrics.split(), "transaction_id"} <= set(perfs)
