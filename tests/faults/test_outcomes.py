"""From simulated traffic with outcomes to the verdict on quality, through the whole platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.servers import wait_for
from tests.stack import Stack
from typer.testing import CliRunner

from vigie.cli import app
from vigie.drift import commands as drift_commands
from vigie.logs_pipeline.quality_watch import SLOT, QualityWatch
from vigie.quality import commands as quality_commands

PREDICTIONS = 500
WORDS = "ALARM: outcomes changed while inputs did not: concept drift"
FEEDBACK: dict[str, Any] = {"bool": {"filter": [{"term": {"doc_type": "feedback"}}]}}
LIVE: dict[str, Any] = {
    "bool": {
        "filter": [
            *FEEDBACK["bool"]["filter"],
            {"term": {"outcome.joined": True}},
            {"term": {"outcome.superseded": False}},
        ]
    }
}


@pytest.fixture
def stack(tmp_path: Path, package_path: Path) -> Iterator[Stack]:
    """Redis, store, API and pipeline, running."""
    one = Stack(tmp_path / "home", package_path)
    try:
        one.start("redis", "store", "api", "pipeline")
        yield one
    finally:
        one.stop()


def simulated(stack: Stack, *arguments: str) -> dict[str, Any]:
    """Send predictions of which three in four get an outcome within a second; wait until all are joined."""
    before = len(stack.documents("ml-api-message", LIVE))
    command = (
        "simulate", "--json", "--rate", "400", "--requests", str(PREDICTIONS), "--feedback", ".75",
        "--feedback-delay", "0s..1s", *arguments,
    )  # fmt: skip
    assert stack.finish(*command, timeout=120) == 0, stack.output(*command)
    said = stack.output(*command)
    summary: dict[str, Any] = json.loads(said[said.index("{") :])
    outcomes = summary["outcomes"]
    assert (summary["predictions"], summary["failed"]) == (PREDICTIONS, 0)
    assert outcomes["sent"] == outcomes["taken"] == pytest.approx(0.75 * PREDICTIONS, abs=30)
    found = before + outcomes["taken"]
    wait_for(
        lambda: len(stack.documents("ml-api-message", LIVE)) == found, 90, "each outcome to be joined, once"
    )
    assert len(stack.documents("ml-api-message", FEEDBACK)) == found
    return summary


def judged(stack: Stack, monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str) -> tuple[int, str]:
    """Exit status of `vigie quality` or `vigie drift` in this process, and what it printed."""
    monkeypatch.setattr(quality_commands, "load_settings", lambda: stack.settings)
    monkeypatch.setattr(drift_commands, "load_settings", lambda: stack.settings)
    ran = CliRunner().invoke(app, [command, *arguments])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.stdout


def verdict_of_the_watch(stack: Stack) -> dict[str, Any]:
    """The newest event of the scheduled check, made in the slot after any that the pipeline has judged."""
    assert QualityWatch(stack.settings, now=lambda: datetime.now(UTC) + SLOT).look()
    query: dict[str, Any] = {"bool": {"filter": [{"term": {"doc_type": "quality"}}]}}
    found = wait_for(lambda: stack.documents("ml-api-message", query), 90, "the verdict to be indexed")
    return found[-1]


@pytest.mark.every_store
def test_concept_drift_is_told_in_words_and_drift_stays_quiet(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While outcomes are as ever quality is fine; when a quarter of them turns it falls, and no input is blamed."""
    simulated(stack, "--seed", "2")
    status, printed = judged(stack, monkeypatch, "quality", "--json")
    before = json.loads(printed)
    assert (status, before["verdict"]) == (0, "fine"), before["words"]
    since = datetime.now(UTC).isoformat()

    simulated(stack, "--seed", "3", "--concept", ".25")
    status, printed = judged(stack, monkeypatch, "quality", "--json", "--since", since)
    after = json.loads(printed)
    assert (status, after["verdict"], after["conclusion"]) == (1, "concept drift", WORDS)
    fallen, was = (one["realised"]["accuracy"]["interval_95"] for one in (after, before))
    assert fallen[1] < 0.8 < was[0]
    status, printed = judged(stack, monkeypatch, "quality", "--since", since)
    assert status == 1
    assert {"drift of the inputs: none", WORDS} <= {*printed.splitlines()}

    status, printed = judged(stack, monkeypatch, "drift", "--json", "--window", str(PREDICTIONS))
    drift = json.loads(printed)
    assert (status, drift["window"]["rows"], drift["alarm"]) == (0, PREDICTIONS, [])

    event = verdict_of_the_watch(stack)["quality"]
    assert (event["verdict"], event["conclusion"], event["alarm"]) == ("concept drift", WORDS, True)
    assert event["outcomes"] == len(stack.documents("ml-api-message", LIVE))
