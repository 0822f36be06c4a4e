"""Packages that follow one another: the same inputs, another model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from tests.servers import ROOT

from vigie.model.package import MANIFEST
from vigie.model.training import train


def train_successor(folder: Path, **changes: Any) -> Path:
    """Train version 2.0.0 of the reference model on another cohort, and return its package.

    `changes` go to the top of its schema.
    """
    content = yaml.safe_load((ROOT / "model" / "lung_cancer" / "schema.yaml").read_text(encoding="utf-8"))
    simulation = {**content["simulation"], "rows": 2000, "prevalence": 0.3}
    content |= {"version": "2.0.0", "simulation": simulation, **changes}
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "schema.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    train(source, folder / "package")
    return folder / "package"


def install(package: Path, place: Path) -> None:
    """Put the files of `package` to `place` as a training does: each in one step, the manifest last."""
    for file in sorted(package.iterdir(), key=lambda file: file.name == MANIFEST):
        draft = place / f".{file.name}"
        shutil.copyfile(file, draft)
        draft.replace(place / file.name)
