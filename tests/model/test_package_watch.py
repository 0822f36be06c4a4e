"""Noticing that a package has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vigie.model.package_watch import PackageWatch, signature


def test_what_was_judged_is_left_alone_until_it_changes(tmp_path: Path) -> None:
    """A look tells of a folder only when it is other than judged, and the same as at the look before."""
    (tmp_path / "manifest.json").write_text("1")
    watch = PackageWatch(tmp_path)
    assert watch.look() is None
    first = watch.look()
    assert first == signature(tmp_path)
    assert watch.look() == first
    watch.settle(signature(tmp_path))
    assert watch.look() is None
    (tmp_path / "model.onnx").write_text("half")
    assert watch.look() is None
    (tmp_path / "model.onnx").write_text("whole file")
    assert watch.look() is None
    assert watch.look() == signature(tmp_path)


def rewritten(file: Path) -> None:
    """Other bytes of the same length."""
    file.write_text("b")
    os.utime(file, ns=(1, 1))


def replaced(file: Path) -> None:
    """Another file in its place, with its size and its time."""
    status = file.stat()
    other = file.with_name(".other")
    other.write_text("b")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [rewritten, replaced, Path.unlink])
def test_any_change_of_a_file_shows(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Rewritten, replaced or removed."""
    file = tmp_path / "manifest.json"
    file.write_text("a")
    before = signature(tmp_path)
    change(file)
    assert signature(tmp_path) != before


def test_hidden_files_and_a_missing_folder_are_no_matter(tmp_path: Path) -> None:
    """Drafts are hidden until they are whole; a folder that is gone for a moment is empty."""
    before = signature(tmp_path)
    (tmp_path / ".draft").write_text("x")
    assert signature(tmp_path) == before == signature(tmp_path / "nothing") == ()


def test_a_link_that_turns_to_another_package_shows(tmp_path: Path) -> None:
    """A deployment that switches a symbolic link is noticed."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("same")
    link = tmp_path / "current"
    link.symlink_to("one")
    before = signature(link)
    link.unlink()
    link.symlink_to("two")
    assert signature(link) != before
