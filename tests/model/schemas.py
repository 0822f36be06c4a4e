"""Small schemas for the model's tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from vigie.model.feature_engineering import FloatArray
from vigie.schema import FeatureSchema, load_schema

MIXED = """
name: contract
title: Contract
description: Whether a customer leaves.
caution: an example
target: {name: LEAVES, title: Leaves, classes: [stays, leaves], positive: leaves}
derive: tests.model.schemas:derive_spend
data: tests.model.schemas:no_data
groups: [{name: all, title: All}]
features:
  - {name: PLAN, type: category, group: all, label: Plan, categories: [Basic, Plus, Pro]}
  - {name: monthly_spend, type: number, group: all, label: Spend, minimum: 0, maximum: 500}
  - {name: YEARS, type: integer, group: all, label: Years, minimum: 0, maximum: 40}
  - {name: ONLINE, type: binary, group: all, label: Online}
  - name: GENDER
    type: binary
    group: all
    label: Gender
    values: {0: {en: Female, fr: Femme}, 1: {en: Male, fr: Homme}}
"""


def derive_spend(inputs: Mapping[str, FloatArray], /) -> dict[str, FloatArray]:
    """One derived feature: what was spent in all."""
    return {"total_spend": inputs["monthly_spend"] * inputs["YEARS"] * 12}


def derive_unknown(inputs: Mapping[str, FloatArray], /) -> dict[str, FloatArray]:
    """Reads an input that the schema does not have."""
    return {"nothing": inputs["NOTHING"]}


def no_data() -> Mapping[str, object]:
    """A declared data set that no test loads."""
    raise AssertionError("the tests bring their own rows")


def mixed_schema(folder: Path, **changes: object) -> FeatureSchema:
    """Write the schema with features of every type to `folder`, with `changes` at its top, and load it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {**yaml.safe_load(MIXED), **changes}
    (folder / "schema.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_schema(folder)


def mixed_csv(file: Path, rows: int = 200) -> Path:
    """Write a survey for the mixed schema in which Basic customers and short contracts leave more."""
    lines = ["Plan,monthly spend,years,online,gender,leaves"]
    for i in range(rows):
        plan, years = ("basic", "PLUS", "Pro")[i % 3], i * 7 % 40
        leaves = "leaves" if (i % 3 == 0) ^ (i % 11 == 0) or years < 4 else "stays"
        lines.append(f"{plan},{i * 13 % 500}.5,{years},{i % 2 + 1},{'MF'[i % 5 % 2]},{leaves}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
