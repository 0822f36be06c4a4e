"""The rows that a package holds back from training."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from vigie.schema import FeatureSchema, Value


def held_out_records(file: Path, schema: FeatureSchema) -> Iterator[dict[str, Value]]:
    """Yield the inputs of the held-out rows in `file`, a package's holdout.csv, in their order."""
    convert = {"integer": int, "binary": int, "number": float, "category": str}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield {one.name: convert[one.type](row[one.name]) for one in schema.features}
