"""The reference profile: frozen bins and counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.schemas import mixed_schema

from vigie.model.dataset import Dataset
from vigie.model.package import PackageError
from vigie.model.reference_profile import Profile, profile, quantile_edges, read_reference


def test_a_profile_counts_every_type_of_feature(tmp_path: Path) -> None:
    """Deciles for numbers, levels for binaries and categories, and what was answered to the held-out rows."""
    schema = mixed_schema(tmp_path)
    records = [
        {
            "PLAN": "Basic" if i < 30 else "Pro",
            "monthly_spend": i + 0.5,
            "YEARS": i // 50,
            "ONLINE": i % 2,
            "GENDER": 0,
        }
        for i in range(100)
    ]
    rows = Dataset(list(records), ["stays"] * 60 + ["leaves"] * 40, "here")
    answers = np.array([[0.7, 0.3]] * 15 + [[0.4, 0.6]] * 5)
    found = profile(rows, answers, schema)
    assert found.rows == 100
    assert found.observed == {"stays": 60, "leaves": 40}
    assert (found.prediction.rows, found.prediction.labels.counts) == (20, (15, 5))
    assert found.prediction.probability is not None
    assert found.prediction.probability.edges == (0.6,)
    assert found.prediction.probability.counts == (15, 5)
    assert found.prediction.probability.mean == pytest.approx(0.375)
    assert found.features["monthly_spend"].edges == tuple(i + 0.5 for i in range(10, 91, 10))
    assert found.features["monthly_spend"].counts == (10,) * 10
    assert found.features["monthly_spend"].mean == pytest.approx(50)
    assert (found.features["YEARS"].edges, found.features["YEARS"].counts) == ((1,), (50, 50))
    assert found.features["PLAN"].levels == ("Basic", "Plus", "Pro")
    assert found.features["PLAN"].counts == (30, 0, 70)
    assert found.features["GENDER"].counts == (100, 0)
    assert {f.missing + f.unseen for f in found.features.values()} == {0}


def test_of_more_than_two_classes_only_the_labels_are_profiled(tmp_path: Path) -> None:
    """There an answer's probability is that of the class given, which says nothing of the others."""
    target = {
        "name": "X", "title": "X", "classes": ["a", "b", "c"], "positive": "a",
    }  # fmt: skip
    schema = mixed_schema(tmp_path, target=target)
    row = {"PLAN": "Basic", "monthly_spend": 1.5, "YEARS": 1, "ONLINE": 0, "GENDER": 0}
    found = profile(Dataset([row] * 4, ["a"] * 4, "here"), np.array([[0.2, 0.3, 0.5]] * 4), schema)
    assert found.prediction.probability is None
    assert found.prediction.labels.cells == (0, 0, 4, 0, 0)


def test_other_values_are_counted_over_the_same_bins() -> None:
    """An edge belongs to the bin above it; what lies outside falls into the outer bins."""
    bins = Profile(kind="bins", edges=(10.0, 20.0), counts=(5, 5, 5))
    assert bins.count([-100, 9.9, 10, 19, 20, 1e9, None]).cells == (2, 2, 2, 1, 0)
    assert bins.count([None, 10]).mean == 10
    levels = Profile(kind="levels", levels=("a", "b"), counts=(1, 1))
    assert levels.count(["a", "a", "c", None]).cells == (2, 0, 1, 1)
    assert levels.count(["a", "a", "c", None]).rows == 4
    assert (bins.count([]).cells, bins.count([]).mean) == ((0, 0, 0, 0, 0), None)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([0] * 95 + [3, 4, 5, 6, 7], (3.0,)),
        ([1, 2, 3, 4, 5] + [9] * 95, (9.0,)),
        ([5] * 40 + [1] * 30 + [8] * 30, (5.0, 8.0)),
        ([7] * 100, ()),
        ([1, 2], (2.0,)),
    ],
)
def test_equal_values_share_a_bin(values: list[float], edges: tuple[float, ...]) -> None:
    """A frequent value stands alone, at either end; one value has one bin."""
    assert quantile_edges(values) == edges


@given(st.lists(st.integers(-50, 50) | st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_bins_part_all_values(values: list[float]) -> None:
    """Edges rise, every value is in one bin, no bin of the reference is empty, there are twenty at most."""
    edges = quantile_edges(values)
    counted = Profile(kind="bins", edges=edges, counts=()).count(values)
    assert list(edges) == sorted(set(edges))
    assert sum(counted.counts) == len(values)
    assert min(counted.counts) > 0
    assert len(counted.counts) <= 20


def test_the_packages_profile_covers_its_rows(package_path: Path) -> None:
    """reference.json accounts for each training row in each feature, and for the answer to each held-out one."""
    found = read_reference(package_path)
    assert found.rows == 16_000
    assert {f.rows for f in found.features.values()} == {16_000}
    assert sum(found.observed.values()) == 16_000
    assert found.prediction.rows == found.prediction.labels.rows == 4000
    assert found.prediction.labels.counts[1] / 4000 == pytest.approx(0.88, abs=0.03)
    assert found.prediction.probability is not None
    assert found.prediction.probability.rows == 4000
    assert found.features["AGE"].kind == "bins"
    assert len(found.features["AGE"].counts) == len(found.features["AGE"].edges) + 1
    assert found.features["GENDER"].levels == (0, 1)


def test_a_profile_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message names the file and says what to do; so it does where there is none."""
    with pytest.raises(PackageError, match="cannot be read"):
        read_reference(tmp_path)
    (tmp_path / "reference.json").write_text('{"rows": 5, "features": {}, "predicted": {}}')
    with pytest.raises(PackageError, match=r"not a reference profile of this version.*make train"):
        read_reference(tmp_path)
