"""The ledger: the proof that every event is stored or accounted for."""
