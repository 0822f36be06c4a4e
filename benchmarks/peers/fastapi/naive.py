"""The shape that people write: a DataFrame per request, predict and predict_proba, two awaited Redis writes.

It takes the 14 inputs as the reference model does, derives the other columns in the DataFrame, and keeps
the newest thousand log entries in a Redis list. Run as `plain.py` is; PEER_REDIS_PORT names the port of
Redis.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from datetime import UTC, datetime

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

app = FastAPI()
model = joblib.load(os.environ["PEER_MODEL"])
redis = Redis(port=int(os.environ["PEER_REDIS_PORT"]))


class Record(BaseModel):
    """The 14 inputs."""

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


SYMPTOMS = [
    "YELLOW_FINGERS", "ANXIETY", "FATIGUE", "ALLERGY", "WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH",
    "SWALLOWING_DIFFICULTY", "CHEST_PAIN",
]  # fmt: skip


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the derived columns, one by one."""
    respiratory = ["WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH"]
    frame["SMOKING_x_AGE"] = frame["SMOKING"] * frame["AGE"]
    frame["SMOKING_x_ALCOHOL"] = frame["SMOKING"] * frame["ALCOHOL_CONSUMING"]
    frame["RESPIRATORY_SYMPTOMS"] = frame[respiratory].sum(axis=1)
    frame["TOTAL_SYMPTOMS"] = frame[SYMPTOMS].sum(axis=1)
    frame["BEHAVIORAL_RISK_SCORE"] = frame[["SMOKING", "ALCOHOL_CONSUMING", "PEER_PRESSURE"]].sum(axis=1)
    frame["SEVERE_SYMPTOMS"] = frame[["CHEST_PAIN", "SWALLOWING_DIFFICULTY", "SHORTNESS_OF_BREATH"]].sum(
        axis=1
    )
    frame["AGE_GROUP"] = pd.cut(frame["AGE"], [-1, 50, 60, 70, 1000], labels=False)
    frame["HIGH_RISK_PROFILE"] = (
        (frame["GENDER"] == 1) & (frame["SMOKING"] == 1) & (frame["AGE"] > 60)
    ).astype(int)
    frame["AGE_SQUARED"] = frame["AGE"] ** 2
    frame["CANCER_TRIAD"] = frame["COUGHING"] * frame["CHEST_PAIN"] * frame["SHORTNESS_OF_BREATH"]
    frame["SMOKER_WITH_RESP_SYMPTOMS"] = (
        (frame["SMOKING"] == 1) & (frame["RESPIRATORY_SYMPTOMS"] > 0)
    ).astype(int)
    frame["ADVANCED_SYMPTOMS"] = frame["SWALLOWING_DIFFICULTY"] * frame["CHEST_PAIN"]
    frame["SYMPTOMS_PER_AGE"] = frame["TOTAL_SYMPTOMS"] / (frame["AGE"] + 1)
    frame["RESP_SYMPTOM_RATIO"] = frame["RESPIRATORY_SYMPTOMS"] / (frame["TOTAL_SYMPTOMS"] + 1)
    return frame


@app.post("/predict")
async def predict(record: Record) -> dict[str, object]:
    """Answer one record, and log it before the answer leaves."""
    started = time.perf_counter()
    transaction_id = str(uuid.uuid4())
    values = record.model_dump()
    features = derive(pd.DataFrame([values])).to_numpy(dtype=float)
    prediction = int(model.predict(features)[0])
    probability = float(model.predict_proba(features)[0, 1])
    result = {"prediction": prediction, "probability": probability}
    entry = {
        "timestamp": datetime.now(UTC).isoformat(),
        "level": "INFO",
        "message": f"[{transaction_id}] POST /predict - 200",
        "data": {
            "transaction_id": transaction_id,
            "input_data": values,
            "result": result,
            "latency_ms": (time.perf_counter() - started) * 1e3,
        },
    }
    await redis.lpush("naive_logs", json.dumps(entry))
    await redis.ltrim("naive_logs", 0, 999)
    return {"transaction_id": transaction_id, **result}
