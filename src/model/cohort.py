"""The simulated cohort: rows drawn class by class, features independent within the class."""

from __future__ import annotations

import numpy as np

from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import Record
from vigie.schema import Distribution, Feature, FeatureSchema, Normal, SchemaError, Simulation, Value


def draw(schema: FeatureSchema, rows: int, seed: int) -> tuple[list[Record], list[str]]:
    """Draw `rows` labelled records from the distributions that `schema` declares in `simulation`.

    Each row's class is drawn with the declared prevalence (classes other than the positive one share
    the rest evenly), then each feature of a class from its own distribution: a binary feature with
    P(feature = 1 | class), a numeric one from a normal distribution, rounded when it is an integer and
    clipped. Returns (records, class labels); the same `seed` gives the same rows.

    Raises SchemaError when the schema declares no simulation or a distribution does not fit its feature.
    """
    plan = simulation_of(schema)
    # RandomState's stream is frozen for good, a Generator's may change with a numpy release (NEP 19).
    generator = np.random.RandomState(seed)
    classes = schema.target.classes
    others = (1 - plan.prevalence) / (len(classes) - 1)
    shares = [plan.prevalence if label == schema.target.positive else others for label in classes]
    positions = generator.choice(len(classes), size=rows, p=shares)
    columns = {feature.name: np.empty(rows) for feature in schema.features}
    drawn = [(feature, feature.simulation) for feature in schema.features if feature.simulation is not None]
    for position, label in enumerate(classes):
        members = np.flatnonzero(positions == position)
        for feature, distribution in drawn:
            columns[feature.name][members] = _values(feature, distribution, label, members.size, generator)
    typed = [_typed(feature, columns[feature.name]) for feature in schema.features]
    records: list[Record] = [dict(zip(schema.names, row, strict=True)) for row in zip(*typed, strict=True)]
    return records, [classes[position] for position in positions]


def simulation_of(schema: FeatureSchema) -> Simulation:
    """Return the simulation that `schema` declares; raises SchemaError when it declares none."""
    if schema.simulation is None:
        raise SchemaError(f"{schema.name}: its schema declares no simulation to draw rows from")
    return schema.simulation


def _values(
    feature: Feature, plan: Distribution, label: str, size: int, generator: np.random.RandomState
) -> FloatArray:
    figure = plan.per_class[label]
    if isinstance(figure, Normal):
        if feature.type not in {"integer", "number"}:
            raise SchemaError(f"{feature.name}: a {feature.type} feature is not drawn from a normal")
        values = generator.normal(figure.mean, figure.sd, size)
        low, high = plan.clip or feature.bounds
        return np.clip(np.rint(values) if feature.type == "integer" else values, low, high)
    if feature.type != "binary":
        raise SchemaError(f"{feature.name}: only a binary feature is drawn from a probability")
    return (generator.random_sample(size) < figure).astype(np.float64)


def _typed(feature: Feature, values: FloatArray) -> list[Value]:
    column: list[Value] = (values if feature.type == "number" else values.astype(np.int64)).tolist()
    return column
