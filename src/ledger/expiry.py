"""What an index that is about to be dropped holds, in events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from elasticsearch import Elasticsearch

from vigie.indices.mappings import LOGS, PERFS
from vigie.indices.routing import alias_of
from vigie.ledger.counting import SERVICE, Count, Question, StoreCounter
from vigie.telemetry.stream.dead_letters import DeadLetters
from vigie.telemetry.stream.expired import Expired
from vigie.telemetry.stream.number_set import NumberSet
from vigie.telemetry.stream.stream import Stream


def with_events(store: Elasticsearch, stream: Stream, held: Sequence[Expired]) -> list[Expired]:
    """Return what one index holds, with the events whose primary document is there.

    Those that are dead or erased have another state already, whatever of them is stored. Raises what the
    two clients raise.
    """
    aliases = {one.index: alias_of(one.index, (LOGS, PERFS)) for one in held}
    asked = [one for one in held if aliases[one.index] is not None]
    letters = DeadLetters(stream.client)
    kept = letters.numbers() if asked and letters.count() else {}
    questions = []
    for one in asked:
        bits = stream.ledger.bits(one.producer, one.last)
        dead = bits.states["dead"] | bits.discarded | NumberSet.of_numbers(kept.get(one.producer, ()))
        clauses = (SERVICE,) if aliases[one.index] == PERFS else ()
        questions.append(Question(one.index, one.producer, one.first, one.last, dead | bits.erased, clauses))
    counts = dict(zip(asked, StoreCounter(store, [""]).ask(questions), strict=True))
    return [_with(one, counts.get(one, Count())) for one in held]


def _with(one: Expired, count: Count) -> Expired:
    return replace(one, events=count.documents, numbers=count.numbers)
