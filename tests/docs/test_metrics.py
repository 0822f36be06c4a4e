"""The page on the metrics and the catalogue are of one mind."""

from __future__ import annotations

import re

from tests.servers import ROOT

from vigie.telemetry.metrics.catalogue import METRICS, Metric

PAGE = (ROOT / "docs" / "operations" / "metrics.md").read_text(encoding="utf-8")


def shown(metric: Metric) -> str:
    """The name under which Prometheus has it."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.kind, "")


def test_every_metric_is_documented_and_no_other() -> None:
    """Each name in the tables is one of the catalogue's, and the other way round."""
    named = set(re.findall(r"`((?:vigie|process)_[a-z_]+)`", PAGE))
    assert {shown(metric) for metric in METRICS} - named == set()
    assert named - {shown(metric) for metric in METRICS} == set()


def test_every_label_is_documented() -> None:
    """A label's name is on the page, in the row of its metric or of the one it shares them with."""
    lacking = {
        label
        for metric in METRICS
        if metric.kind != "info"
        for label in metric.labels
        if f"`{label}`" not in PAGE
    }
    assert lacking == set()


def test_names_follow_prometheus() -> None:
    """Base units at the end, no `_total` of our own, a help text that is a sentence."""
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", metric.name)
        assert not metric.name.endswith(("_total", "_ms", "_mb", "_info", "_count", "_sum", "_bucket"))
        assert not metric.help[0].islower() and not metric.help.endswith(".")
        if metric.kind == "histogram":
            assert list(metric.bounds) == sorted(set(metric.bounds))
            assert metric.name.endswith(("_seconds", "_rows"))
