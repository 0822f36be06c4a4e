"""`vigie quality`: what it prints, writes and ends with."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics
from tests.drift.test_commands import Page
from tests.drift.traffic import older_and_more_tired
from tests.quality.documents import Case, cases, documents, store, turned_in
from tests.servers import free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.errors import VigieError
from vigie.quality import commands
from vigie.schema import FeatureSchema
from vigie.settings import Settings

BEGIN = datetime(2026, 11, 18, tzinfo=UTC)
PERIOD = ("--since", "2026-11-18", "--until", "2026-11-20")


def vigie(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Run the command in this process; return its exit status and what it printed."""
    monkeypatch.setattr(commands, "load_settings", lambda: settings)
    monkeypatch.setattr(commands, "out", Console(highlight=False, width=80))
    ran = CliRunner().invoke(app, ["quality", *PERIOD, *arguments])
    if isinstance(ran.exception, VigieError):  # `main` makes it one line and status 2
        raise ran.exception
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.stdout


def found_by(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, Any]:
    """Run the command for JSON."""
    status, printed = vigie(settings, monkeypatch, "--json", *arguments)
    return status, json.loads(printed)


def known(found: list[Case]) -> tuple[list[int], list[int], np.ndarray[Any, Any]]:
    """True classes, classes given and probabilities of the cases with an outcome."""
    rows = [one for one in found if one.outcome is not None]
    return (
        [int(one.outcome == "YES") for one in rows],
        [int(one.label == "YES") for one in rows],
        np.array([one.probability for one in rows]),
    )


def test_quality_as_promised(
    settings: Settings,
    package_path: Path,
    schema: FeatureSchema,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Status 0; every figure is what scikit-learn finds in the same outcomes, and lies in its interval."""
    found = cases(package_path, schema, 1200, BEGIN, known=0.6)
    store(settings, list(documents(found)))
    status, printed = vigie(settings, monkeypatch, "--by", "day", "--html", str(tmp_path / "quality.html"))
    assert status == 0, printed
    assert "quality is what training promised and what the probabilities foretell" in printed
    assert max(map(len, printed.splitlines())) <= 80
    status, quality = found_by(settings, monkeypatch)
    truth, given, p = known(found)
    realised = quality["realised"]
    right = {
        "accuracy": metrics.accuracy_score(truth, given),
        "precision": metrics.precision_score(truth, given),
        "recall": metrics.recall_score(truth, given),
        "f1": metrics.f1_score(truth, given),
        "brier": metrics.brier_score_loss(truth, p),
    }
    for name, value in right.items():
        assert realised[name]["value"] == pytest.approx(value), name
        low, high = realised[name]["interval_95"]
        assert low < value < high
        assert high - low < 0.1
    assert (status, quality["verdict"], quality["drift"]) == (0, "fine", {"judged": True, "inputs": []})
    assert (quality["predictions"], quality["outcomes"]) == (1200, len(truth))
    assert quality["coverage"] == len(truth) / 1200
    assert quality["lag_ms"] == {
        "median": pytest.approx(18e6, rel=0.02),
        "p90": pytest.approx(18e6, rel=0.02),
    }
    curve = quality["calibration"]["curve"]
    bins = np.minimum((p * 10).astype(int), 9)
    assert [one["rows"] for one in curve] == np.bincount(bins, minlength=10).tolist()
    filled = [one for one in curve if one["rows"]]
    error = sum(one["rows"] * abs(one["share"] - one["mean_probability"]) for one in filled) / len(truth)
    assert quality["calibration"]["error"] == pytest.approx(error)
    expected = realised["expected"]["accuracy"]
    assert expected["interval_95"][0] < right["accuracy"] < expected["interval_95"][1]
    assert quality["expected_of_all_predictions"]["rows"] == 1200
    page = Page((tmp_path / "quality.html").read_text(encoding="utf-8"))
    assert (page.tags.count("figure"), page.outside) == (2, [])


def test_concept_drift_without_input_drift(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes change, inputs do not: status 1, and table and JSON say so in words."""
    store(settings, list(documents(cases(package_path, schema, 600, BEGIN, truth=turned_in(0.15)))))
    status, printed = vigie(settings, monkeypatch)
    assert status == 1
    assert "drift of the inputs: none" in printed
    assert "ALARM: outcomes changed while inputs did not: concept drift" in printed
    assert re.search(r"accuracy \d+\.\d%, expected \d+\.\d%–\d+\.\d%", printed)
    status, quality = found_by(settings, monkeypatch)
    assert (status, quality["verdict"]) == (1, "concept drift")
    assert quality["conclusion"] == "ALARM: outcomes changed while inputs did not: concept drift"
    (accuracy,) = [one for one in quality["compared"] if one["name"] == "accuracy"]
    assert (accuracy["below_training"], accuracy["disagrees"]) == (True, True)
    assert accuracy["realised"] < accuracy["expected"]["low"]


def test_worse_answers_to_other_inputs_are_put_down_to_them(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs and outcomes changed: the inputs that drifted are named, and it is not called concept drift."""
    changed = cases(package_path, schema, 600, BEGIN, change=older_and_more_tired, truth=turned_in(0.15))
    store(settings, list(documents(changed)))
    status, quality = found_by(settings, monkeypatch)
    assert (status, quality["verdict"]) == (1, "inputs drifted")
    assert set(quality["drift"]["inputs"]) == {"AGE", "FATIGUE"}
    assert "inputs drifted (AGE, FATIGUE)" in quality["conclusion"]


def test_what_cannot_be_judged_has_a_status_of_its_own(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2 for too few outcomes, with what can be expected told; a store that is away is an error."""
    found = cases(package_path, schema, 200, BEGIN, known=0.1)
    store(settings, list(documents(found)))
    count = len(known(found)[0])
    status, printed = vigie(settings, monkeypatch)
    assert status == 2
    assert f"cannot be judged: fewer than 50 outcomes\n  {count} outcomes are known" in printed
    _, quality = found_by(settings, monkeypatch)
    foretold = quality["expected_of_all_predictions"]
    assert foretold["rows"] == 200
    assert 0.85 < foretold["accuracy"]["interval_95"][0] < foretold["accuracy"]["interval_95"][1] < 0.98
    status, printed = vigie(settings, monkeypatch, "--model-version", "0.9")
    assert status == 2
    assert "0 of 0 predictions have an outcome" in printed
    away = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": free_port()})})
    with pytest.raises(VigieError, match="does not answer"):
        vigie(away, monkeypatch)


def test_only_joined_outcomes_that_stand_are_counted(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that a correction replaced, nor one without its prediction, nor another version's."""
    found = cases(package_path, schema, 60, BEGIN)
    stored = list(documents(found))
    feedback = next(one for one in stored if one["doc_type"] == "feedback")
    outcome = feedback["outcome"]
    for number, changes in enumerate(
        (
            {"outcome": {**outcome, "superseded": True}},
            {"outcome": {"label": "NO", "position": 0, "joined": False, "superseded": False}},
            {"model": {**feedback["model"], "version": "2.0.0"}},
            {"outcome": {**outcome, "predicted_at": "2026-11-20T00:00:00.000000Z"}},
        )
    ):
        stored.append({**feedback, "number": 9_000_000 + number, **changes})
    store(settings, stored)
    _, quality = found_by(settings, monkeypatch, "--by", "version")
    assert (quality["outcomes"], quality["predictions"]) == (60, 60)
    assert {one["name"]: one["outcomes"] for one in quality["groups"]} == {"1.0.0": 60, "2.0.0": 1}


@pytest.mark.parametrize("by", ["day", "hour", "GENDER"])
def test_groups_have_their_own_figures(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Each outcome is in the group of its prediction's time or input, and each group has its own figures."""
    found = cases(package_path, schema, 90, BEGIN + timedelta(hours=23))
    store(settings, list(documents(found)))
    names = {
        "day": lambda case: case.at.date().isoformat(),
        "hour": lambda case: f"{case.at:%Y-%m-%dT%H:00}",
        "GENDER": lambda case: str(case.record["GENDER"]),
    }
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(names[by](case), []).append(case)
    status, quality = found_by(settings, monkeypatch, "--by", by)
    assert [one["name"] for one in quality["groups"]] == sorted(groups)
    assert len(groups) >= 2
    for one in quality["groups"]:
        truth, given, p = known(groups[one["name"]])
        assert one["outcomes"] == len(truth)
        assert one["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(truth, given))
        assert one["brier"]["value"] == pytest.approx(float(((p - truth) ** 2).mean()))
        assert one["expected"]["rows"] == len(truth)
    assert status == 0


def test_a_group_that_is_none_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what there is."""
    with pytest.raises(VigieError, match="--by AGE is none of day, hour, version, GENDER"):
        vigie(settings, monkeypatch, "--by", "AGE")
    with pytest.raises(VigieError, match="by hour: 7 days at most, not 8"):
        vigie(settings, monkeypatch, "--by", "hour", "--since", "2026-11-12")
