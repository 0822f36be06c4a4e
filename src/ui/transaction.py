"""Transaction ids as visitors give them."""

from __future__ import annotations

import re
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_transaction(text: str) -> bool:
    """Return whether `text` has the form of a transaction id."""
    return _UUID.fullmatch(text) is not None


def transaction_in(given: str) -> str:
    """Return the id that somebody typed or pasted, in our spelling; what is none comes back trimmed."""
    trimmed = given.strip().strip("[]\"'").strip()
    return trimmed.lower() if is_transaction(trimmed.lower()) else trimmed
