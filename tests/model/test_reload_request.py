"""How the command and the API processes of an installation speak about a reload."""

from __future__ import annotations

import os
from pathlib import Path

from vigie.model.reload_request import FOLDER, Outcome, ReloadDesk, answers, request_reload

RELOADED = Outcome(result="reloaded", before="1.0.0", after="2.0.0", reason="onnx: agrees")


def test_a_request_reaches_every_process_and_its_answer_comes_back(tmp_path: Path) -> None:
    """Each answers for itself; a process that came later has nothing to answer."""
    one, two = ReloadDesk(tmp_path), ReloadDesk(tmp_path)
    assert (one.wanted(), two.wanted()) == (None, None)
    number = request_reload(tmp_path)
    assert (one.wanted(), two.wanted()) == (number, number)
    late = ReloadDesk(tmp_path)
    assert late.wanted() is None
    one.answer(number, RELOADED)
    assert one.wanted() is None
    found = [answer for answer in answers(tmp_path) if answer.number >= number and answer.outcome]
    assert [(answer.pid, answer.outcome) for answer in found] == [(os.getpid(), RELOADED)]
    assert len([*answers(tmp_path)]) == 3
    for desk in (one, two, late):
        desk.close()
    assert [*answers(tmp_path)] == []


def test_requests_are_numbered_upwards_whatever_the_clock_says(tmp_path: Path) -> None:
    """A clock that was set back does not make a request look answered."""
    ahead = 2**62
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "request").write_text(str(ahead))
    assert request_reload(tmp_path) == ahead + 1


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    """A free lock belongs to nobody: its process is not waited for."""
    desk = ReloadDesk(tmp_path)
    os.close(desk._descriptor)  # as the kernel does when the process dies
    assert [*answers(tmp_path)] == []
    assert [*(tmp_path / FOLDER).iterdir()] == []


def test_an_outcome_is_one_line(tmp_path: Path) -> None:
    """Old and new version, or why not."""
    assert str(RELOADED) == "1.0.0 → 2.0.0 (onnx: agrees)"
    refused = Outcome(result="refused", before="1.0.0", after="1.0.0", reason="no such folder")
    assert str(refused) == "refused, 1.0.0 goes on answering: no such folder"
