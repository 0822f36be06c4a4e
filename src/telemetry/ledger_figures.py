"""What a report says of the ledger."""

from __future__ import annotations

from typing import Annotated, TypedDict

from annotated_doc import Doc


class LedgerFigures(TypedDict):
    """The ledger over all producers, in events; as `vigie verify` measures it."""

    produced: Annotated[int, Doc("Events that producers numbered")]
    indexed: Annotated[int, Doc("Events in the store")]
    filtered: Annotated[int, Doc("Events that make no document, on purpose")]
    dead: Annotated[int, Doc("Events refused for good")]
    cleared: Annotated[int, Doc("Events cleared before they were indexed")]
    expired: Annotated[int, Doc("Events whose index retention dropped")]
    erased: Annotated[int, Doc("Events erased on request")]
    removed: Annotated[int, Doc("Events whose index was removed by somebody else")]
    pending: Annotated[int, Doc("Events on their way: in journals, in the stream, in flight")]
    dropped: Annotated[int, Doc("Events dropped and declared")]
    unaccounted: Annotated[int, Doc("Events missing or there twice, else problems; 0 when it balances")]
