"""The simulated cohort against the figures it is drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.model.schemas import mixed_schema

from vigie.model.cohort import draw
from vigie.schema import FeatureSchema, SchemaError

# P(feature = 1 | YES), P(feature = 1 | NO), as published.
FIGURES = {
    "GENDER": (0.53, 0.45),
    "SMOKING": (0.55, 0.50),
    "YELLOW_FINGERS": (0.61, 0.34),
    "ANXIETY": (0.53, 0.32),
    "PEER_PRESSURE": (0.55, 0.26),
    "FATIGUE": (0.69, 0.47),
    "ALLERGY": (0.61, 0.13),
    "WHEEZING": (0.60, 0.24),
    "ALCOHOL_CONSUMING": (0.61, 0.18),
    "COUGHING": (0.63, 0.26),
    "SHORTNESS_OF_BREATH": (0.64, 0.55),
    "SWALLOWING_DIFFICULTY": (0.52, 0.13),
    "CHEST_PAIN": (0.60, 0.32),
}
STANDARD_ERRORS = 4.5


@pytest.fixture(scope="module")
def drawn(schema: FeatureSchema) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of the declared cohort, and whether each row is YES."""
    assert schema.simulation is not None
    records, labels = draw(schema, schema.simulation.rows, schema.simulation.seed)
    columns = {name: np.array([record[name] for record in records]) for name in schema.names}
    return columns, np.array(labels) == "YES"


def test_the_declared_cohort_has_20000_rows_at_the_published_prevalence(drawn: tuple) -> None:
    """The share of YES is 0.86, up to chance."""
    _, yes = drawn
    assert yes.size == 20_000
    assert abs(yes.mean() - 0.86) < STANDARD_ERRORS * np.sqrt(0.86 * 0.14 / yes.size)


@pytest.mark.parametrize("name", FIGURES)
def test_every_binary_feature_has_its_published_share_in_each_class(name: str, drawn: tuple) -> None:
    """P(feature = 1 | class) is the published figure, up to chance."""
    columns, yes = drawn
    for members, share in zip((yes, ~yes), FIGURES[name], strict=True):
        values = columns[name][members]
        assert set(values.tolist()) == {0, 1}
        assert abs(values.mean() - share) < STANDARD_ERRORS * np.sqrt(share * (1 - share) / values.size)


def test_age_is_normal_in_each_class_rounded_and_clipped(drawn: tuple) -> None:
    """AGE is a whole number from 20 to 90 with the published mean and deviation."""
    columns, yes = drawn
    assert columns["AGE"].dtype == np.int64
    assert columns["AGE"].min() >= 20
    assert columns["AGE"].max() == 90
    for members, mean, sd in ((yes, 63.3, 8.1), (~yes, 60.7, 9.8)):
        ages = columns["AGE"][members]
        assert abs(ages.mean() - mean) < STANDARD_ERRORS * sd / np.sqrt(ages.size)
        assert abs(ages.std() - sd) < 0.3


def test_features_are_independent_within_a_class(drawn: tuple) -> None:
    """Within a class no two features are correlated beyond chance."""
    columns, yes = drawn
    for members in (yes, ~yes):
        correlation = np.corrcoef(np.array([values[members] for values in columns.values()]))
        np.fill_diagonal(correlation, 0)
        assert np.abs(correlation).max() < STANDARD_ERRORS / np.sqrt(members.sum())


def test_the_seed_decides_the_rows(schema: FeatureSchema) -> None:
    """The same seed draws the same rows, another seed others; rows are valid and typed for storage."""
    records, labels = draw(schema, 50, seed=7)
    assert (records, labels) == draw(schema, 50, seed=7)
    assert records != draw(schema, 50, seed=8)[0]
    for record in records:
        assert schema.request_model.model_validate(record).model_dump() == record
    assert set(labels) <= {"NO", "YES"}


def test_a_schema_without_a_simulation_draws_nothing(tmp_path: Path) -> None:
    """The refusal names the schema."""
    with pytest.raises(SchemaError, match="contract: its schema declares no simulation"):
        draw(mixed_schema(tmp_path), 10, seed=1)


def feature(name: str, kind: str, left: object, stays: object, **more: object) -> dict[str, object]:
    simulation = {"per_class": {"leaves": left, "stays": stays}}
    return {"name": name, "type": kind, "group": "all", "label": name, "simulation": simulation, **more}


def simulated(folder: Path, one: dict[str, object]) -> FeatureSchema:
    plan = {"rows": 1000, "seed": 1, "prevalence": 0.3, "source": "made up"}
    return mixed_schema(folder, data=None, derive=None, simulation=plan, features=[one])


def test_a_number_is_not_rounded_and_keeps_to_its_own_range(tmp_path: Path) -> None:
    """Without a clip of its own a numeric draw stays within the feature's range."""
    one = feature("SIZE", "number", {"mean": 3, "sd": 2}, {"mean": 1, "sd": 2}, minimum=0, maximum=4)
    records, labels = draw(simulated(tmp_path, one), 2000, seed=3)
    sizes = [float(record["SIZE"]) for record in records]
    assert min(sizes) == 0
    assert max(sizes) == 4
    assert not all(size.is_integer() for size in sizes)
    assert 0.25 < labels.count("leaves") / 2000 < 0.35


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (
            feature("ONLINE", "binary", {"mean": 1, "sd": 1}, 0.5),
            "ONLINE: a binary feature is not drawn from",
        ),
        (
            feature("YEARS", "integer", 0.5, 0.5, minimum=0, maximum=9),
            "YEARS: only a binary feature is drawn",
        ),
    ],
)
def test_a_distribution_that_does_not_fit_its_feature_is_refused(
    one: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """The refusal names the feature."""
    with pytest.raises(SchemaError, match=reason):
        draw(simulated(tmp_path, one), 100, seed=1)
