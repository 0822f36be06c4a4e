"""The specification of dashboards and panels: `kibana/panels.yaml`, read strictly.

Each panel is declared once; its store query, its Kibana object and its page in the documentation come
from here. Panels on the model's inputs and metrics per class are templates, which
`vigie.dashboards.templates` writes out from the feature schema before they are checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vigie.dashboards.templates import expanded
from vigie.dashboards.translation import Translation, translated
from vigie.errors import VigieError
from vigie.schema import FeatureSchema

PANELS_FILE: Final = "panels.yaml"
GRID_COLUMNS = 48
"""Width of a Kibana dashboard, in its own units."""

TIME_FIELD = "@timestamp"
"""What a dashboard's time range is of."""

Scalar = bool | int | float | str
Operation = Literal[
    "count", "average", "sum", "minimum", "maximum", "percentile", "unique_count", "share", "counter_rate"
]
ChartType = Literal[
    "metric", "table", "line", "area", "bar", "bar_stacked", "bar_percentage_stacked", "bar_horizontal",
    "heatmap",
]  # fmt: skip
XY_CHARTS: frozenset[str] = frozenset(
    {"line", "area", "bar", "bar_stacked", "bar_percentage_stacked", "bar_horizontal"}
)
SORTABLE: frozenset[str] = frozenset({"count", "average", "sum", "minimum", "maximum"})
"""Operations that terms can be ordered by on every store."""


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C, ten times as fast, wherever PyYAML was built with it."""


class SpecificationError(VigieError):
    """The specification does not fit; the message names file, panel, field and reason."""


class Declared(BaseModel):
    """Part of the specification: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_listed)]
"""One value or several."""
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Interval = Annotated[str, Field(pattern=r"^(auto|[1-9][0-9]*[smhd])$")]


class Condition(Declared):
    """What documents must fulfil: a field is one of some values, is none of them, or has a value or not."""

    field: str
    one_of: Annotated[Scalars, Field(alias="is")] = ()
    none_of: Annotated[Scalars, Field(alias="is_not")] = ()
    exists: bool | None = None

    @model_validator(mode="after")
    def _one_statement(self) -> Self:
        if sum((bool(self.one_of), bool(self.none_of), self.exists is not None)) != 1:
            raise ValueError("a condition has exactly one of is, is_not and exists")
        return self


class Metric(Declared):
    """One number per bucket.

    `share` is the part of the bucket's documents (of those that fulfil `among`) that fulfil `where`;
    `counter_rate` the growth per minute of a counter that starts again at 0 with its process.
    """

    id: Identifier
    label: str
    operation: Operation
    field: str | None = None
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    where: tuple[Condition, ...] = ()
    among: tuple[Condition, ...] = ()
    unit: str = ""
    """Such as ms or MB; "%" shows a ratio as a percentage."""
    decimals: Annotated[int, Field(ge=0, le=4)] = 0
    colour: str | None = None
    """A meaning of the specification's `colours`."""

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit and self.unit != "%" else self.label

    @model_validator(mode="after")
    def _fits_operation(self) -> Self:
        if (self.operation in {"count", "share"}) != (self.field is None):
            raise ValueError(f"{self.id}: count and share take no field, every other operation takes one")
        if (self.operation == "percentile") != (self.percentile is not None):
            raise ValueError(f"{self.id}: percentile belongs to operation percentile, and only there")
        if self.operation == "share" and not self.where:
            raise ValueError(f"{self.id}: a share needs where, to say of which documents")
        if self.among and self.operation != "share":
            raise ValueError(f"{self.id}: among belongs to operation share, and only there")
        if self.operation == "counter_rate" and self.where:
            raise ValueError(f"{self.id}: a counter's rate takes no where; put it on the panel")
        return self


class TimeBuckets(Declared):
    """By time; an interval that would give more than 100 buckets is widened, as Kibana does."""

    by: Literal["time"]
    field: str = TIME_FIELD
    label: str = "Time"
    interval: Interval = "auto"

    @model_validator(mode="after")
    def _own_interval(self) -> Self:
        if self.field != TIME_FIELD and self.interval == "auto":
            raise ValueError(f"interval: auto fits the time chosen, which is that of {TIME_FIELD}")
        return self


class TermsBuckets(Declared):
    """By the values of a field: the first `size` of them in an order."""

    by: Literal["terms"]
    field: str
    label: str
    size: Annotated[int, Field(ge=1, le=100)]
    order: str = "key"
    """`key`, or the id of a metric of the panel."""
    descending: bool = False


class RangeBuckets(Declared):
    """By ranges of a number: from each edge up to (not including) the next, and from the last one on."""

    by: Literal["ranges"]
    field: str
    label: str
    edges: Annotated[tuple[float, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges: must ascend")
        return self


Buckets = Annotated[TimeBuckets | TermsBuckets | RangeBuckets, Field(discriminator="by")]


class Reference(Declared):
    """A level that the chart's values are compared with, drawn as a dashed line."""

    value: float
    label: str


class Panel(Declared):
    """One panel: a question, its query and its chart."""

    id: Identifier
    title: str
    """What the reader learns."""
    description: str
    index: str
    """Alias without prefix."""
    where: tuple[Condition, ...] = ()
    chart: ChartType
    buckets: tuple[Buckets, ...] = ()
    """For charts with axes: x, then the split into series; for a heat map x, then y."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]
    axis: str = ""
    """Title of the vertical axis (of a horizontal bar chart: of the axis of values)."""
    axis_bounds: tuple[float, float] | None = None
    reference: Reference | None = None
    width: Annotated[int, Field(ge=6, le=GRID_COLUMNS)]
    height: Annotated[int, Field(ge=4, le=40)]

    @property
    def time(self) -> TimeBuckets | None:
        """The panel's buckets by time."""
        return next((one for one in self.buckets if isinstance(one, TimeBuckets)), None)

    @model_validator(mode="after")
    def _fits_chart(self) -> Self:
        counts = {"metric": (0, 0), "heatmap": (2, 2), "table": (1, 3)}
        least, most = counts.get(self.chart, (1, 2))
        if not least <= len(self.buckets) <= most:
            raise ValueError(f"buckets: a {self.chart} takes {least} to {most}, not {len(self.buckets)}")
        if self.chart in {"metric", "heatmap"} and len(self.metrics) > 1:
            raise ValueError(f"metrics: a {self.chart} shows one")
        if (self.chart in XY_CHARTS) != bool(self.axis):
            raise ValueError("axis: a chart with axes needs its title, and only such a chart takes one")
        if (self.reference or self.axis_bounds) and self.chart not in XY_CHARTS:
            raise ValueError("reference, axis_bounds: belong to charts with axes")
        doubled = [name for name, n in Counter(metric.id for metric in self.metrics).items() if n > 1]
        if doubled:
            raise ValueError(f"metrics: {', '.join(doubled)} twice")
        if self.time is None and any(metric.operation == "counter_rate" for metric in self.metrics):
            raise ValueError("metrics: a counter's rate needs buckets by time")
        for one in self.buckets:
            if isinstance(one, TermsBuckets) and one.order != "key":
                self._check_order(one)
        return self

    def _check_order(self, buckets: TermsBuckets) -> None:
        metric = next((metric for metric in self.metrics if metric.id == buckets.order), None)
        if metric is None or metric.where or metric.operation not in SORTABLE:
            raise ValueError(
                f"buckets: {buckets.field} cannot be ordered by {buckets.order}: take key, or a metric of "
                f"this panel without where of {', '.join(sorted(SORTABLE))}"
            )


class Control(Declared):
    """A list of a field's values to choose from; the choice narrows every panel of the dashboard."""

    field: str
    title: str
    index: str


class Dashboard(Declared):
    """Panels shown together, in reading order: left to right, row by row."""

    id: Identifier
    title: str
    description: str
    note: str = ""
    """A sentence under the links to the other dashboards."""
    time_from: Annotated[str, Field(pattern=r"^now-[1-9][0-9]*[mhd]$")]
    refresh_seconds: Annotated[int, Field(ge=5)]
    controls: tuple[Control, ...]
    panels: Annotated[tuple[Panel, ...], Field(min_length=1)]


class Specification(Declared):
    """The whole file, written out for one model."""

    colours: Mapping[str, Annotated[str, Field(pattern=r"^#[0-9A-F]{6}$")]]
    """Meaning → colour; a meaning has the same colour on every panel."""
    dashboards: Annotated[tuple[Dashboard, ...], Field(min_length=1)]

    @property
    def panels(self) -> Iterator[tuple[Dashboard, Panel]]:
        """Every panel with its dashboard."""
        return ((dashboard, panel) for dashboard in self.dashboards for panel in dashboard.panels)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [panel.id for _, panel in self.panels] + [dashboard.id for dashboard in self.dashboards]
        doubled = [name for name, count in Counter(ids).items() if count > 1]
        if doubled:
            raise ValueError(f"declared twice: {', '.join(doubled)}")
        for _, panel in self.panels:
            for metric in panel.metrics:
                if metric.colour is not None and metric.colour not in self.colours:
                    raise ValueError(f"panel {panel.id}: metric {metric.id}: no colour means {metric.colour}")
        return self


def panels_file() -> Path:
    """Return the specification that belongs to this code: beside the sources, or in the installed package."""
    package = Path(__file__).resolve().parents[1]
    beside = package.parent / "kibana" / PANELS_FILE
    return beside if beside.is_file() else package / "kibana" / PANELS_FILE


def load_specification(path: Path, schema: FeatureSchema, language: str = "en") -> Specification:
    """Read the specification and write its templates out for the model of `schema`.

    In another `language` than English its texts are those of the file beside it: `panels.fr.yaml`. Raises
    SpecificationError naming file, panel, field and reason.
    """
    content = _read(path)
    if language != "en":
        texts = path.with_suffix(f".{language}{path.suffix}")
        try:
            content = translated(content, Translation.model_validate(_read(texts)))
        except ValueError as error:  # pydantic's ValidationError too
            raise SpecificationError(f"{texts}: {error}") from error
    return parse_specification(content, schema, str(path), language)


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # nosec B506
    except OSError as error:
        raise SpecificationError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise SpecificationError(f"{path}: not valid YAML: {error}") from error


def parse_specification(
    content: object, schema: FeatureSchema, where: str, language: str = "en"
) -> Specification:
    """Check the specification's `content`; `where` is named in errors. Raises SpecificationError."""
    try:
        written_out = expanded(content, schema, language)
    except ValueError as error:
        raise SpecificationError(f"{where}: {error}") from error
    try:
        return Specification.model_validate(written_out)
    except ValidationError as error:
        faults = "; ".join(f"{_place(fault['loc'], written_out)}: {fault['msg']}" for fault in error.errors())
        raise SpecificationError(f"{where}: {faults}") from error


def _place(location: tuple[int | str, ...], content: Any) -> str:
    """Return where a fault lies, dashboards and panels by their ids rather than positions."""
    parts: list[str] = []
    for step in location:
        try:
            content = content[step]
        except (LookupError, TypeError):
            content = None
        if isinstance(step, int) and isinstance(content, dict) and "id" in content:
            kind = {"dashboards": "dashboard", "panels": "panel", "metrics": "metric"}.get(parts[-1], "")
            parts[-1] = f"{kind} {content['id']}".strip()
        else:
            parts.append(str(step))
    return ": ".join(parts) or "specification"
