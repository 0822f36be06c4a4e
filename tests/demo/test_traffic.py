"""The demonstration's traffic: simulated rows, or held-out rows replayed with their labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
from tests.servers import ROOT

from vigie.demo.traffic import Labels, sample_traffic
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings
from vigie.simulation.requests import Request, batch, prediction
from vigie.simulation.rows import Row

EXAMPLE = ROOT / "examples" / "breast_cancer"


def test_every_kind_of_traffic_occurs(
    schema: FeatureSchema, package_path: Path, settings_for: Callable[..., Settings]
) -> None:
    """Most requests are single predictions; bad ones, batches and page views are between them."""
    traffic = sample_traffic(settings_for(MODEL_PATH=package_path), schema, package_path)
    kinds = Counter(request.kind for _, request in itertools.islice(traffic.planned, 1000))
    assert kinds["predict"] > 800
    assert min(kinds["browse"], kinds["batch"], kinds["bad"]) > 15
    assert traffic.heard is None


def test_held_out_rows_are_replayed_in_turn(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    """A model on a known data set gets its held-out rows, over and over, and their labels are kept."""
    schema = load_schema(EXAMPLE)
    header = ",".join([*schema.names, schema.target.name])
    lines = [",".join(["0.5"] * len(schema.names) + [label]) for label in ("malignant", "benign")]
    (tmp_path / "holdout.csv").write_text("\n".join([header, *lines]) + "\n")
    settings = settings_for()
    traffic = sample_traffic(settings, schema, tmp_path)
    asked = [row.number for _, one in itertools.islice(traffic.planned, 100) for row in one.rows]
    assert asked == [number % 2 for number in range(len(asked))]
    assert isinstance(traffic.heard, Labels)


def test_labels_are_written_once(tmp_path: Path) -> None:
    """Each held-out row's transaction id is written with its label in the first pass only."""
    file = tmp_path / "traffic" / "labels.jsonl"
    file.parent.mkdir()
    file.write_text("of the last time\n")
    first, second, third = Row({}, 0, "yes"), Row({}, 1, "no"), Row({}, 2, "no")
    labels = Labels(file)
    assert not file.exists()
    labels(prediction(first), [{"transaction_id": "t0"}])
    three = [{"transaction_id": "b0"}, {"transaction_id": "b1"}, {"error": "no"}]
    labels(batch((first, second, third)), three)
    labels(Request("predict", "POST", "/predict", b"{}", (Row({}),)), [{"transaction_id": "t1"}])
    assert [orjson.loads(line) for line in file.read_text().splitlines()] == [
        {"transaction_id": "t0", "row": 0, "label": "yes"},
        {"transaction_id": "b1", "row": 1, "label": "no"},
    ]
