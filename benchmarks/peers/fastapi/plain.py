"""The estimator behind FastAPI as its tutorial would have it: a Pydantic body, one call of predict_proba.

Run by uvicorn[standard] with one worker, access log off. PEER_MODEL names the joblib file.
"""

from __future__ import annotations

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["PEER_MODEL"])


class Row(BaseModel):
    """The model's columns, derived ones included."""

    columns: list[float]


@app.post("/predict")
async def predict(row: Row) -> dict[str, float]:
    """Answer one row; a coroutine, since the model is too quick for a hop to a thread to pay."""
    probability = float(model.predict_proba(np.array([row.columns]))[0, 1])
    return {"prediction": int(probability >= 0.5), "probability": probability}
