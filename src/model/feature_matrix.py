"""From records to the model's columns: the inputs in the schema's order, then the derived features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import numpy as np

from vigie.model.feature_engineering import Derive, FloatArray
from vigie.schema import FeatureSchema, SchemaError, Value

Record = Mapping[str, Value]
"""A valid record: every input by its name in storage."""


def resolve(reference: str) -> Callable[..., Any]:
    """Return the function that a schema names as `module:function`.

    Raises SchemaError when the module or the function is not there.
    """
    module, _, function = reference.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SchemaError(f"{reference}: no such function ({error}); write it as module:function") from error
    if not callable(found):
        raise SchemaError(f"{reference} is not a function")
    return cast(Callable[..., Any], found)


class FeatureMatrix:
    """Turns valid records of one schema into rows of the model's columns, without a DataFrame."""

    def __init__(self, schema: FeatureSchema) -> None:
        """Resolve the schema's derive function and learn the names of its columns.

        Raises SchemaError when the function is not there or does not fit the schema's inputs.
        """
        self.schema = schema
        self._names = schema.names
        self._positions = [
            (column, feature.name, {category: i for i, category in enumerate(feature.categories)})
            for column, feature in enumerate(schema.features)
            if feature.categories
        ]
        self._pick = itemgetter(*self._names) if len(self._names) > 1 else None
        self._derive = cast(Derive, resolve(schema.derive)) if schema.derive else None
        derived = self._derived_names()
        self.columns: tuple[str, ...] = (*self._names, *derived)
        """Names of all columns."""

    def _derived_names(self) -> tuple[str, ...]:
        if self._derive is None:
            return ()
        probe = self._inputs([self.schema.example()])
        try:
            return tuple(self._derive(dict(zip(self._names, probe, strict=True))))
        except KeyError as error:
            raise SchemaError(
                f"{self.schema.derive} reads {error}, which the schema does not have"
            ) from error

    def __call__(self, records: Sequence[Record]) -> FloatArray:
        """Return `records` as a matrix of shape (n, columns), float64; a category is its position."""
        return self.complete(self._inputs(records))

    def complete(self, inputs: FloatArray) -> FloatArray:
        """Return encoded `inputs`, one contiguous row each, shape (inputs, n), as a matrix (n, columns)."""
        if self._derive is None:
            return inputs.T
        derived = self._derive(dict(zip(self._names, inputs, strict=True)))
        flat = np.concatenate((inputs.reshape(-1), *derived.values()))
        return flat.reshape(len(self.columns), inputs.shape[1]).T

    def _inputs(self, records: Sequence[Record]) -> FloatArray:
        """Return one contiguous row per input, shape (inputs, n)."""
        if self._positions:
            rows: Iterable[Sequence[Value]] = map(self._with_positions, records)
        elif self._pick is None:
            rows = ((record[self._names[0]],) for record in records)
        else:
            rows = map(self._pick, records)
        width = len(self._names)
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=len(records) * width)
        return np.ascontiguousarray(flat.reshape(len(records), width).T)

    def _with_positions(self, record: Record) -> list[Value]:
        row = [record[name] for name in self._names]
        for column, name, position in self._positions:
            row[column] = position[str(record[name])]
        return row
