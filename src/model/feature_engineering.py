"""Derived features of the reference model: one vectorised function and the declaration of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Derive(Protocol):
    """Computes the derived features that a schema names as `derive: module:function`."""

    def __call__(self, inputs: Mapping[str, FloatArray], /) -> Mapping[str, FloatArray]:
        """Return the derived columns by name, in the order of the model's columns.

        `inputs` holds one array of shape (n,) per input feature (a category as its position); each
        returned array has the shape (n,) too, and the names and their order are the same in every call.
        """


@dataclass(frozen=True, slots=True)
class DerivedFeature:
    """One derived column: its name, its formula as people read it, and the inputs it reads."""

    name: str
    formula: str
    inputs: tuple[str, ...]


RESPIRATORY = ("WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH")
SYMPTOMS = (
    "YELLOW_FINGERS",
    "ANXIETY",
    "FATIGUE",
    "ALLERGY",
    *RESPIRATORY,
    "SWALLOWING_DIFFICULTY",
    "CHEST_PAIN",
)

LUNG_CANCER_FEATURES: tuple[DerivedFeature, ...] = (
    DerivedFeature("SMOKING_x_AGE", "SMOKING × AGE", ("SMOKING", "AGE")),
    DerivedFeature("SMOKING_x_ALCOHOL", "SMOKING × ALCOHOL_CONSUMING", ("SMOKING", "ALCOHOL_CONSUMING")),
    DerivedFeature("RESPIRATORY_SYMPTOMS", "WHEEZING + COUGHING + SHORTNESS_OF_BREATH (0 to 3)", RESPIRATORY),
    DerivedFeature("TOTAL_SYMPTOMS", "sum of the 9 symptoms (0 to 9)", SYMPTOMS),
    DerivedFeature(
        "BEHAVIORAL_RISK_SCORE",
        "SMOKING + ALCOHOL_CONSUMING + PEER_PRESSURE (0 to 3)",
        ("SMOKING", "ALCOHOL_CONSUMING", "PEER_PRESSURE"),
    ),
    DerivedFeature(
        "SEVERE_SYMPTOMS",
        "CHEST_PAIN + SWALLOWING_DIFFICULTY + SHORTNESS_OF_BREATH (0 to 3)",
        ("CHEST_PAIN", "SWALLOWING_DIFFICULTY", "SHORTNESS_OF_BREATH"),
    ),
    DerivedFeature("AGE_GROUP", "0 up to 50, 1 up to 60, 2 up to 70, 3 above", ("AGE",)),
    DerivedFeature(
        "HIGH_RISK_PROFILE", "1 when GENDER = 1, SMOKING = 1 and AGE > 60", ("GENDER", "SMOKING", "AGE")
    ),
    DerivedFeature("AGE_SQUARED", "AGE²", ("AGE",)),
    DerivedFeature(
        "CANCER_TRIAD",
        "1 when COUGHING, CHEST_PAIN and SHORTNESS_OF_BREATH",
        ("COUGHING", "CHEST_PAIN", "SHORTNESS_OF_BREATH"),
    ),
    DerivedFeature(
        "SMOKER_WITH_RESP_SYMPTOMS",
        "1 when SMOKING and RESPIRATORY_SYMPTOMS > 0",
        ("SMOKING", *RESPIRATORY),
    ),
    DerivedFeature(
        "ADVANCED_SYMPTOMS",
        "1 when SWALLOWING_DIFFICULTY and CHEST_PAIN",
        ("SWALLOWING_DIFFICULTY", "CHEST_PAIN"),
    ),
    DerivedFeature("SYMPTOMS_PER_AGE", "TOTAL_SYMPTOMS ÷ (AGE + 1)", (*SYMPTOMS, "AGE")),
    DerivedFeature("RESP_SYMPTOM_RATIO", "RESPIRATORY_SYMPTOMS ÷ (TOTAL_SYMPTOMS + 1)", SYMPTOMS),
)
"""The derived columns of the reference model, in their order; the reference documentation lists them."""

AGE_GROUP_LIMITS = np.array([50.0, 60.0, 70.0])
"""Last age, in years, of the groups 0, 1 and 2."""
HIGH_RISK_AGE = np.array([60.0])
"""Age, in years, above which a smoking man has the high-risk profile."""

# Arrays of one element: numpy broadcasts them in half the time it takes to convert a Python number.
ZERO, ONE = np.zeros(1), np.ones(1)


def derive_lung_cancer(inputs: Mapping[str, FloatArray], /) -> dict[str, FloatArray]:
    """Return the 14 derived columns of `LUNG_CANCER_FEATURES`, each of the shape (n,) of the inputs.

    Binary inputs are 0 or 1, so a product of them is their conjunction.
    """
    age, smoking, alcohol = inputs["AGE"], inputs["SMOKING"], inputs["ALCOHOL_CONSUMING"]
    coughing, breath = inputs["COUGHING"], inputs["SHORTNESS_OF_BREATH"]
    swallowing, chest_pain = inputs["SWALLOWING_DIFFICULTY"], inputs["CHEST_PAIN"]
    wheezing_and_coughing = inputs["WHEEZING"] + coughing
    respiratory = wheezing_and_coughing + breath
    severe = chest_pain + swallowing + breath
    general = inputs["YELLOW_FINGERS"] + inputs["ANXIETY"] + inputs["FATIGUE"] + inputs["ALLERGY"]
    total = wheezing_and_coughing + severe + general
    return {
        "SMOKING_x_AGE": smoking * age,
        "SMOKING_x_ALCOHOL": smoking * alcohol,
        "RESPIRATORY_SYMPTOMS": respiratory,
        "TOTAL_SYMPTOMS": total,
        "BEHAVIORAL_RISK_SCORE": smoking + alcohol + inputs["PEER_PRESSURE"],
        "SEVERE_SYMPTOMS": severe,
        "AGE_GROUP": AGE_GROUP_LIMITS.searchsorted(age).astype(np.float64),
        "HIGH_RISK_PROFILE": inputs["GENDER"] * smoking * (age > HIGH_RISK_AGE),
        "AGE_SQUARED": age * age,
        "CANCER_TRIAD": coughing * chest_pain * breath,
        "SMOKER_WITH_RESP_SYMPTOMS": smoking * (respiratory > ZERO),
        "ADVANCED_SYMPTOMS": swallowing * chest_pain,
        "SYMPTOMS_PER_AGE": total / (age + ONE),
        "RESP_SYMPTOM_RATIO": respiratory / (total + ONE),
    }
