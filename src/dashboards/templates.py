"""Templates of the specification, written out from the feature schema.

A panel with `for_each: binary inputs` (or `numeric inputs`, `category inputs`) becomes one panel per such
input, a metric with `for_each: classes` one metric per class. In their texts `{name}`, `{label}`,
`{number}` and the like stand for the input or class, `{positive}` everywhere for the positive class; a
value that is nothing but `{edges}` or `{reference}` becomes the input's ranges or its expected mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vigie.schema import Feature, FeatureSchema, Normal, Text

KINDS: Final[Mapping[str, frozenset[str]]] = {
    "binary inputs": frozenset({"binary"}),
    "numeric inputs": frozenset({"integer", "number"}),
    "category inputs": frozenset({"category"}),
}
CLASS_COLOURS: Final = 8
"""So many meanings `class_0` … have a colour; further classes begin again."""
_RANGES: Final = 12
"""About as many ranges as an input's bounds are cut into."""
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_YES: Final = Text(en="yes", fr="oui")
_PLACEHOLDER: Final = re.compile(r"\{([a-z]+)\}")

Values = Mapping[str, Any]


def expanded(content: Any, schema: FeatureSchema, language: str = "en") -> Any:
    """Return the specification's `content` with its templates written out for the model of `schema`.

    The schema's words are those of `language`.

    Raises ValueError for a for_each or a placeholder that is not known, naming the panel.
    """
    if not isinstance(content, dict) or not isinstance(content.get("dashboards"), list):
        return content
    dashboards = [
        {**one, "panels": list(_panels(one["panels"], schema, language))}
        if isinstance(one, dict) and isinstance(one.get("panels"), list)
        else one
        for one in content["dashboards"]
    ]
    return {**content, "dashboards": dashboards}


def _panels(panels: list[Any], schema: FeatureSchema, language: str) -> Iterator[Any]:
    common = {
        "positive": schema.target.positive,
        "reference": schema.simulation.prevalence if schema.simulation else None,
    }
    for panel in panels:
        if not isinstance(panel, dict):
            yield panel
            continue
        template = {name: value for name, value in panel.items() if name != "for_each"}
        try:
            if "for_each" not in panel:
                yield _written_out(template, common, schema)
                continue
            for feature in _features(panel["for_each"], schema):
                yield _written_out(template, {**common, **_about(feature, schema, language)}, schema)
        except ValueError as error:
            raise ValueError(f"panel {panel.get('id')}: {error}") from error


def _features(kind: object, schema: FeatureSchema) -> list[Feature]:
    types = KINDS.get(str(kind))
    if types is None:
        raise ValueError(f"for_each: {kind} is none of {', '.join(KINDS)}")
    return [feature for feature in schema.features if feature.type in types]


def _written_out(panel: dict[str, Any], values: Values, schema: FeatureSchema) -> dict[str, Any]:
    metrics: list[Any] = []
    for metric in panel.get("metrics", []):
        if isinstance(metric, dict) and metric.get("for_each") == "classes":
            template = {name: value for name, value in metric.items() if name != "for_each"}
            for number, label in enumerate(schema.target.classes):
                own = {"label": label, "number": number, "colour": f"class_{number % CLASS_COLOURS}"}
                metrics.append(_filled(template, {**values, **own}))
        else:
            metrics.append(_filled(metric, values))
    written = {**_filled({**panel, "metrics": []}, values), "metrics": metrics}
    reference = written.get("reference")
    if isinstance(reference, dict) and reference.get("value", ...) is None:
        del written["reference"]
    return written


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole and whole[1] in values:
        return values[whole[1]]
    unknown = [name for name in _PLACEHOLDER.findall(value) if name not in values]
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is none of {', '.join(f'{{{name}}}' for name in values)}")
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), value)


def _about(feature: Feature, schema: FeatureSchema, language: str) -> dict[str, Any]:
    meaning = (
        feature.values[1].in_language(language).lower() if 1 in feature.values else _YES.in_language(language)
    )
    return {
        "name": feature.name,
        "id": feature.name.lower(),
        "label": feature.label.in_language(language),
        "unit": feature.unit.in_language(language) if feature.unit else "",
        "meaning": meaning,
        "edges": _edges(*feature.bounds),
        "reference": _expected_mean(feature, schema),
    }


def _edges(low: float | None, high: float | None) -> list[float]:
    """Return round edges that cut `low` … `high` into about twelve ranges, the last one open."""
    if low is None or high is None or low >= high:
        return []
    raw = (high - low) / _RANGES
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(part * power for part in _STEPS if part * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, max(last, first + 2))]


def _expected_mean(feature: Feature, schema: FeatureSchema) -> float | None:
    """Return the mean of `feature` in the simulated cohort (of a binary one the share of 1)."""
    if schema.simulation is None or feature.simulation is None:
        return None
    prevalence = schema.simulation.prevalence
    others = [label for label in schema.target.classes if label != schema.target.positive]
    weights = {schema.target.positive: prevalence} | dict.fromkeys(others, (1 - prevalence) / len(others))
    means = {
        label: part.mean if isinstance(part, Normal) else part
        for label, part in feature.simulation.per_class.items()
    }
    return round(sum(weights[label] * mean for label, mean in means.items()), 4)
