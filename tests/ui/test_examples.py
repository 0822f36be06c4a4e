"""Records to begin with."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.model.schemas import mixed_schema

from vigie.model.held_out_rows import held_out_records
from vigie.schema import FeatureSchema
from vigie.ui.predict.examples import HELD_OUT_EXAMPLES, examples_of
from vigie.ui.texts import Texts

TEXTS = Texts()


def test_an_untrained_model_has_its_defaults_alone(schema: FeatureSchema, untrained: Path) -> None:
    """The form can be tried before there is a package."""
    (example,) = examples_of(schema, untrained, TEXTS)
    assert example.record == schema.example()
    assert (example.name.en, example.name.fr) == (
        "The form’s defaults",
        "Les valeurs par défaut du formulaire",
    )


def test_a_trained_model_has_its_usual_values_and_held_out_rows(
    schema: FeatureSchema, package_path: Path
) -> None:
    """Each is a valid record; a row is the one that its name counts to, and is described by what is in it."""
    examples = examples_of(schema, package_path, TEXTS)
    assert len(examples) == 2 + HELD_OUT_EXAMPLES
    for example in examples:
        schema.request_model.model_validate(dict(example.record))
    usual = examples[1].record
    assert (usual["AGE"], usual["SMOKING"], usual["CHEST_PAIN"]) == (63, 1, 1)
    rows = list(held_out_records(package_path / "holdout.csv", schema))
    for example in examples[2:]:
        found = re.fullmatch(
            r"Row (\d+) of the held-out data: Age (\d+) years, Gender (Male|Female), (\d+) of 12 ticked",
            example.name.en,
        )
        assert found is not None, example.name.en
        record = rows[int(found[1]) - 1]
        assert example.record == record
        assert int(found[2]) == record["AGE"]
        assert int(found[4]) == sum(record[name] == 1 for name in schema.names[2:])


def test_no_name_says_what_the_row_turned_out_to_be(schema: FeatureSchema, package_path: Path) -> None:
    """Neither label nor target stands in a name, in either language."""
    for example in examples_of(schema, package_path, TEXTS):
        for text in (example.name.en, example.name.fr):
            assert not re.search(
                r"\bYES\b|\bNO\b|cancer|risk|risque|typical patient|malade", text, re.IGNORECASE
            )


def test_other_kinds_of_features_are_described_too(tmp_path: Path) -> None:
    """Categories and numbers stand in the names of rows; a schema without a profile has its defaults."""
    schema = mixed_schema(tmp_path)
    (tmp_path / "holdout.csv").write_text(
        "PLAN,monthly_spend,YEARS,ONLINE,GENDER,LEAVES\nPro,12.5,3,1,0,stays\n"
    )
    assert len(examples_of(schema, tmp_path, TEXTS)) == 1
    profile = {"kind": "levels", "levels": [0, 1], "counts": [1, 3]}
    bins = {"kind": "bins", "edges": [2.0], "counts": [2, 2], "mean": 12.3456789}
    features = {"PLAN": profile | {"levels": ["Basic", "Plus"]}, "monthly_spend": bins, "YEARS": bins}
    features |= {"ONLINE": profile, "GENDER": profile}
    reference = {"rows": 4, "features": features, "observed": {"stays": 4}}
    reference["prediction"] = {"rows": 4, "labels": profile, "probability": None}
    (tmp_path / "reference.json").write_text(json.dumps(reference))
    _, usual, row = examples_of(schema, tmp_path, TEXTS)
    assert usual.record == {"PLAN": "Plus", "monthly_spend": 12.35, "YEARS": 12, "ONLINE": 1, "GENDER": 1}
    assert (
        row.name.fr
        == "Ligne 1 des données mises de côté\u00a0: Plan Pro, Spend 12,5, cases cochées\u00a0: 1 sur 1"
    )
