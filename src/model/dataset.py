"""What a model is trained on: labelled records with where they come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import ValidationError

from vigie.errors import VigieError
from vigie.model import cohort
from vigie.model.feature_matrix import Record, resolve
from vigie.schema import FeatureSchema

IntArray = npt.NDArray[np.int64]


class DatasetError(VigieError):
    """A data set does not fit its schema; the message names the column or row."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled records of one schema."""

    records: list[Record]
    labels: list[str]
    """Class label of each record, one of the schema's `target.classes`."""
    source: str
    """Where the rows come from, in a sentence's part that people read."""
    simulated: bool = False
    notices: tuple[str, ...] = ()
    """What the reader of the data should know: dropped duplicates, ignored columns."""

    def __len__(self) -> int:
        return len(self.records)

    def positions(self, schema: FeatureSchema) -> IntArray:
        """Return the labels as positions in `target.classes`, shape (n,)."""
        order = {label: position for position, label in enumerate(schema.target.classes)}
        return np.array([order[label] for label in self.labels], dtype=np.int64)

    def counts(self, schema: FeatureSchema) -> dict[str, int]:
        """Return the number of rows per class label, in the order of `target.classes`."""
        counted = Counter(self.labels)
        return {label: counted[label] for label in schema.target.classes}

    def take(self, rows: IntArray) -> Dataset:
        """Return the data set of the given `rows`, in that order."""
        return replace(self, records=[self.records[i] for i in rows], labels=[self.labels[i] for i in rows])

    def fingerprint(self, schema: FeatureSchema) -> str:
        """Return the SHA-256 of all rows, in their order, with their labels."""
        digest = hashlib.sha256()
        for record, label in zip(self.records, self.labels, strict=True):
            digest.update(orjson.dumps([*(record[name] for name in schema.names), label]))
        return digest.hexdigest()


def declared_dataset(schema: FeatureSchema) -> Dataset:
    """Return the data set that `schema` itself declares: its simulated cohort, or its known data set.

    Raises DatasetError when a known data set does not fit the schema.
    """
    if schema.data is not None:
        return from_bunch(resolve(schema.data)(), schema, source=schema.data)
    plan = cohort.simulation_of(schema)
    records, labels = cohort.draw(schema, plan.rows, plan.seed)
    return Dataset(records, labels, plan.source.en, simulated=True)


def from_bunch(bunch: Mapping[str, Any], schema: FeatureSchema, source: str) -> Dataset:
    """Return the data set of a scikit-learn `bunch` (data, target, feature_names, target_names).

    A feature's name in storage is its name in the bunch with underscores for spaces; target_names are
    class labels. Raises DatasetError when names, labels or values do not fit the schema.
    """
    names = [str(name).replace(" ", "_") for name in bunch["feature_names"]]
    _same(source, "features", names, schema.names)
    labels = [str(label) for label in bunch["target_names"]]
    _same(source, "class labels", labels, schema.target.classes)
    records = [
        _record(schema, dict(zip(names, row, strict=True)), f"{source}, row {number}")
        for number, row in enumerate(np.asarray(bunch["data"]).tolist(), start=1)
    ]
    return Dataset(records, [labels[position] for position in bunch["target"]], source)


def _same(source: str, what: str, found: list[str], declared: tuple[str, ...]) -> None:
    missing, extra = sorted(set(declared) - set(found)), sorted(set(found) - set(declared))
    if missing or extra:
        raise DatasetError(
            f"{source}: its {what} are not the schema's; missing: {', '.join(missing) or 'none'}; "
            f"not declared: {', '.join(extra) or 'none'}"
        )


def _record(schema: FeatureSchema, values: Mapping[str, Any], place: str) -> Record:
    whole = {name for name in schema.names if schema.by_name[name].type in {"integer", "binary"}}
    typed = {
        name: int(value) if name in whole and float(value).is_integer() else value
        for name, value in values.items()
    }
    try:
        return schema.request_model.model_validate(typed).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        column = ".".join(map(str, fault["loc"]))
        raise DatasetError(f"{place}, column {column}: {fault['msg']}, not {fault['input']!r}") from error
