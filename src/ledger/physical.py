"""The physical indices: what the ledger expects in each, and what is gone with those that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vigie.indices.mappings import INDICES
from vigie.indices.routing import alias_of, end_of
from vigie.ledger.account import Account
from vigie.ledger.counting import Count
from vigie.telemetry.stream.expired import Expired

Documents = Counter[str]
"""Physical index (or alias) → documents."""


@dataclass(frozen=True, slots=True)
class Indices:
    """Which physical indices there are, and what was recorded of those that retention dropped."""

    there: Collection[str]
    expired: Mapping[str, Sequence[Expired]]
    """Producer → what was recorded of it, of indices that are no longer there."""

    def gone(self, account: Account) -> Documents:
        """Return the documents of indices that are gone without a record."""
        accepted = Documents(account.bits.documents) - Documents(account.bits.erased_documents)
        left = accepted - self.expired_documents(account)
        return Documents({name: n for name, n in left.items() if end_of(name) and name not in self.there})

    def expired_documents(self, account: Account) -> Documents:
        """Return the documents that retention dropped."""
        found = Documents()
        for one in self.expired.get(account.producer, ()):
            found[one.index] += one.documents
        return found

    def expired_events(self, account: Account) -> Count:
        """Return the events that retention dropped."""
        record = self.expired.get(account.producer, ())
        return Count(sum(one.events for one in record), sum(one.numbers for one in record))

    def expected(self, account: Account) -> Documents:
        """Return the documents that should be there, by alias."""
        return by_alias(self.expected_in(account))

    def expected_in(self, account: Account) -> Documents:
        """Return the documents that should be there, by physical index."""
        accepted = Documents(account.bits.documents) - Documents(account.bits.erased_documents)
        return accepted - self.expired_documents(account) - self.gone(account)


def by_alias(documents: Documents) -> Documents:
    """Return the same counts by alias without prefix, over all physical indices."""
    found = Documents()
    for physical, count in documents.items():
        alias = alias_of(physical, INDICES)
        if alias is not None:
            found[alias] += count
    return found
