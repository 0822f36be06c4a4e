"""Serialised forms of an estimator: skops and ONNX, byte for byte the same for the same estimator."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from vigie.model.runtime import INPUT


def onnx_bytes(estimator: Any, columns: int) -> bytes:
    """Return the ONNX graph of `estimator`: float32 (n, `columns`) in, probabilities (n, classes) out.

    Raises what skl2onnx raises when it cannot convert the estimator.
    """
    graph = to_onnx(
        estimator,
        initial_types=[(INPUT, FloatTensorType([None, columns]))],
        options={"zipmap": False},
    )
    serialised: bytes = graph.SerializeToString()
    return serialised


def skops_bytes(estimator: Any) -> bytes:
    """Return the skops archive of `estimator`.

    skops names the parts of its archive after memory addresses; they are renumbered in their order of
    appearance and the entries' dates fixed, so that training twice gives the same file.
    """
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator)))
    declaration = source.read("schema.json").decode()
    addresses = dict.fromkeys(re.findall(r'"__id__": (\d+)', declaration))
    numbers = {address: str(number) for number, address in enumerate(addresses, start=1)}

    def renumber(text: str, pattern: str) -> str:
        return re.sub(pattern, lambda found: numbers[found[0]], text)

    declaration = renumber(declaration, r'(?<="__id__": )\d+|(?<=")\d+(?=\.npy")')
    entries = {renumber(name, r"^\d+(?=\.npy$)"): source.read(name) for name in source.namelist()}
    entries["schema.json"] = declaration.encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name), entries[name])
    return target.getvalue()
