"""Strict records with reasons in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.schemas import mixed_schema

from vigie.api.problems import Problem
from vigie.api.validation import RecordReader, Rejected
from vigie.schema import FeatureSchema


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> FeatureSchema:
    """A schema with a category, a number, an integer and two binaries."""
    return mixed_schema(tmp_path_factory.mktemp("mixed"))


VALID: dict[str, Any] = {"PLAN": "Plus", "monthly_spend": 20, "YEARS": 3, "ONLINE": 1, "GENDER": 0}


def faults(reader: RecordReader, body: bytes) -> dict[str, str]:
    """Return field → reason of the problem that `body` meets."""
    with pytest.raises(Problem) as caught:
        reader.one(body)
    assert caught.value.status == 422
    return {error["field"]: error["reason"] for error in caught.value.errors}


def changed(**values: Any) -> bytes:
    """Return the valid record with other values, as JSON."""
    return json.dumps({**VALID, **values}).encode()


def test_both_spellings_give_the_storage_name(mixed: FeatureSchema) -> None:
    """A name with spaces is the same field as with underscores."""
    record = {"monthly spend": 20, **{name: VALID[name] for name in VALID if name != "monthly_spend"}}
    assert RecordReader(mixed).one(json.dumps(record).encode()) == VALID


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("YEARS", True, "must be a whole number from 0 to 40; got true"),
        ("YEARS", "3", 'must be a whole number from 0 to 40; got "3"'),
        ("YEARS", 3.5, "must be a whole number from 0 to 40; got 3.5"),
        ("YEARS", None, "must be a whole number from 0 to 40; got null"),
        ("YEARS", 41, "must be a whole number from 0 to 40; got 41"),
        ("YEARS", [1], "must be a whole number from 0 to 40; got an array"),
        ("YEARS", {"a": 1}, "must be a whole number from 0 to 40; got an object"),
        ("YEARS", float("nan"), "must be a whole number from 0 to 40; got NaN"),
        ("monthly_spend", float("inf"), "must be a finite number from 0 to 500; got Infinity"),
        ("monthly_spend", "x" * 99, 'must be a finite number from 0 to 500; got "' + "x" * 39 + "…"),
        ("PLAN", "plus", 'must be one of Basic, Plus, Pro; got "plus"'),
        ("ONLINE", 2, "must be 0 or 1; got 2"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_wanted(
    mixed: FeatureSchema, field: str, value: object, reason: str
) -> None:
    """Nothing is coerced: booleans, numeric strings, NaN and values out of range are named."""
    assert faults(RecordReader(mixed), changed(**{field: value})) == {field: reason}


@pytest.mark.parametrize("years", ["3.0", "3e0"])
def test_a_whole_number_may_have_a_decimal_point(mixed: FeatureSchema, years: str) -> None:
    """To JSON Schema 3.0 is the integer 3; it is stored as 3, and other faults are still named."""
    reader = RecordReader(mixed)
    body = changed().replace(b'"YEARS": 3', f'"YEARS": {years}'.encode())
    record = reader.one(body)
    assert (record["YEARS"], type(record["YEARS"])) == (3, int)
    assert reader.row(json.loads(body)) == VALID
    assert faults(reader, body.replace(b"Plus", b"Big")) == {
        "PLAN": 'must be one of Basic, Plus, Pro; got "Big"'
    }
    assert faults(reader, body.replace(years.encode(), b"41.0")) == {
        "YEARS": "must be a whole number from 0 to 40; got 41"
    }


def test_a_wrong_value_under_the_other_spelling_has_the_storage_name(mixed: FeatureSchema) -> None:
    """Reasons name the field as it is stored."""
    record = {**VALID, "monthly spend": -1}
    del record["monthly_spend"]
    assert faults(RecordReader(mixed), json.dumps(record).encode()) == {
        "monthly_spend": "must be a finite number from 0 to 500; got -1"
    }


def test_missing_unknown_and_doubled_fields_are_each_named(mixed: FeatureSchema) -> None:
    """Every fault is told at once, an unknown name with the one that was probably meant."""
    record = {**VALID, "YEAR": 3, "monthly spend": 1, "other": 1}
    del record["YEARS"]
    assert faults(RecordReader(mixed), json.dumps(record).encode()) == {
        "YEARS": "is required",
        "YEAR": "is not a feature of this model; did you mean YEARS?",
        "monthly_spend": "is given twice, in both spellings",
        "other": "is not a feature of this model",
    }


def test_a_repeated_key_is_refused(mixed: FeatureSchema) -> None:
    """The parser would keep the last of two values without a word."""
    body = changed().replace(b'"YEARS": 3', b'"YEARS": 3, "YEARS": 30')
    assert faults(RecordReader(mixed), body) == {"YEARS": "is given twice"}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"", "", "is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"A": 1,}', "", "is not valid JSON: trailing comma at line 1 column 9"),
        (b'{"PLAN":"\xff"}', "", "is not valid JSON: invalid unicode code point at line 1 column 10"),
        (b"[1]", "", "must be an object with one value per feature; got an array"),
        (b"3", "", "must be an object with one value per feature; got 3"),
    ],
)
def test_a_body_that_is_no_object_is_refused_with_the_place(
    mixed: FeatureSchema, body: bytes, field: str, reason: str
) -> None:
    """Malformed JSON says where."""
    assert faults(RecordReader(mixed), body) == {field: reason}


def test_a_batch_is_an_array_or_holds_records(mixed: FeatureSchema) -> None:
    """Both forms give the same rows."""
    reader = RecordReader(mixed)
    rows = [VALID, {"PLAN": 3}, 7]
    assert reader.rows(json.dumps(rows).encode(), 3) == rows
    assert reader.rows(json.dumps({"records": rows}).encode(), 3) == rows


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"[]", "records", "must hold at least one record"),
        (b'{"records": []}', "records", "must hold at least one record"),
        (b'{"rows": []}', "rows", "is not a field of a batch"),
        (b"{}", "records", "is required"),
        (b'{"records": 3}', "records", "must be an array of records; got 3"),
        (b'"x"', "", 'must be an array of records; got "x"'),
        (
            b"[1,2,3]",
            "records",
            "holds 3 records; at most 2 are taken at once (BATCH_MAX_RECORDS)",
        ),
        (b"[NaN]", "", "is not valid JSON: unexpected character, expected a JSON value at line 1 column 2"),
        (b'["\xff"]', "", "is not valid JSON: not UTF-8 at byte 2"),
        (b'[{"YEARS":1,"YEARS":2}]', "YEARS", "is given twice in one object"),
        (b'{"records":[1],"records":[2]}', "records", "is given twice in one object"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(
    mixed: FeatureSchema, body: bytes, field: str, reason: str
) -> None:
    """Of the whole body: form, number of rows, JSON."""
    with pytest.raises(Problem) as caught:
        RecordReader(mixed).rows(body, 2)
    assert (caught.value.status, caught.value.errors) == (422, [{"field": field, "reason": reason}])


def test_nesting_beyond_any_sense_is_refused(mixed: FeatureSchema) -> None:
    """A body nested a thousand deep meets 422, not a failure of the service."""
    body = b"[" * 1000 + b'{"a":1,"a":2}' + b"]" * 1000
    with pytest.raises(Problem) as caught:
        RecordReader(mixed).rows(body, 2)
    assert caught.value.status == 422


def test_a_row_is_read_as_a_single_record_is(mixed: FeatureSchema) -> None:
    """Rows of a batch know the same rules and reasons."""
    reader = RecordReader(mixed)
    assert reader.row({**VALID}) == VALID
    assert reader.row({**VALID, "ONLINE": True}) == Rejected(
        {**VALID, "ONLINE": True}, [{"field": "ONLINE", "reason": "must be 0 or 1; got true"}]
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*VALID, "x"]), inner, max_size=5)
    ),
    max_leaves=8,
)


@given(value=json_values | st.fixed_dictionaries(dict.fromkeys(VALID, json_values)))
@settings(max_examples=150, deadline=None)
def test_whatever_is_sent_is_a_record_or_a_422(mixed: FeatureSchema, value: object) -> None:
    """No JSON value makes validation fail in another way, and single and row agree."""
    reader = RecordReader(mixed)
    body = json.dumps(value).encode()
    row = reader.row(json.loads(body))
    if isinstance(row, Rejected):
        with pytest.raises(Problem) as caught:
            reader.one(body)
        assert [error["field"] for error in caught.value.errors] == [e["field"] for e in row.errors]
    else:
        assert reader.one(body) == row


def test_an_unusual_path_object_is_not_needed(tmp_path: Path) -> None:
    """A schema of one feature is read as any other."""
    single = mixed_schema(
        tmp_path / "one",
        features=[{"name": "ONLINE", "type": "binary", "group": "all", "label": "Online"}],
        derive=None,
    )
    assert RecordReader(single).one(b'{"ONLINE": 1}') == {"ONLINE": 1}


def test_very_many_fields_are_refused_as_one_fault(mixed: FeatureSchema) -> None:
    """A record of 100,000 fields is not looked at field by field, alone or in a batch."""
    reader = RecordReader(mixed)
    reason = "must be an object with one value for each of 5 features; got 100005 fields"
    many = {**VALID, **{f"x{number}": 1 for number in range(100_000)}}
    assert faults(reader, json.dumps(many).encode()) == {"": reason}
    assert reader.row(many) == Rejected(many, [{"field": "", "reason": reason}])
    wide = json.dumps({"records": [VALID], **{f"x{number}": 1 for number in range(100)}}).encode()
    with pytest.raises(Problem) as caught:
        reader.rows(wide, 10)
    assert len(caught.value.errors) == 20


def test_a_refused_row_is_kept_as_it_was_sent(mixed: FeatureSchema) -> None:
    """A whole number written as 1e30 is refused, and its row can still be written as JSON."""
    row = {**VALID, "YEARS": 1e30}
    rejected = RecordReader(mixed).row(row)
    assert isinstance(rejected, Rejected)
    assert rejected.row == row
    assert orjson.loads(orjson.dumps(rejected.row)) == row
