"""Who a record is about: beside the features on the way in, in the event and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.conftest import Api
from tests.model.schemas import mixed_schema

from vigie.api.problems import Problem
from vigie.api.validation import RecordReader, Rejected
from vigie.schema import FeatureSchema
from vigie.subject import SubjectRecord, Subjects, subject_of

VALID: dict[str, Any] = {"PLAN": "Plus", "monthly_spend": 20, "YEARS": 3, "ONLINE": 1, "GENDER": 0}


@pytest.fixture(scope="module")
def employees(tmp_path_factory: pytest.TempPathFactory) -> FeatureSchema:
    """A schema whose subject has a name of its own."""
    return mixed_schema(tmp_path_factory.mktemp("mixed")).model_copy(update={"subject": "employee_id"})


def read(schema: FeatureSchema, **given: object) -> Any:
    """Return what is read of the valid record with more fields."""
    return RecordReader(schema).one(json.dumps({**VALID, **given}).encode())


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ({}, None),
        ({"subject_id": "p-7"}, "p-7"),
        ({"subject_id": 7}, "7"),
        ({"subject_id": 7.0}, "7"),
        ({"employee_id": 7, "YEARS": 3.0}, "7"),
        ({"employee_id": "a:b"}, "a:b"),
        ({"subject_id": "é" * 128}, "é" * 128),
    ],
)
def test_the_subject_is_beside_the_record(
    employees: FeatureSchema, given: dict[str, Any], subject: str | None
) -> None:
    """Text or whole number, under either name, in a single record and in a row; the features are the same."""
    record = read(employees, **given)
    assert (record, subject_of(record)) == (VALID, subject)
    for rows in ([{**VALID, **given}, VALID], [VALID, {**VALID, **given}]):
        found = RecordReader(employees).some(rows)
        assert found == [VALID, VALID]
        assert [subject_of(row) for row in found] == [subject if row is not VALID else None for row in rows]


@pytest.mark.parametrize("value", [True, None, "", "x" * 129, 1.5, [1], {"a": 1}, 2**64])
def test_what_is_no_subject_is_refused(employees: FeatureSchema, value: object) -> None:
    """The reason names the field and what it must be."""
    with pytest.raises(Problem) as caught:
        read(employees, employee_id=value)
    (error,) = caught.value.errors
    assert (caught.value.status, error["field"], caught.value.subject_id) == (422, "employee_id", None)
    assert error["reason"].startswith("must be a text of 1 to 128 characters or a whole number; got ")


def test_both_names_at_once_and_unknown_ones_are_refused(employees: FeatureSchema) -> None:
    """Two subjects would be one too many; a misspelt one is no feature, and the near name is told."""
    with pytest.raises(Problem) as caught:
        read(employees, subject_id=1, employee_id=2)
    assert caught.value.errors == [
        {"field": "employee_id", "reason": "is given beside subject_id, which means the same; got 2"}
    ]
    with pytest.raises(Problem) as caught:
        read(employees, employee_idd=2)
    assert caught.value.errors[0]["reason"].endswith("did you mean employee_id?")


def test_a_subject_given_twice_is_refused(employees: FeatureSchema) -> None:
    """A repeated key is told, not silently the last one taken."""
    body = json.dumps(VALID)[:-1] + ', "subject_id": 1, "subject_id": 2}'
    with pytest.raises(Problem) as caught:
        RecordReader(employees).one(body.encode())
    assert caught.value.errors == [{"field": "subject_id", "reason": "is given twice"}]


def test_an_input_may_be_the_subject(employees: FeatureSchema) -> None:
    """Then its value is the subject's id, it stays an input, and no other name is taken."""
    schema = employees.model_copy(update={"subject": "YEARS"})
    record = read(schema)
    assert (record, subject_of(record)) == (VALID, "3")
    (row, refused) = RecordReader(schema).some([VALID, {**VALID, "PLAN": "None"}])
    assert subject_of(row) == "3"
    assert isinstance(refused, Rejected)
    assert refused.subject_id == "3"
    assert Subjects(schema).names == ()
    with pytest.raises(Problem):
        read(schema, subject_id=7)


def test_a_refused_record_still_says_who_it_is_about(employees: FeatureSchema) -> None:
    """So that what it sent is found by its subject, and erased with it."""
    with pytest.raises(Problem) as caught:
        read(employees, employee_id=17, YEARS=99)
    assert caught.value.subject_id == "17"
    (row,) = RecordReader(employees).some([{**VALID, "subject_id": "p", "YEARS": 99}])
    assert isinstance(row, Rejected)
    assert row.subject_id == "p"


async def test_events_carry_the_subject(api: Api) -> None:
    """Single, with probabilities, row by row, refused: `subject_id` in the event, never in `input_data`."""
    given = {**api.example, "subject_id": 17}
    plain = await api.client.post("/predict", json=api.example)
    about = await api.client.post("/predict", json=given)
    assert (plain.status_code, about.status_code) == (200, 200)
    assert about.json()["probability"] == plain.json()["probability"]
    await api.client.post("/predict_proba", json=given)
    await api.client.post("/predict", json={**given, "AGE": 999})
    rows = [given, api.example, {**given, "subject_id": "b", "AGE": 999}]
    await api.client.post("/predict/batch", json=rows)
    found = [(data["status"], data.get("subject_id")) for data in api.requests()]
    assert found == [
        ("ok", None), ("ok", "17"), ("ok", "17"), ("refused", "17"),
        ("ok", "17"), ("ok", None), ("refused", "b"), ("ok", None),
    ]  # fmt: skip
    inputs = [data["input_data"] for data in api.requests() if "input_data" in data]
    assert inputs == [api.example] * 5


async def test_the_subject_is_in_the_openapi_document(api: Api) -> None:
    """The record has it, optional, as text or whole number."""
    record = (await api.client.get("/openapi.json")).json()["components"]["schemas"]["Record"]
    assert [one["type"] for one in record["properties"]["subject_id"]["anyOf"]] == ["string", "integer"]
    assert "subject_id" not in record["required"]


def test_a_record_with_a_subject_is_a_record() -> None:
    """Equal to its features and written as them."""
    record = SubjectRecord(VALID, "p")
    assert (record, json.dumps(record)) == (VALID, json.dumps(VALID))
