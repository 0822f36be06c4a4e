"""Packages that must not be served, and what the refusal says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from vigie.model.model_loader import load_model
from vigie.model.package import TRAIN_AGAIN, Manifest, PackageError, read_manifest, sha256, verify
from vigie.schema import SchemaError


@pytest.fixture
def package(package_path: Path, tmp_path: Path) -> Path:
    """A copy of the reference package to spoil."""
    return Path(shutil.copytree(package_path, tmp_path / "lung_cancer"))


def change(package: Path, edit: Callable[[dict], object]) -> None:
    """Apply `edit` to the content of the manifest."""
    content = orjson.loads((package / "manifest.json").read_bytes())
    edit(content)
    (package / "manifest.json").write_bytes(orjson.dumps(content))


def refusal(package: Path) -> str:
    """Return the one line with which loading is refused."""
    with pytest.raises(PackageError) as refused:
        load_model(package)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_package_verifies_and_gives_its_schema(package: Path) -> None:
    """An untouched package passes, wherever it was copied to."""
    assert verify(package, read_manifest(package)).name == "lung_cancer"


@pytest.mark.parametrize(
    "name",
    [
        "schema.yaml",
        "model.skops",
        "model.onnx",
        "golden.json",
        "reference.json",
        "holdout.csv",
        "MODEL_CARD.md",
    ],
)
def test_a_changed_or_missing_file_is_named(name: str, package: Path) -> None:
    """One byte more, or no file, refuses to start and says which and what to do."""
    with (package / name).open("ab") as file:
        file.write(b"\n")
    assert refusal(package) == (
        f"{package / name}: its SHA-256 is not the manifest's: it has changed since the model was trained; "
        f"{TRAIN_AGAIN}"
    )
    (package / name).unlink()
    assert refusal(package) == (f"{package / name}: missing, though the manifest records it; {TRAIN_AGAIN}")


@pytest.mark.parametrize("name", ["model.onnx", "model.skops", "schema.yaml"])
def test_a_file_that_the_manifest_leaves_out_is_not_trusted(name: str, package: Path) -> None:
    """Dropping a hash from the manifest does not switch its check off."""
    change(package, lambda manifest: manifest["files"].pop(name))
    assert refusal(package) == f"{package / name}: the manifest does not record it; {TRAIN_AGAIN}"


def test_an_untrained_model_says_how_to_train_it(package: Path) -> None:
    """A folder with only its schema is told apart from no folder."""
    (package / "manifest.json").unlink()
    assert refusal(package) == (f"{package}: no manifest.json, the model is not trained yet; {TRAIN_AGAIN}")
    shutil.rmtree(package)
    assert refusal(package) == (
        f"{package}: no such folder; MODEL_PATH names a package, made by `make train`"
    )


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.JOBLIB"])
@pytest.mark.parametrize("there", [True, False])
def test_a_pickle_is_refused_with_the_way_to_convert_it(name: str, there: bool, tmp_path: Path) -> None:
    """A pickle is never opened, and the refusal names function and command that make a package."""
    if there:
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    said = refusal(tmp_path / name)
    assert said.startswith(f"{tmp_path / name}: a pickle is not served")
    assert "make train" in said
    assert "vigie.model.export.export(estimator, schema_dir, out_dir, training, held_out)" in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not a manifest"),
        (b"{}", "name: Field required"),
        (b"[]", "not a manifest"),
    ],
)
def test_a_broken_manifest_is_named(content: bytes, reason: str, package: Path) -> None:
    """A manifest that is cut off or of another kind is told in one line."""
    (package / "manifest.json").write_bytes(content)
    assert reason in refusal(package)


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden"])
def test_a_manifest_names_only_files_of_its_own_folder(name: str, package: Path) -> None:
    """A path out of the folder is not a file of the package."""
    change(package, lambda manifest: manifest["files"].update({name: "0" * 64}))
    assert "not a manifest" in refusal(package)


@pytest.mark.parametrize(("what", "value"), [("name", "another"), ("version", "9.9.9")])
def test_a_schema_of_another_model_is_refused(what: str, value: str, package: Path) -> None:
    """Name and version of schema and manifest must agree."""
    change(package, lambda manifest: manifest.update({what: value}))
    assert f"the model was trained as {value}" in refusal(package)


def test_other_columns_are_refused(package: Path) -> None:
    """A derive function that gives other columns than the model was trained on is found out."""
    change(package, lambda manifest: manifest["columns"].reverse())
    assert "the model was trained on RESP_SYMPTOM_RATIO" in refusal(package)


@pytest.mark.parametrize("library", ["scikit-learn", "skops"])
@pytest.mark.parametrize("version", ["0.1.0", None])
def test_another_major_or_minor_of_the_strict_libraries_is_refused(
    library: str, version: str | None, package: Path
) -> None:
    """Estimators are not read by another scikit-learn or skops."""
    change(package, lambda manifest: manifest["libraries"].update({library: version or "none"}))
    assert f"written with {library} {version or 'none'}, installed is" in refusal(package)


def test_other_patches_and_other_libraries_are_only_recorded(package: Path) -> None:
    """A patch of scikit-learn, another numpy or onnxruntime: the golden rows decide."""

    def edit(manifest: dict) -> None:
        major, minor, _ = manifest["libraries"]["scikit-learn"].split(".", 2)
        manifest["libraries"] |= {"scikit-learn": f"{major}.{minor}.999", "numpy": "1.0", "python": "2.7"}

    change(package, edit)
    assert load_model(package).golden_ok()


def test_a_schema_that_is_no_schema_is_a_schema_error(package: Path) -> None:
    """Even with a matching hash the schema itself must be valid."""
    (package / "schema.yaml").write_text("name: 1")
    change(package, lambda m: m["files"].update({"schema.yaml": sha256(package / "schema.yaml")}))
    with pytest.raises(SchemaError, match=r"schema\.yaml"):
        load_model(package)


def test_reading_a_manifest_imports_nothing_heavy(package_path: Path) -> None:
    """The front end shows the notice without numpy, scikit-learn or ONNX Runtime."""
    code = (
        "import sys; from pathlib import Path; from vigie.model.package import read_manifest; "
        f"read_manifest(Path({str(package_path)!r})); "
        "print([m for m in ('numpy', 'sklearn', 'skops', 'onnxruntime', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


def test_a_manifest_survives_its_own_json(package_path: Path) -> None:
    """What is written is what is read, to the last digit."""
    manifest = read_manifest(package_path)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
