"""What moved an answer, in words and bars."""

from __future__ import annotations

from typing import Any

import pytest
from tests.servers import ROOT

from vigie.schema import load_schema
from vigie.ui.predict.contributions import Explained, moves, points
from vigie.ui.templates import Templates
from vigie.ui.texts import Texts

REFERENCE = load_schema(ROOT / "model" / "lung_cancer")
TEXTS = Texts()
EFFECTS = {
    "COUGHING": (1, 0.105),
    "AGE": (72, -0.08),
    "GENDER": (1, 0.04),
    "SMOKING": (0, -0.0301),
    "CHEST_PAIN": (0, 0.0004),
    "ANXIETY": (0, -0.0003),
    "FATIGUE": (1, -0.0002),
}


def explained(**changed: Any) -> Explained:
    """An explanation as the API answers it."""
    found = [
        {"feature": feature, "value": value, "effect": effect, "standard_error": 0.002}
        for feature, (value, effect) in EFFECTS.items()
    ]
    answer = {"model_version": "1.0.0", "label": "YES", "probability": 0.5348, "baseline": 0.5, "rows": 1024}
    return Explained.model_validate(answer | {"contributions": found, "method": "m"} | changed)


def test_the_five_largest_are_named_and_the_rest_is_summed() -> None:
    """With the value as the form says it, the effect in points, and nothing left out of the sum."""
    found = moves(explained(), REFERENCE, TEXTS, "en")
    assert [(move.verb, move.what, move.points) for move in found.moves] == [
        ("predict.raised_by", "Coughing: yes", "+10.5"),
        ("predict.lowered_by", "Age: 72 years", "−8.0"),
        ("predict.raised_by", "Gender: Male", "+4.0"),
        ("predict.lowered_by", "Smoking: no", "−3.0"),
        ("predict.not_moved_by", "Chest pain: no", "0.0"),
        ("predict.lowered_by", "the other 2 together", "−0.1"),
    ]
    assert sum(move.effect for move in found.moves) == pytest.approx(0.0348)
    assert [move.width for move in found.moves][:2] == pytest.approx([100, 100 * 0.08 / 0.105])
    assert [move.rest for move in found.moves] == [False] * 5 + [True]
    assert (found.rows, found.baseline, found.probability, found.margin) == ("1,024", "50.0%", "53.5%", "0.4")


def test_it_speaks_french() -> None:
    """Labels, values, numbers and sentences."""
    found = moves(explained(), REFERENCE, TEXTS, "fr")
    assert [move.what for move in found.moves][:3] == [
        "Toux\u00a0: oui",
        "Âge\u00a0: 72 ans",
        "Sexe\u00a0: Homme",
    ]
    page = Templates(TEXTS).render("fr", "predict/moves.html", found=found)
    assert "Augmentée par" in page
    assert "+10,5" in page
    assert "les 2 autres ensemble" in page


def test_a_model_of_few_inputs_has_no_rest() -> None:
    """All of them are named."""
    short = explained().model_copy(update={"contributions": explained().contributions[:2]})
    assert [move.rest for move in moves(short, REFERENCE, TEXTS, "en").moves] == [False, False]


def test_an_answer_that_nothing_moved_has_no_bars() -> None:
    """Effects of zero have bars of no length, and are not divided by."""
    still = [{"feature": "AGE", "value": 60, "effect": 0, "standard_error": 0}]
    (move,) = moves(explained(contributions=still), REFERENCE, TEXTS, "en").moves
    assert (move.verb, move.points, move.width) == ("predict.not_moved_by", "0.0", 0)


def test_another_models_features_keep_their_names() -> None:
    """A model that took the place of the page's own is explained all the same, and as text."""
    strange = [{"feature": "<b>", "value": "<i>", "effect": 0.1, "standard_error": 0}]
    found = moves(explained(contributions=strange), REFERENCE, TEXTS, "en")
    page = Templates(TEXTS).render("en", "predict/moves.html", found=found)
    assert "&lt;b&gt;: &lt;i&gt;" in page


@pytest.mark.parametrize(
    ("effect", "shown"), [(0.00049, "0.0"), (0.0005, "+0.1"), (-0.0006, "−0.1"), (1, "+100.0")]
)
def test_points_have_their_sign(effect: float, shown: str) -> None:
    """An effect that is shown as zero has none."""
    assert points(effect, "en") == shown
