"""Surveys in the layouts people have them in, and those that do not fit."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.schemas import mixed_csv, mixed_schema

from vigie.model.answer_coding import SurveyError
from vigie.model.cohort import draw
from vigie.model.feature_matrix import Record
from vigie.model.survey import read_survey
from vigie.schema import FeatureSchema, Value

Spell = Callable[[int], str]
ONE_TWO: Spell = lambda value: str(value + 1)  # noqa: E731
ZERO_ONE: Spell = str
WORDS: Spell = lambda value: ("No", " YES ")[value]  # noqa: E731


@pytest.fixture(scope="module")
def answers(schema: FeatureSchema) -> tuple[list[Record], list[str]]:
    """Forty answers, no two alike, in which every yes/no column holds both values."""
    records, labels = draw(schema, 40, seed=5)
    distinct = {
        tuple(record.values()): (record, label) for record, label in zip(records, labels, strict=True)
    }
    return [record for record, _ in distinct.values()], [label for _, label in distinct.values()]


def layout(
    records: Sequence[Mapping[str, Value]],
    labels: Sequence[str],
    *,
    spell: Mapping[str, Spell] | Spell = ONE_TWO,
    header: Callable[[str], str] = str,
    target: Mapping[str, str] | None = None,
    extra: str | None = None,
    delimiter: str = ",",
) -> str:
    """Write answers as people do: `spell` gives the yes/no cells, GENDER is M or F."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter)
    names = list(records[0])
    writer.writerow([*map(header, names), *([extra] if extra else []), header("LUNG_CANCER")])
    for i, (record, label) in enumerate(zip(records, labels, strict=True)):
        cells = []
        for name, value in record.items():
            how = spell if callable(spell) else spell.get(name, ONE_TWO)
            own = {"AGE": str, "GENDER": lambda sex: "FM"[sex]}
            cells.append(own.get(name, how)(int(value)))
        writer.writerow([*cells, *([str(i % 2 + 1)] if extra else []), (target or {}).get(label, label)])
    return stream.getvalue()


def write(folder: Path, text: str) -> Path:
    file = folder / "survey.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("spell", [ONE_TWO, ZERO_ONE, WORDS], ids=["1/2", "0/1", "words"])
@pytest.mark.parametrize(
    "target",
    [None, {"NO": "0", "YES": "1"}, {"NO": "1", "YES": "2"}, {"NO": "no ", "YES": " Yes"}],
    ids=["words", "0/1", "1/2", "case"],
)
def test_every_coding_of_the_same_answers_reads_the_same(
    spell: Spell, target: dict[str, str] | None, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """The coding of features and target does not change what is read."""
    records, labels = answers
    read = read_survey(write(tmp_path, layout(records, labels, spell=spell, target=target)), schema)
    assert read.records == records
    assert read.labels == labels
    assert not read.simulated
    assert read.notices == ()


def test_the_coding_is_decided_column_by_column(
    answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """One file may hold columns of 1/2, 0/1 and words side by side."""
    records, labels = answers
    codings = [ONE_TWO, ZERO_ONE, WORDS]
    spell = {name: codings[i % 3] for i, name in enumerate(schema.names)}
    read = read_survey(write(tmp_path, layout(records, labels, spell=spell)), schema)
    assert read.records == records


@pytest.mark.parametrize(
    "header",
    [
        lambda name: f" {name.replace('_', ' ')}  ",
        lambda name: name.lower(),
        lambda name: name.title().replace("_", "  "),
    ],
    ids=["spaces", "lower", "both"],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_headers_may_have_stray_spaces_any_case_and_either_spelling(
    header: Callable[[str], str], delimiter: str, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """Columns are found by their name however it is typed, with the usual separators."""
    records, labels = answers
    text = "\ufeff" + layout(records, labels, header=header, delimiter=delimiter)
    assert read_survey(write(tmp_path, text), schema).records == records


def test_an_extra_column_is_ignored_and_said(answers: tuple, schema: FeatureSchema, tmp_path: Path) -> None:
    """CHRONIC DISEASE does not disturb, and the reader says that it was left out."""
    records, labels = answers
    read = read_survey(write(tmp_path, layout(records, labels, extra="CHRONIC DISEASE ")), schema)
    assert read.records == records
    assert len(read.notices) == 1
    assert read.notices[0].endswith("columns ignored: CHRONIC DISEASE")


def test_duplicate_rows_are_dropped_and_counted(
    answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """The first of equal rows stays; the notice gives the number and the rows; blank lines do not count."""
    records, labels = answers
    text = layout(records, labels)
    lines = text.splitlines()
    read = read_survey(write(tmp_path, "\n".join([*lines, "", lines[1], lines[3].lower()])), schema)
    assert read.records == records
    last = len(lines) + 1
    assert read.notices[0].endswith(f"2 duplicate rows dropped (rows {last + 1}, {last + 2})")


def test_people_who_differ_only_in_an_ignored_column_are_two_people(
    answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """A duplicate repeats the whole row of the file."""
    records, labels = answers
    twice = [record for record in records for _ in range(2)]
    read = read_survey(
        write(tmp_path, layout(twice, [label for label in labels for _ in range(2)], extra="ID")), schema
    )
    assert read.records == twice


@pytest.mark.parametrize(("spell", "value"), [(ONE_TWO, 0), (ZERO_ONE, 1)], ids=["1/2", "0/1"])
def test_a_column_of_only_ones_takes_the_coding_of_the_others(
    spell: Spell, value: int, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """1 is no in a file coded 1/2 and yes in a file coded 0/1, however the target is coded."""
    records, labels = answers
    constant = [{**record, "ALLERGY": value} for record in records]
    target = {"NO": "0", "YES": "1"}
    read = read_survey(write(tmp_path, layout(constant, labels, spell=spell, target=target)), schema)
    assert {record["ALLERGY"] for record in read.records} == {value}


def test_a_column_of_only_twos_is_yes(answers: tuple, schema: FeatureSchema, tmp_path: Path) -> None:
    """A 2 shows the coding by itself, even beside columns coded otherwise."""
    records, labels = answers
    constant = [{**record, "ALLERGY": 1} for record in records]
    spell = {name: ZERO_ONE for name in schema.names if name != "ALLERGY"}
    read = read_survey(write(tmp_path, layout(constant, labels, spell=spell)), schema)
    assert {record["ALLERGY"] for record in read.records} == {1}


@pytest.mark.parametrize("others", [WORDS, None], ids=["none", "both"])
def test_a_column_of_only_ones_that_nothing_explains_is_refused(
    others: Spell | None, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """Where the other columns show no coding, or both, a column of 1s is not guessed."""
    records, labels = answers
    constant = [{**record, "ALLERGY": 0} for record in records]
    mixed = [ONE_TWO, ZERO_ONE]
    spell = {name: others or mixed[i % 2] for i, name in enumerate(schema.names)} | {"ALLERGY": ONE_TWO}
    with pytest.raises(SurveyError, match="column ALLERGY, row 2: every number in it is 1"):
        read_survey(write(tmp_path, layout(constant, labels, spell=spell)), schema)


def gender(text: str, spelling: Sequence[str]) -> str:
    """Respell the GENDER column, the second one, of a survey written by `layout`."""
    head, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[1] = spelling["FM".index(row[1])]
    return "\n".join([head, *(",".join(row) for row in cells)])


@pytest.mark.parametrize(
    "spelling", [("F", "M"), ("female", "Male"), ("femme", "homme"), ("f", "H"), ("0", "1")]
)
def test_gender_is_read_by_name_initial_or_number(
    spelling: tuple[str, str], answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """The names the schema gives the two values are understood, whole or by their initial."""
    records, labels = answers
    read = read_survey(write(tmp_path, gender(layout(records, labels), spelling)), schema)
    assert read.records == records


def test_gender_coded_one_two_is_refused(answers: tuple, schema: FeatureSchema, tmp_path: Path) -> None:
    """No convention says whether 1 is female or male, so nothing is guessed."""
    records, labels = answers
    with pytest.raises(SurveyError, match=r"column GENDER, row \d+: coded 1/2"):
        read_survey(write(tmp_path, gender(layout(records, labels), ("1", "2"))), schema)


@pytest.mark.parametrize(("spell", "fits"), [(WORDS, True), (ZERO_ONE, True), (ONE_TWO, False)])
def test_gender_of_only_ones_is_male_unless_the_file_is_coded_one_two(
    spell: Spell, fits: bool, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """A survey of men alone is read; in a file coded 1/2 its 1 could be either."""
    records, labels = answers
    file = write(tmp_path, gender(layout(records, labels, spell=spell), ("1", "1")))
    if fits:
        assert {record["GENDER"] for record in read_survey(file, schema).records} == {1}
    else:
        with pytest.raises(SurveyError, match="column GENDER, row 2: coded 1/2"):
            read_survey(file, schema)


@pytest.mark.parametrize(
    ("column", "cell", "wanted"),
    [
        ("AGE", "121", "'121' is not a whole number from 0 to 120"),
        ("AGE", "-1", "'-1' is not a whole number"),
        ("AGE", "61.5", "'61.5' is not a whole number"),
        ("AGE", "1_0", "'1_0' is not a whole number"),
        ("AGE", "nan", "'nan' is not a whole number"),
        ("AGE", "", "is empty, not a whole number"),
        ("SMOKING", "3", "'3' is not one of yes, no, .* 1, 2"),
        ("SMOKING", "0", "'2' is not one of .* 0, 1"),
        ("SMOKING", "maybe", "'maybe' is not one of"),
        ("SMOKING", "", "is empty, not one of"),
        ("GENDER", "X", "'X' is not one of female, male"),
        ("LUNG_CANCER", "perhaps", "'perhaps' is not one of no, yes"),
        ("LUNG_CANCER", "", "is empty, not one of no, yes"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_by_column_and_row(
    column: str, cell: str, wanted: str, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """The refusal names file, column, row and what would fit, in one line."""
    records, labels = answers
    rows = [line.split(",") for line in layout(records, labels).splitlines()]
    rows[6][rows[0].index(column)] = cell
    file = write(tmp_path, "\n".join(",".join(row) for row in rows))
    with pytest.raises(SurveyError, match=wanted) as refused:
        read_survey(file, schema)
    said = str(refused.value)
    first_two = next(i for i, row in enumerate(rows, start=1) if row[rows[0].index("SMOKING")] == "2")
    row = first_two if cell == "0" else 7
    assert said.startswith(f"{file}, column {column}, row {row}: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("SMOKING", "SMOKES"), "row 1: column SMOKING is missing; found: AGE"),
        (lambda text: text.replace("ANXIETY", "smoking"), "row 1: column SMOKING occurs twice"),
        (
            lambda text: text.replace("\r\n", ",9\r\n").replace(",9", "", 1),
            "row 2: has 16 fields, the header",
        ),
        (lambda text: text.split("\r\n")[0], "needs a header row and at least one row"),
        (lambda text: "", "needs a header row and at least one row"),
        (lambda text: text + '"60', r"row 42: not CSV"),
    ],
    ids=["missing", "twice", "ragged", "header only", "empty", "quote"],
)
def test_a_file_of_another_shape_is_refused(
    change: Callable[[str], str], reason: str, answers: tuple, schema: FeatureSchema, tmp_path: Path
) -> None:
    """What is wrong with the file as a whole is told with its row."""
    text = change(layout(*answers))
    file = tmp_path / "survey.csv"
    file.write_bytes(text.encode())
    with pytest.raises(SurveyError, match=reason):
        read_survey(file, schema)


def test_a_file_that_cannot_be_read_is_refused(schema: FeatureSchema, tmp_path: Path) -> None:
    """A missing file and one that is not text are told apart."""
    with pytest.raises(SurveyError, match=r"none.csv: cannot be read \(No such file"):
        read_survey(tmp_path / "none.csv", schema)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("AGE,GENDER\n60,Fé".encode("latin-1"))
    with pytest.raises(SurveyError, match="row 2: not UTF-8 text"):
        read_survey(latin, schema)


def test_any_schema_reads_its_own_survey(tmp_path: Path) -> None:
    """Numbers, categories and class labels of another schema need no other code."""
    schema = mixed_schema(tmp_path / "schema")
    read = read_survey(mixed_csv(tmp_path / "contracts.csv"), schema)
    assert read.records[1] == {"PLAN": "Plus", "monthly_spend": 13.5, "YEARS": 7, "ONLINE": 1, "GENDER": 0}
    assert read.counts(schema).keys() == {"stays", "leaves"}
    bad = tmp_path / "bad.csv"
    bad.write_text("Plan,monthly spend,years,online,gender,leaves\nGold,1,1,0,F,stays\n")
    with pytest.raises(SurveyError, match="column PLAN, row 2: 'Gold' is not one of basic, plus, pro"):
        read_survey(bad, schema)


def test_a_target_of_more_classes_is_read_by_its_labels(tmp_path: Path) -> None:
    """With three classes a number means nothing, a label does."""
    target = {"name": "LEAVES", "title": "Leaves", "classes": ["no", "soon", "now"], "positive": "now"}
    schema = mixed_schema(tmp_path, target=target)
    head = "plan,monthly_spend,years,online,gender,leaves\n"
    file = write(tmp_path, head + "Pro,1,1,0,F,Soon\nPro,1,1,1,M,now\n")
    assert read_survey(file, schema).labels == ["soon", "now"]
    with pytest.raises(SurveyError, match="column LEAVES, row 2: '1' is not one of no, soon, now"):
        read_survey(write(tmp_path, head + "Pro,1,1,0,F,1\n"), schema)


@given(content=st.binary(max_size=300))
def test_no_file_makes_the_reader_fail_otherwise_than_by_its_own_error(
    content: bytes, schema: FeatureSchema
) -> None:
    """Whatever the bytes, the reader refuses them as a survey error."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.csv"
        file.write_bytes(content)
        with pytest.raises(SurveyError):
            read_survey(file, schema)
