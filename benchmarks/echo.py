"""The yardstick: what FastAPI itself costs with the same body, and nothing behind it."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Record(BaseModel):
    """The 14 inputs of the reference model."""

    AGE: int
    GENDER: int
    SMOKING: int
    ALCOHOL_CONSUMING: int
    PEER_PRESSURE: int
    YELLOW_FINGERS: int
    ANXIETY: int
    FATIGUE: int
    ALLERGY: int
    WHEEZING: int
    COUGHING: int
    SHORTNESS_OF_BREATH: int
    SWALLOWING_DIFFICULTY: int
    CHEST_PAIN: int


@app.post("/predict")
async def predict(record: Record) -> dict[str, int]:  # noqa: ARG001 - reading it is the work
    """Answer the same to everything."""
    return {"prediction": 0}
