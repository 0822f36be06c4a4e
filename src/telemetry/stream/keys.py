"""Names of the Redis keys that hold the stream and its ledger, and the limits they live by."""

from __future__ import annotations

from typing import Final, Literal

State = Literal["indexed", "filtered", "dead", "cleared"]
"""What became of an event that was read from the stream; each event is in exactly one of them."""

STATES: Final[tuple[State, ...]] = ("indexed", "filtered", "dead", "cleared")
Mark = State | Literal["settled", "discarded", "admitted", "erased", "erased-dead"]
"""What a bitmap of a producer's numbers may say of them beside their state."""

STREAM: Final = "api_logs"
DEAD_LETTERS: Final = "api_dead"
SUSPECTS: Final = "api_logs:suspects"
"""Hash: entry that a worker filters alone → workers that began to and did not come back, and this one."""
DEAD_CHANGES: Final = "api_logs:dead:changes"
"""Stream of what became of letters (failed again, replayed, discarded) that ml-api-dead does not show yet."""
DEAD_MIRRORED: Final = "api_logs:dead:mirrored"
"""Id of the last letter that ml-api-dead has."""
DEAD_MIRROR_TURN: Final = "api_logs:dead:mirror-turn"
"""There while one process writes ml-api-dead."""
REPLAYS: Final = "api_logs:dead:replays"
"""List of the ids of replays that were asked for and have not ended, oldest first."""
REPLAY_TURN: Final = "api_logs:dead:replay-turn"
"""There while one worker carries replays out."""
GROUP: Final = "pipeline"
PREFIX: Final = "api_logs:"
PRODUCERS: Final = "api_logs:producers"
"""Set of the producers ever seen."""
TOTALS: Final = "api_logs:totals"
"""Hash of running sums over all producers: high, declared, written, settled, one per state."""
CURSORS: Final = "api_logs:cursors"
"""Hash: consumer of /logs_api → id of the last entry it confirmed."""
LEDGER_WATCH: Final = "api_logs:ledger-watch"
"""There while one worker has the turn to measure the ledger."""
LEDGER_FOUND: Final = "api_logs:ledger-found"
"""Hash: when a worker measured the ledger last (`at`, seconds since 1970), and `unaccounted` events."""
FOREIGN_LIST: Final = "api_logs_in"
"""List into which programs that know nothing of the stream push their events."""
FINGERPRINTS: Final = "api_logs:fingerprints"
"""Sorted set of the newest events that were admitted without a number of their own, by their content."""
LOSSES: Final = "api_logs:losses"
"""Hash: "<front end> <cursor>" → what it no longer had when it was polled."""
INSTALLATION: Final = "api_logs:installation"
"""Random id of this installation, which remote front ends know it by."""
EXPIRED: Final = "api_logs:expired"
"""Set of the physical indices whose content was recorded before they were dropped."""

CHUNK_BITS: Final = 20
CHUNK_SIZE: Final = 1 << CHUNK_BITS
"""Event numbers per bitmap (128 KiB); a chunk that is settled completely folds into counts."""
NUMBER_LIMIT: Final = 1 << 31
"""Event numbers stay below this: a bitmap for any larger one could only come from a faulty producer."""


DRIFT_TURN: Final = "api_logs:drift-turn"
"""There while one worker has the turn to judge windows of predictions."""


FEEDBACK_TURN: Final = "api_logs:feedback-turn"
"""There while one worker has the turn to join outcomes to their predictions."""
FEEDBACK: Final = "api_logs:feedback"
"""Hash of the one producer of all outcomes."""


def outcome_key(transaction_id: str) -> str:
    """The label that was recorded last for a prediction; it lives for two days, then the store is asked."""
    return f"{PREFIX}outcome:{transaction_id}"


def conclusions_key(watch: str, subject: str = "") -> str:
    """Hash of a watch over stored events (its producer), or of one subject of it: its cursor and more."""
    return f"{PREFIX}{watch}:{subject}" if subject else f"{PREFIX}{watch}"


def producer_key(producer: str) -> str:
    """Hash of one producer: high, closed and its attributes."""
    return f"{PREFIX}producer:{producer}"


def gaps_key(producer: str) -> str:
    """Hash of the numbers a producer dropped and declared: "first-last" → reason."""
    return f"{PREFIX}gaps:{producer}"


def expired_key(index: str) -> str:
    """Hash of a dropped physical index: "<uuid> <producer>" → "documents lowest highest events numbers"."""
    return f"{PREFIX}expired:{index}"


def bridge_key(name: str) -> str:
    """Hash of one bridge: its own producer, and how many events it took, admitted, knew and numbered."""
    return f"{PREFIX}bridge:{name}"


def remote_key(url: str) -> str:
    """Hash of one front end that is polled: its cursor, and the loss that is being looked into."""
    return f"{PREFIX}remote:{url}"


def documents_key(producer: str) -> str:
    """Hash of the documents expected of a producer's events: physical index → count."""
    return f"{PREFIX}documents:{producer}"


def erased_documents_key(producer: str) -> str:
    """Hash of the documents that a producer's erased events had: physical index → count."""
    return f"{PREFIX}erased-documents:{producer}"


def folded_key(producer: str) -> str:
    """Hash of a producer's chunks: "<chunk>:settled" → bits set, "<chunk>:<state>" → count once folded."""
    return f"{PREFIX}folded:{producer}"


def letter_key(letter_id: str) -> str:
    """Hash of a dead letter whose replay failed: what is newer than the letter itself."""
    return f"{PREFIX}dead:letter:{letter_id}"


def replay_key(replay_id: str) -> str:
    """A replay that was asked for, and how far it is, as JSON; it is kept for a day."""
    return f"{PREFIX}dead:replay:{replay_id}"


def bitmap_key(producer: str, name: Mark, chunk: int) -> str:
    """Bitmap of the numbers of one chunk that are settled, in one state, or marked otherwise."""
    return f"{PREFIX}bits:{producer}:{name}:{chunk}"
