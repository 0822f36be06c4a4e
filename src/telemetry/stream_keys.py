"""Names of the Redis keys that hold the stream and its ledger, and the limits they live by."""

from __future__ import annotations

from typing import Final, Literal

State = Literal["indexed", "filtered", "dead", "cleared"]
"""What became of an event that was read from the stream; each event is in exactly one of them."""

STATES: Final[tuple[State, ...]] = ("indexed", "filtered", "dead", "cleared")

STREAM: Final = "api_logs"
DEAD_LETTERS: Final = "api_dead"
GROUP: Final = "pipeline"
PREFIX: Final = "api_logs:"
PRODUCERS: Final = "api_logs:producers"
"""Set of the producers ever seen."""
TOTALS: Final = "api_logs:totals"
"""Hash of running sums over all producers: high, declared, written, settled, one per state."""
CURSORS: Final = "api_logs:cursors"
"""Hash: consumer of /logs_api → id of the last entry it confirmed."""
EXPIRED: Final = "api_logs:expired"
"""Set of the physical indices whose content was recorded before they were dropped."""

CHUNK_BITS: Final = 20
CHUNK_SIZE: Final = 1 << CHUNK_BITS
"""Event numbers per bitmap (128 KiB); a chunk that is settled completely folds into counts."""
NUMBER_LIMIT: Final = 1 << 31
"""Event numbers stay below this: a bitmap for any larger one could only come from a faulty producer."""


def producer_key(producer: str) -> str:
    """Hash of one producer: high, closed and its attributes."""
    return f"{PREFIX}producer:{producer}"


def gaps_key(producer: str) -> str:
    """Hash of the numbers a producer dropped and declared: "first-last" → reason."""
    return f"{PREFIX}gaps:{producer}"


def expired_key(index: str) -> str:
    """Hash of a dropped physical index: "<uuid> <producer>" → "documents lowest highest"."""
    return f"{PREFIX}expired:{index}"


def documents_key(producer: str) -> str:
    """Hash of the documents expected of a producer's events: physical index → count."""
    return f"{PREFIX}documents:{producer}"


def folded_key(producer: str) -> str:
    """Hash of a producer's chunks: "<chunk>:settled" → bits set, "<chunk>:<state>" → count once folded."""
    return f"{PREFIX}folded:{producer}"


def bitmap_key(producer: str, name: State | Literal["settled"], chunk: int) -> str:
    """Bitmap of the numbers of one chunk that are settled, or are in one state."""
    return f"{PREFIX}bits:{producer}:{name}:{chunk}"
