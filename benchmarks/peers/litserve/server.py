"""The estimator behind LitServe, with its batching and without: PEER_BATCHING=1 turns it on.

One API server, one inference worker, access log off.
"""

from __future__ import annotations

import os

import joblib
import litserve
import numpy as np

BATCHING = os.environ.get("PEER_BATCHING") == "1"


class Estimator(litserve.LitAPI):
    """The life of a request, as LitServe asks for it."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        del device
        self.model = joblib.load(os.environ["PEER_MODEL"])

    def decode_request(self, request: dict[str, list[float]]) -> np.ndarray:
        """Return the row of a request."""
        return np.array(request["columns"])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return P(class); `rows` is one row, or with batching a matrix of them."""
        return self.model.predict_proba(np.atleast_2d(rows))

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """Return one answer per row."""
        return [*output]

    def encode_response(self, output: np.ndarray) -> dict[str, float]:
        """Return the answer to one row."""
        probability = float(np.atleast_2d(output)[0, 1])
        return {"prediction": int(probability >= 0.5), "probability": probability}


if __name__ == "__main__":
    batching = {"max_batch_size": 32, "batch_timeout": 0.001} if BATCHING else {}
    server = litserve.LitServer(
        Estimator(**batching), accelerator="cpu", workers_per_device=1, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
