"""The pages' styles and scripts as one file each."""

from __future__ import annotations

from pathlib import Path

from vigie.ui.bundle import Bundle


def test_the_frames_own_come_first_and_the_name_follows_the_content(tmp_path: Path) -> None:
    """What pages build on is there before them; a change of any file changes the address."""
    for name in ("a", "base", "z"):
        (tmp_path / f"{name}.css").write_text(f".{name} {{}}")
        (tmp_path / f"{name}.js").write_text(f"const own = '{name}';")
    style, script = Bundle.of_styles(tmp_path), Bundle.of_scripts(tmp_path)
    assert style.content == ".base {}\n.a {}\n.z {}"
    assert [script.content.index(f"'{name}'") for name in ("base", "a", "z")] == sorted(
        script.content.index(f"'{name}'") for name in ("base", "a", "z")
    )
    (tmp_path / "z.css").write_text(".y {}")
    assert Bundle.of_styles(tmp_path).name != style.name
    assert Bundle.of_scripts(tmp_path).name == script.name


def test_an_error_in_a_script_ends_that_file_alone(tmp_path: Path) -> None:
    """Each file is a function of its own, with what it throws caught and said in the console."""
    (tmp_path / "base.js").write_text("throw new Error('x');")
    content = Bundle.of_scripts(tmp_path).content
    assert content.startswith("try { (() => {")
    assert content.endswith("})(); } catch (error) { console.error(error); }")
