"""The specification in French: complete, with nothing left over."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.servers import ROOT

from vigie.dashboards.specification import Specification, SpecificationError, load_specification, panels_file
from vigie.schema import FeatureSchema, load_schema

MODELS = [ROOT / "model" / "lung_cancer", *sorted((ROOT / "examples").iterdir())]


@pytest.fixture(scope="module")
def french(schema: FeatureSchema) -> Specification:
    """The panels as French readers have them."""
    return load_specification(panels_file(), schema, "fr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of both files, to be changed."""
    for name in ("panels.yaml", "panels.fr.yaml"):
        shutil.copy(ROOT / "kibana" / name, tmp_path)
    return tmp_path


def rewrite(path: Path, **parts: dict[str, Any]) -> None:
    """Update parts of the translation; a value of None removes a text."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part, changed in parts.items():
        content[part] = {
            name: text for name, text in {**content[part], **changed}.items() if text is not None
        }
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_every_text_of_every_model_has_its_french(folder: Path) -> None:
    """No panel, metric, control or axis lacks its text or has one left over, whichever model is served."""
    schema = load_schema(folder)
    english = load_specification(panels_file(), schema)
    french = load_specification(panels_file(), schema, "fr")
    assert [panel.id for _, panel in french.panels] == [panel.id for _, panel in english.panels]
    same = [
        panel.id
        for (_, panel), (_, other) in zip(french.panels, english.panels, strict=True)
        if panel.title == other.title or panel.description == other.description
    ]
    assert same == []


def test_only_the_texts_differ(specification: Specification, french: Specification) -> None:
    """Queries, fields, charts and places are those of the English panels."""
    texts = {"title", "description", "note", "label", "axis", "unit"}

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: bare(part) for name, part in value.items() if name not in texts}
        return [bare(part) for part in value] if isinstance(value, list | tuple) else value

    assert bare(french.model_dump()) == bare(specification.model_dump())


def test_the_schemas_words_are_french_too(french: Specification) -> None:
    """What comes from the schema is in the reader's language."""
    panels = {panel.id: panel for _, panel in french.panels}
    assert panels["share_gender"].title == "Sexe\u00a0: part de «\u00a0homme\u00a0»"
    assert panels["share_smoking"].metrics[0].label == "oui"
    assert panels["mean_age"].metrics[0].unit == "ans"
    assert panels["largest_memory"].metrics[0].unit == "Mo"


def test_french_is_written_with_its_own_signs(french: Specification) -> None:
    """Typographic apostrophes, and no space that a line could break at before a colon or a question mark."""
    texts = [
        text
        for dashboard in french.dashboards
        for one in (dashboard, *dashboard.panels)
        for text in (one.title, one.description, getattr(one, "note", ""))
    ]
    assert [text for text in texts if "'" in text or re.search(r" [:;?!»]|« ", text)] == []


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"panels": {"throughput": None}}, "panels throughput is missing"),
        ({"labels": {"Oldest event": None}}, "labels Oldest event is missing"),
        ({"dashboards": {"drift": None}}, "dashboards drift is missing"),
        ({"panels": {"gone": {"title": "Parti", "description": "Parti."}}}, "panels gone is left over"),
        ({"labels": {"Gone": "Parti"}}, "labels Gone is left over"),
        ({"units": {"miles": "milles"}}, "units miles is left over"),
        ({"dashboards": {"overview": {"title": "V", "description": "V.", "note": "N"}}}, "overview: note"),
        ({"panels": {"throughput": {"title": "", "description": "x"}}}, "throughput.title"),
    ],
)
def test_a_text_that_is_missing_or_left_over_is_named(
    folder: Path, schema: FeatureSchema, parts: dict[str, Any], named: str
) -> None:
    """The file and the text are in the message."""
    rewrite(folder / "panels.fr.yaml", **parts)
    with pytest.raises(SpecificationError) as caught:
        load_specification(folder / "panels.yaml", schema, "fr")
    assert "panels.fr.yaml" in str(caught.value)
    assert named in str(caught.value)


def test_a_language_without_a_file_is_refused(folder: Path, schema: FeatureSchema) -> None:
    """There is no silent English in another language."""
    with pytest.raises(SpecificationError, match=r"panels\.de\.yaml: cannot be read"):
        load_specification(folder / "panels.yaml", schema, "de")
