"""The specification in another language: its texts replaced by those of a file beside it.

The file has `labels` and `units` (found by their English words), and titles, descriptions and notes of
`dashboards` and `panels` (found by id; a panel's template by the id of the template). It has to be complete,
with nothing left over, so that no page mixes languages and no text outlives its panel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_PLACEHOLDER: Final = re.compile(r"\{[a-z]+\}")
_TIME_LABEL: Final = "Time"
"""Label of buckets by time that declare none."""

Written = Annotated[str, Field(min_length=1)]
Texts = TypeVar("Texts")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DashboardTexts(_Strict):
    """Texts of one dashboard."""

    title: Written
    description: Written
    note: Written | None = None


class PanelTexts(_Strict):
    """Texts of one panel or template of panels."""

    title: Written
    description: Written


class Translation(_Strict):
    """All texts of one language."""

    labels: Mapping[str, Written]
    units: Mapping[str, Written]
    dashboards: Mapping[str, DashboardTexts]
    panels: Mapping[str, PanelTexts]


def translated(content: Any, translation: Translation) -> Any:
    """Return the specification's `content` (before its templates are written out) with the texts replaced.

    Raises ValueError naming every text that is missing or left over.
    """
    return _Translator(translation).specification(content)


class _Translator:
    def __init__(self, translation: Translation) -> None:
        self._texts = translation
        self._used: set[tuple[str, str]] = set()
        self._missing: set[str] = set()

    def specification(self, content: Any) -> Any:
        dashboards = [self._dashboard(one) for one in content["dashboards"]]
        self._missing |= {f"{kind} {name} is left over" for kind, name in self._left_over()}
        if self._missing:
            raise ValueError("; ".join(sorted(self._missing)))
        return {**content, "dashboards": dashboards}

    def _left_over(self) -> Iterator[tuple[str, str]]:
        for kind in ("labels", "units", "dashboards", "panels"):
            yield from ((kind, name) for name in getattr(self._texts, kind) if (kind, name) not in self._used)

    def _dashboard(self, one: dict[str, Any]) -> dict[str, Any]:
        texts = self._by_id("dashboards", str(one["id"]), self._texts.dashboards)
        if texts is not None and ("note" in one) != (texts.note is not None):
            self._missing.add(f"dashboards {one['id']}: note is in one language alone")
        own = {} if texts is None else texts.model_dump(exclude_none=True)
        controls = [{**control, "title": self._label(control["title"])} for control in one["controls"]]
        return {**one, **own, "controls": controls, "panels": [self._panel(panel) for panel in one["panels"]]}

    def _panel(self, one: dict[str, Any]) -> dict[str, Any]:
        texts = self._by_id("panels", str(one["id"]), self._texts.panels)
        panel = {**one, **({} if texts is None else texts.model_dump())}
        if panel.get("axis"):
            panel["axis"] = self._label(panel["axis"])
        if panel.get("reference"):
            panel["reference"] = {**panel["reference"], "label": self._label(panel["reference"]["label"])}
        panel["buckets"] = [
            {**buckets, "label": self._label(buckets.get("label", _TIME_LABEL))}
            for buckets in panel.get("buckets", ())
        ]
        panel["metrics"] = [self._metric(metric) for metric in panel["metrics"]]
        return panel

    def _metric(self, one: dict[str, Any]) -> dict[str, Any]:
        metric = {**one, "label": self._label(one["label"])}
        if one.get("unit") in self._texts.units:
            self._used.add(("units", one["unit"]))
            metric["unit"] = self._texts.units[one["unit"]]
        return metric

    def _label(self, english: str) -> str:
        if _PLACEHOLDER.fullmatch(english):  # a word of the schema, in its own language already
            return english
        self._used.add(("labels", english))
        if english not in self._texts.labels:
            self._missing.add(f"labels {english} is missing")
        return self._texts.labels.get(english, english)

    def _by_id(self, kind: str, name: str, texts: Mapping[str, Texts]) -> Texts | None:
        self._used.add((kind, name))
        if name not in texts:
            self._missing.add(f"{kind} {name} is missing")
        return texts.get(name)
