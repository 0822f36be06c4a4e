"""Requests made of rows: every kind in its share, bad ones really bad."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import orjson
import pytest
from pydantic import ValidationError

from vigie.schema import FeatureSchema
from vigie.simulation.requests import Mix, bad_body, requests
from vigie.simulation.rows import cohort_rows


def test_every_kind_has_its_share(schema: FeatureSchema) -> None:
    """Of many requests each kind is as frequent as asked; the rows go out in order; a seed repeats them."""
    mix = Mix(bad=0.1, batch=0.2, browse=0.05, batch_rows=3)

    def made(seed: int) -> list[bytes | None]:
        found = itertools.islice(requests(schema, cohort_rows(schema, 1), mix, seed), 50)
        return [one.body for one in found]

    some = list(itertools.islice(requests(schema, cohort_rows(schema, 1), mix, 5), 4000))
    kinds = Counter(one.kind for one in some)
    for kind, share in (("bad", 0.1), ("batch", 0.2), ("browse", 0.05), ("predict", 0.65)):
        assert kinds[kind] / 4000 == pytest.approx(share, abs=0.03)
    sent = [row for one in some for row in one.rows]
    assert sent == list(itertools.islice(cohort_rows(schema, 1), len(sent)))
    batch = next(one for one in some if one.kind == "batch")
    assert orjson.loads(batch.body or b"") == [row.record for row in batch.rows]
    assert len(batch.rows) == 3
    assert made(5) == made(5) != made(6)


def test_they_end_with_the_rows(schema: FeatureSchema) -> None:
    """When there are no rows any more, there are no requests."""
    rows = itertools.islice(cohort_rows(schema, 1), 7)
    assert sum(len(one.rows) for one in requests(schema, rows, Mix(batch=0.5), 1)) == 7


@pytest.mark.parametrize("seed", range(30))
def test_a_bad_body_is_really_refused(schema: FeatureSchema, seed: int) -> None:
    """What is sent as bad is: broken JSON, or a record that the request model refuses."""
    with pytest.raises(ValidationError):
        schema.request_model.model_validate_json(bad_body(schema, random.Random(seed)))
