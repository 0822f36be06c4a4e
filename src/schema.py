"""The feature schema: one declaration (`schema.yaml`) drives everything that knows a feature's name.

From it come the request model and its OpenAPI examples, the form, the index mapping of
`input_data`, features_present, the reference bins and the simulator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
    model_validator,
)

from vigie.errors import VigieError

Value = int | float | str
"""A value of a feature as it is stored: int (integer, binary), float (number), str (category)."""

INDEX_TYPES: Mapping[str, str] = {
    "integer": "integer",
    "number": "double",
    "binary": "integer",
    "category": "keyword",
}
"""Type of a feature in the schema → type of its field in the index."""


class SchemaError(VigieError):
    """A schema file does not fit; the message names the file, the place and the reason."""


class Declared(BaseModel):
    """Part of a schema file: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Declared):
    """A text in English and French."""

    en: str
    fr: str

    def in_language(self, language: str) -> str:
        """Return the text in `language` ("fr" or "fr-CA" …); any other language reads English."""
        return self.fr if language.lower().startswith("fr") else self.en


def _text(value: object) -> object:
    return {"en": value, "fr": value} if isinstance(value, str) else value


Translated = Annotated[Text, BeforeValidator(_text)]
"""A text; written as one string it is the same in both languages."""


class Normal(Declared):
    """A normal distribution, in the feature's own unit."""

    mean: float
    sd: Annotated[float, Field(gt=0)]


class Distribution(Declared):
    """How a simulated cohort draws a feature, class label by class label.

    `per_class` holds P(feature = 1) for a binary feature, a Normal for a numeric one; a numeric draw is
    clipped to `clip`, and rounded when the feature is an integer.
    """

    per_class: dict[str, Annotated[float, Field(ge=0, le=1)] | Normal]
    clip: tuple[float, float] | None = None


class Feature(Declared):
    """One input of the model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    """Name in storage; on input the form with spaces for underscores is accepted too."""
    type: Literal["integer", "number", "binary", "category"]
    label: Translated
    help: Translated | None = None
    group: str
    unit: Translated | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    default: Value | None = None
    categories: tuple[str, ...] = ()
    values: dict[int, Translated] = {}
    """For a binary feature, what 0 and 1 mean where that is not no and yes."""
    present: bool = False
    """Whether features_present lists the feature when it equals 1."""
    simulation: Distribution | None = None

    @property
    def spaced_name(self) -> str:
        """The other spelling accepted on input."""
        return self.name.replace("_", " ")

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Smallest and largest value allowed."""
        return (0, 1) if self.type == "binary" else (self.minimum, self.maximum)

    @property
    def annotation(self) -> Any:
        """The strict Pydantic type of a value: no coercion from booleans, strings or NaN."""
        low, high = self.bounds
        match self.type:
            case "category":
                return Literal[self.categories]
            case "number":
                return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
            case _:
                return Annotated[int, Field(strict=True, ge=low, le=high)]

    @property
    def example(self) -> Value:
        """A valid value: the default, else the middle of the range or the first category."""
        if self.default is not None:
            return self.default
        if self.type == "category":
            return self.categories[0]
        low, high = self.bounds
        middle = ((low or 0) + (high or 0)) / 2
        return middle if self.type == "number" else int(middle)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.type == "category") != bool(self.categories):
            raise ValueError(f"{self.name}: categories belong to type category, and only there")
        if self.type in {"integer", "number"} and (self.minimum is None or self.maximum is None):
            raise ValueError(f"{self.name}: a {self.type} needs minimum and maximum")
        if self.type == "binary" and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"{self.name}: a binary feature is 0 or 1, it takes no minimum or maximum")
        if self.present and self.type != "binary":
            raise ValueError(f"{self.name}: only a binary feature can be present")
        return self


class Group(Declared):
    """Features shown together in the form."""

    name: str
    title: Translated


class Target(Declared):
    """What is predicted. `prediction` is the position in `classes`."""

    name: str
    title: Translated
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    """Class labels; for two classes, the positive one is the second."""
    positive: str
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability of the positive class from which on it is the answer; for two classes only."""
    meaning: dict[str, Translated] = {}
    """A plain sentence per class label, for the people who read the answer."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.positive not in self.classes:
            raise ValueError(f"positive: {self.positive} is not one of the classes {list(self.classes)}")
        if len(self.classes) == 2 and self.positive != self.classes[1]:
            raise ValueError("positive: of two classes the positive one stands second")
        if len(self.classes) > 2 and "threshold" in self.model_fields_set:
            raise ValueError("threshold: of more than two classes the most probable one is the answer")
        if set(self.meaning) - set(self.classes):
            raise ValueError("meaning: has a label that is not a class")
        return self


class Simulation(Declared):
    """The cohort a demonstration model is trained on, drawn class by class, features independent."""

    rows: Annotated[int, Field(ge=100)]
    seed: int
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    """P(positive class)."""
    source: Translated
    """Where the figures come from."""


class FeatureSchema(Declared):
    """A model's declaration; `load_schema` reads it from its file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = "1.0.0"
    title: Translated
    description: Translated
    caution: Translated
    """What the model is not, said wherever it answers."""
    target: Target
    groups: tuple[Group, ...]
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    derive: str | None = None
    """`module:function` that computes the derived features (vigie.model.feature_engineering.Derive)."""
    subject: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")] | None = None
    """The client's own name for subject_id, such as employee_id; or the input that is it."""
    data: str | None = None
    """`module:function` that returns a known data set, in scikit-learn's Bunch form."""
    simulation: Simulation | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        doubled = [name for name, count in Counter(f.name for f in self.features).items() if count > 1]
        if doubled:
            raise ValueError(f"features: declared twice: {', '.join(doubled)}")
        groups = {group.name for group in self.groups}
        for feature in self.features:
            if feature.group not in groups:
                raise ValueError(f"{feature.name}: group {feature.group} is not declared")
            if (self.simulation is None) != (feature.simulation is None):
                raise ValueError(f"{feature.name}: simulation is declared for the whole schema or not at all")
            if feature.simulation and set(feature.simulation.per_class) != set(self.target.classes):
                raise ValueError(f"{feature.name}: simulation needs one entry per class")
        if (self.data is None) == (self.simulation is None):
            raise ValueError("exactly one of data and simulation says what the model is trained on")
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Feature]:
        """Features by their name in storage."""
        return {feature.name: feature for feature in self.features}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the model's columns."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def request_model(self) -> type[BaseModel]:
        """Strict Pydantic model of one record; both spellings accepted, unknown fields refused.

        `model_dump()` gives the storage names.
        """
        fields: dict[str, Any] = {
            feature.name: (
                feature.annotation,
                Field(
                    validation_alias=AliasChoices(feature.name, feature.spaced_name),
                    description=feature.label.en,
                    examples=[feature.example],
                ),
            )
            for feature in self.features
        }
        examples: list[JsonValue] = [{**self.example()}]
        config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples}, protected_namespaces=())
        return create_model("Record", __config__=config, __doc__=self.description.en, **fields)

    def example(self) -> dict[str, Value]:
        """Return one valid record."""
        return {feature.name: feature.example for feature in self.features}

    def index_properties(self) -> dict[str, dict[str, str]]:
        """Return the index mapping of `input_data`: field → {"type": …}."""
        return {feature.name: {"type": INDEX_TYPES[feature.type]} for feature in self.features}

    def encode(self, records: Sequence[Mapping[str, Value]]) -> list[list[float]]:
        """Return valid `records` as rows of floats, one column per feature; a category is its position."""
        return [
            [
                float(f.categories.index(str(record[f.name])) if f.categories else record[f.name])
                for f in self.features
            ]
            for record in records
        ]


def load_schema(path: Path) -> FeatureSchema:
    """Read `path` (a schema file, or the folder that holds `schema.yaml`).

    Raises SchemaError naming file, place and reason.
    """
    file = path / "schema.yaml" if path.is_dir() else path
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return FeatureSchema.model_validate(content)
    except OSError as error:
        raise SchemaError(
            f"{file}: cannot be read ({error.strerror}); a model needs a schema.yaml"
        ) from error
    except yaml.YAMLError as error:
        raise SchemaError(f"{file}: not valid YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'schema'}: {fault['msg']}" for fault in error.errors()
        )
        raise SchemaError(f"{file}: {faults}") from error
