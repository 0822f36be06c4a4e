"""The judge of the benchmarks' ratios can fail, and fails for the right reasons."""

from __future__ import annotations

import json
import math
from pathlib import Path

import check
import pytest
from check import Bound, Measurement, found_in, judge, read_floors, table
from pydantic import ValidationError
from tests.servers import ROOT

AT_LEAST = Bound(ratio="ratios.answers", what="answers", at_least=2.0, aim=2.5)
AT_MOST = Bound(ratio="flat.cpu", what="CPU", at_most=1.1)
BOTH = Measurement(name="made_up", script="made_up", bounds=[AT_LEAST, AT_MOST])


def kept(answers: float, cpu: float) -> list[bool]:
    """Judge a made-up result."""
    return [one.kept for one in judge(BOTH, {"ratios": {"answers": answers}, "flat": {"cpu": cpu}})]


def test_a_bound_is_kept_up_to_its_edge_and_missed_beyond() -> None:
    """At least and at most include the bound itself; the aim is no bound."""
    assert kept(2.0, 1.1) == [True, True]
    assert kept(1.999, 1.101) == [False, False]
    assert kept(2.2, 0.5) == [True, True]


def test_a_ratio_that_is_missing_or_no_number_is_missed() -> None:
    """A benchmark that stopped telling a ratio does not pass for keeping it."""
    assert [one.kept for one in judge(BOTH, {"ratios": {}})] == [False, False]
    assert kept(math.nan, math.nan) == [False, False]
    assert math.isnan(found_in({"ratios": {"answers": "fast"}}, "ratios.answers"))
    assert "missing" in "\n".join(table(judge(BOTH, {})))


def test_a_bound_that_bounds_nothing_is_refused() -> None:
    """Neither bound, or both, or a misspelt key is an error when the file is read."""
    for wrong in ({}, {"at_least": 1, "at_most": 2}, {"atleast": 1}):
        with pytest.raises(ValidationError):
            Bound.model_validate({"ratio": "a", "what": "b", **wrong})


def test_the_floors_name_benchmarks_that_are_there() -> None:
    """Every measurement of floors.yaml is a script, and its name is that of one result only."""
    measurements = [one for group in read_floors().values() for one in group]
    assert [
        one.script for one in measurements if not (ROOT / "benchmarks" / f"{one.script}.py").exists()
    ] == []
    assert len({one.name for one in measurements}) == len(measurements)
    bounds = [bound for one in measurements for bound in one.bounds]
    assert {"ratios.answers_to_echo_at_32", "ratios.rows_to_echo"} <= {bound.ratio for bound in bounds}


@pytest.mark.parametrize(("answers", "status"), [(2.1, 0), (1.9, 1)])
def test_the_command_fails_when_a_ratio_is_below_its_floor(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answers: float,
    status: int,
) -> None:
    """Judging kept results exits with 1 when a bound is missed, and says which."""
    floors = tmp_path / "floors.yaml"
    floors.write_text(json.dumps({"bench": [BOTH.model_dump(exclude_none=True)]}))
    result = {"ratios": {"answers": answers}, "flat": {"cpu": 1.0}}
    (tmp_path / "made_up.json").write_text(json.dumps({"result": result}))
    assert check.main(["--kept"], floors, tmp_path) == status
    shown = capsys.readouterr().out
    assert (
        f"| made_up | answers | {answers:.2f} | ≥ 2 (aim 2.5) | {'MISSED' if status else 'kept'} |" in shown
    )


def test_a_result_that_was_never_kept_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No result is not a good result."""
    assert check.main(["--kept"], results=tmp_path) == 1
    assert "missing" in capsys.readouterr().out


def test_an_unknown_benchmark_is_an_error() -> None:
    """A misspelt name judges nothing and says what there is."""
    with pytest.raises(SystemExit, match="survin is neither a group nor a benchmark: serving"):
        check.main(["survin", "--kept"])
