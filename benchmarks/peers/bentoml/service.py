"""The estimator behind BentoML, with its adaptive batching and without: PEER_BATCHING=1 turns it on.

Served by `bentoml serve`, one worker, access log off.
"""

from __future__ import annotations

import os

import bentoml
import joblib
import numpy as np

BATCHING = os.environ.get("PEER_BATCHING") == "1"
batching = {"batchable": True, "max_batch_size": 64} if BATCHING else {}


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Estimator:
    """One model, one worker."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api(**batching)
    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Return P(class) of rows of the model's columns, shape (n, columns)."""
        return self.model.predict_proba(columns)
