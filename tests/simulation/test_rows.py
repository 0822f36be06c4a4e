"""Rows to be sent: valid, distributed as what the model was trained on, the same for a seed."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.servers import ROOT

from vigie.drift.effect_size import population_stability_index
from vigie.model.package import MANIFEST
from vigie.model.reference_profile import read_reference
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings
from vigie.simulation.rows import (
    Row,
    SimulationError,
    cohort_rows,
    held_out_rows,
    profile_rows,
    range_rows,
    source_for,
)

EXAMPLE = ROOT / "examples" / "breast_cancer"


def some(rows: Iterator[Row], count: int = 1200) -> list[Row]:
    """Take some rows."""
    return list(itertools.islice(rows, count))


@pytest.fixture
def made(schema: FeatureSchema, package_path: Path) -> list[Callable[[int], Iterator[Row]]]:
    """Every way to make rows of the reference model."""
    reference = read_reference(package_path)
    return [
        partial(cohort_rows, schema),
        partial(profile_rows, schema, reference),
        partial(range_rows, schema),
    ]


def test_rows_are_valid_and_repeatable(
    schema: FeatureSchema, made: list[Callable[[int], Iterator[Row]]]
) -> None:
    """Each record is one that the API takes; the same seed gives the same rows, another one others."""
    for rows in made:
        drawn = some(rows(3))
        for row in drawn:
            schema.request_model.model_validate(row.record)
        assert drawn == some(rows(3))
        assert drawn != some(rows(4))


def test_rows_of_cohort_and_profile_are_distributed_as_in_training(
    package_path: Path, made: list[Callable[[int], Iterator[Row]]]
) -> None:
    """Every input of 4,000 rows has the reference's distribution, up to chance; evenly spread ones have not."""
    reference = read_reference(package_path)

    def largest_psi(rows: Callable[[int], Iterator[Row]]) -> float:
        drawn = some(rows(3), 4000)
        return max(
            population_stability_index(one.cells, one.count([row.record[name] for row in drawn]).cells)
            for name, one in reference.features.items()
        )

    cohort, profile, ranges = (largest_psi(rows) for rows in made)
    assert cohort < 0.02
    assert profile < 0.02
    assert ranges > 0.2


def test_outcomes_come_with_the_cohorts_rows(schema: FeatureSchema) -> None:
    """A cohort's row has its true class, with the declared prevalence; nothing is made up for the others."""
    assert schema.simulation is not None
    labels = [row.label for row in some(cohort_rows(schema, 3), 4000)]
    assert labels.count(schema.target.positive) / 4000 == pytest.approx(
        schema.simulation.prevalence, abs=0.03
    )
    assert {row.label for row in some(range_rows(schema, 3))} == {None}


def test_the_source_is_what_the_model_was_trained_on(
    schema: FeatureSchema, package_path: Path, tmp_path: Path, settings_for: Callable[..., Settings]
) -> None:
    """The cohort for a simulated one, the profile for one trained on data, the ranges without a package."""
    data = tmp_path / "on-data"
    shutil.copytree(package_path, data)
    manifest = (data / MANIFEST).read_text()
    assert '"simulated": true' in manifest
    (data / MANIFEST).write_text(manifest.replace('"simulated": true', '"simulated": false'))
    example = load_schema(EXAMPLE)
    for package, one, name in (
        (package_path, schema, "the simulated cohort"),
        (data, schema, "the reference profile"),
        (package_path, example, "the ranges of the schema"),
    ):
        source = source_for(one, settings_for(MODEL_PATH=package))
        assert source.name == name
        one.request_model.model_validate(next(source.rows(1)).record)


def test_where_outcomes_are_wanted_they_are_known(
    schema: FeatureSchema, package_path: Path, tmp_path: Path, settings_for: Callable[..., Settings]
) -> None:
    """The cohort's, or those of a known data set's held-out rows; any other model is refused in words."""
    assert source_for(schema, settings_for(), with_outcomes=True).name == "the simulated cohort"
    example = load_schema(EXAMPLE)
    with pytest.raises(SimulationError, match=r"--feedback: .* breast_cancer has neither on this machine"):
        source_for(example, settings_for(MODEL_PATH=package_path), with_outcomes=True)
    shutil.copy(package_path / MANIFEST, tmp_path)
    shutil.copy(EXAMPLE / "schema.yaml", tmp_path)
    header = ",".join([*example.names, example.target.name])
    lines = [",".join([number, *["0.5"] * (len(example.names) - 1), "benign"]) for number in ("0.1", "0.2")]
    (tmp_path / "holdout.csv").write_text("\n".join([header, *lines]) + "\n")
    source = source_for(example, settings_for(MODEL_PATH=tmp_path), with_outcomes=True)
    drawn = some(source.rows(1), 4)
    assert source.name == "the held-out rows"
    assert sorted(row.number for row in drawn) == [0, 0, 1, 1]  # type: ignore[type-var]
    assert {row.label for row in drawn} == {"benign"}


def test_held_out_rows_come_in_order(tmp_path: Path) -> None:
    """A model on a known data set has the rows of holdout.csv, with number and label."""
    schema = load_schema(EXAMPLE)
    header = ",".join([*schema.names, schema.target.name])
    lines = [",".join(["0.5"] * len(schema.names) + [label]) for label in ("malignant", "benign")]
    (tmp_path / "holdout.csv").write_text("\n".join([header, *lines]) + "\n")
    rows = held_out_rows(schema, tmp_path)
    assert [(row.number, row.label) for row in rows] == [(0, "malignant"), (1, "benign")]
    assert set(rows[0].record.values()) == {0.5}
