"""A profile holds its own call's functions and no other's, on every Python the platform runs on."""

from __future__ import annotations

import contextlib
import gc
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import cast

import pytest

from vigie.telemetry import profiler
from vigie.telemetry.profiler import Profile, profile

HERE = Path(__file__)
PROFILER = HERE.parents[2] / "src" / "telemetry" / "profiler.py"
VERSIONS = ("3.11", "3.12", "3.13")

# Runs alone under any Python: the profiler is loaded from its file, without the package.
ISOLATION = r"""
import gc, importlib.util, sys, threading
from pathlib import Path
spec = importlib.util.spec_from_file_location("profiler", sys.argv[1])
profiler = importlib.util.module_from_spec(spec)
sys.modules["profiler"] = profiler
spec.loader.exec_module(profiler)

class Foreign:
    def __init__(self): self.me = self
    def __del__(self): foreign_finaliser()

def foreign_finaliser(): return sorted([3, 2, 1])
def foreign_step(): return len(str(Foreign()))
def foreign_thread():
    while not done.is_set(): foreign_step()

def inner(n): return [n] * n
def outer():
    total = 0
    for n in range(20): total += len(inner(n))
    return total

done = threading.Event()
sys.setswitchinterval(1e-5)
gc.set_threshold(50)
thread = threading.Thread(target=foreign_thread)
thread.start()
seen = set()
try:
    for _ in range(3000):
        result, found = profiler.profile(outer, Path(sys.argv[1]).parent)
        names = tuple(sorted((cost.function, cost.calls) for cost in found.top_functions))
        seen.add((result, found.function_calls, names, sys.getprofile()))
finally:
    done.set()
    thread.join()
print(seen)
"""


def pythons() -> dict[str, str]:
    """Interpreters of the supported versions that run here: on PATH, else where pyenv keeps its own."""
    candidates: dict[str, list[str]] = {version: [] for version in VERSIONS}
    pyenv = shutil.which("pyenv")
    root = (
        subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        if pyenv
        else ""
    )
    for version in VERSIONS:
        on_path = shutil.which(f"python{version}")
        candidates[version] += [on_path] if on_path else []
        if root:
            found = Path(root).glob(f"versions/{version}*/bin/python{version}")
            candidates[version] += [str(path) for path in sorted(found)]
    return {version: path for version in VERSIONS for path in candidates[version] if _runs(path, version)}


def _runs(path: str, version: str) -> bool:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return told.returncode == 0 and told.stdout.startswith(f"Python {version}.")


@pytest.fixture(scope="module")
def interpreters() -> dict[str, str]:
    """Looked for once."""
    return pythons()


@pytest.mark.parametrize("version", VERSIONS)
def test_thousands_of_profiles_hold_nothing_foreign(version: str, interpreters: dict[str, str]) -> None:
    """Beside a busy thread and its finalisers, each of 3,000 profiles is the same and holds only its own."""
    if version not in interpreters:
        pytest.skip(f"no Python {version} on this machine")
    command = [interpreters[version], "-I", "-c", ISOLATION, str(PROFILER)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.stderr == ""
    expected = {(190, 41, (("inner", 20), ("len", 20), ("outer", 1)), None)}
    assert run.stdout.strip() == str(expected)


def _leaf(n: int) -> int:
    return sum(range(n))


def _fails() -> int:
    return int("no number")


def _caught() -> int:
    try:
        return _fails()
    except ValueError:
        return _leaf(2000)


def _factorial(n: int) -> int:
    return 1 if n == 0 else n * _factorial(n - 1)


def _numbers() -> Iterator[int]:
    yield 1
    yield 2


@contextlib.contextmanager
def _managed() -> Iterator[None]:
    try:
        yield
    finally:
        _leaf(1)


def test_python_and_c_calls_are_counted() -> None:
    """Python functions, C functions and methods of C types count, each under its own name."""

    def work() -> list[int]:
        found: list[int] = []
        for n in range(3):
            found.append(abs(n))  # noqa: PERF401 - the calls are what is counted
        return found

    result, found = profile(work, HERE.parent)
    assert result == [0, 1, 2]
    assert found.function_calls == 7
    by_name = {cost.function.rpartition(".<locals>.")[2]: cost for cost in found.top_functions}
    assert {name: cost.calls for name, cost in by_name.items()} == {"work": 1, "abs": 3, "list.append": 3}
    assert (by_name["abs"].file, by_name["abs"].line) == ("<builtins>", 0)
    assert by_name["list.append"].file == "<built-in>"
    assert by_name["work"].file == "test_profiler.py"
    assert by_name["work"].line == work.__code__.co_firstlineno


def test_exceptions_end_what_they_leave() -> None:
    """A function left by an exception has ended: what runs afterwards is not its callee."""
    _, found = profile(_caught, HERE.parent)
    costs = {cost.function: cost for cost in found.top_functions}
    assert found.function_calls == 4
    assert set(costs) == {"_caught", "_fails", "_leaf", "sum"}
    apart = costs["_caught"].own_ms + costs["_fails"].cumulative_ms + costs["_leaf"].cumulative_ms
    assert costs["_caught"].cumulative_ms == pytest.approx(apart)


def test_recursion_counts_its_time_once() -> None:
    """Each level is a call; cumulative time is that of the outermost level."""
    result, found = profile(lambda: _factorial(10), HERE.parent)
    assert result == 3_628_800
    cost = next(cost for cost in found.top_functions if cost.function == "_factorial")
    outermost = next(cost for cost in found.top_functions if cost.function.endswith("<lambda>"))
    assert cost.calls == 11
    assert cost.own_ms <= cost.cumulative_ms <= outermost.cumulative_ms
    assert cost.own_ms == pytest.approx(cost.cumulative_ms)


def test_own_times_add_up_to_the_whole() -> None:
    """Own times partition the call: their sum is the cumulative time of the function called."""
    _, found = profile(_caught, HERE.parent)
    whole = max(cost.cumulative_ms for cost in found.top_functions)
    assert sum(cost.own_ms for cost in found.top_functions) == pytest.approx(whole)


def test_generators_are_counted_at_each_resumption() -> None:
    """Each entry into a generator's frame is a call, as in cProfile."""
    result, found = profile(lambda: list(_numbers()), HERE.parent)
    assert result == [1, 2]
    assert {cost.function: cost.calls for cost in found.top_functions}["_numbers"] == 3


def test_a_generator_that_is_made_to_raise_ends_nothing_else() -> None:
    """An exception thrown into a generator, as `with` does, leaves the callers' times whole."""

    def work() -> int:
        with contextlib.suppress(ValueError), _managed():
            _fails()
        return _leaf(10)

    result, found = profile(work, HERE.parent)
    assert result == 45
    whole = max(cost.cumulative_ms for cost in found.top_functions)
    outermost = next(cost for cost in found.top_functions if cost.cumulative_ms == whole)
    assert outermost.function.endswith("work")
    _, again = profile(work, HERE.parent)
    assert again.function_calls == found.function_calls


def test_top_five_by_own_time() -> None:
    """At most five are named, ranked by own time, and all calls are counted."""
    # Each with code of its own: closures of one lambda would be one function to the profiler.
    functions = [eval(f"lambda: leaf({n * 400})", {"leaf": _leaf}) for n in range(7)]
    _, found = profile(lambda: [function() for function in functions], HERE.parent)
    assert [cost.rank for cost in found.top_functions] == [1, 2, 3, 4, 5]
    own = [cost.own_ms for cost in found.top_functions]
    assert own == sorted(own, reverse=True)
    assert found.function_calls >= 7 + 7 + 7


def test_the_call_s_exception_is_raised_and_the_profiler_gone() -> None:
    """What the call raises reaches the caller; profiler and garbage collection are as before."""

    def before(*_: object) -> None:
        return None

    sys.setprofile(before)
    try:
        with pytest.raises(ValueError, match="no number"):
            profile(_fails, HERE.parent)
        restored = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert restored is before
    assert gc.isenabled()


def test_garbage_collection_stays_off_where_it_was_off() -> None:
    """A process that runs without garbage collection goes on so."""
    gc.disable()
    try:
        profile(_numbers, HERE.parent)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_profile_inside_a_profile() -> None:
    """Nested profiles each hold their own; the outer goes on afterwards."""
    outer_result, outer = profile(lambda: (profile(lambda: _leaf(3), HERE.parent), _leaf(4)), HERE.parent)
    (inner_result, inner), after = outer_result
    assert (inner_result, after) == (3, 6)
    assert inner.function_calls == 3
    assert outer.function_calls > 3
    assert sys.getprofile() is None


def test_files_are_relative_to_their_library() -> None:
    """Outside the root a file is named within site-packages or the standard library, never by a full path."""
    import fractions

    import orjson
    import yaml

    _, found = profile(lambda: yaml.safe_load("[1]"), HERE.parent)
    assert {cost.file for cost in found.top_functions} <= {
        *(f"yaml/{path.name}" for path in Path(yaml.__file__).parent.glob("*.py")),
        "<built-in>",
        "<builtins>",
        HERE.name,
    }
    _, found = profile(lambda: fractions.Fraction("3/4"), HERE.parent)
    assert "fractions.py" in {cost.file for cost in found.top_functions}
    _, found = profile(lambda: orjson.dumps({}), HERE.parent / "elsewhere")
    assert HERE.name in {cost.file for cost in found.top_functions}


def _observed(events: list[tuple[FrameType, str, object]]) -> Profile:
    """Give the accumulator a sequence of events by hand, as some versions report them."""
    accumulator = profiler._Accumulator()
    for frame, name, argument in events:
        accumulator.observe(frame, name, argument)
    return accumulator.profile(HERE.parent)


def _frame(code: CodeType) -> FrameType:
    """Return a frame of that code (its `f_code`), for a sequence of events by hand."""
    return cast("FrameType", SimpleNamespace(f_code=code))


def test_events_outside_the_call_count_nothing() -> None:
    """The profiler's own switching on and off, which versions report differently, is no part of the profile."""
    root, outside = _frame(profiler._ROOT_CODE), _frame(_caught.__code__)
    found = _observed(
        [
            (outside, "c_return", sys.setprofile),
            (root, "call", None),
            (root, "c_return", sys.setprofile),
            (root, "return", None),
            (outside, "c_call", sys.setprofile),
            (root, "call", None),
            (outside, "call", None),
        ]
    )
    assert found == Profile(0, ())


def test_an_end_that_is_not_reported_is_made_up_for() -> None:
    """A C function whose end is missing ends with its caller, at the latest with the call."""
    root, inner, leaf = _frame(profiler._ROOT_CODE), _frame(_caught.__code__), _frame(_leaf.__code__)
    found = _observed(
        [
            (root, "call", None),
            (inner, "call", None),
            (inner, "c_call", abs),
            (leaf, "return", None),
            (inner, "return", None),
            (leaf, "call", None),
            (leaf, "c_call", len),
            (leaf, "c_exception", len),
            (leaf, "return", None),
            (leaf, "return", None),
            (root, "c_call", sum),
            (root, "return", None),
        ]
    )
    assert {cost.function: cost.calls for cost in found.top_functions} == {
        "_caught": 1,
        "abs": 1,
        "_leaf": 1,
        "len": 1,
        "sum": 1,
    }
    assert found.function_calls == 5
    costs = {cost.function: cost for cost in found.top_functions}
    assert costs["_caught"].own_ms + costs["abs"].own_ms == pytest.approx(costs["_caught"].cumulative_ms)


def test_a_c_function_without_a_name_is_counted() -> None:
    """Something callable that denies its name is counted under its type's."""

    root = _frame(profiler._ROOT_CODE)
    found = _observed([(root, "call", None), (root, "c_call", SimpleNamespace()), (root, "return", None)])
    assert [cost.function for cost in found.top_functions] == ["SimpleNamespace"]


def test_code_without_a_file_keeps_its_mark() -> None:
    """Generated code is named as its maker marked it."""
    made: dict[str, Callable[[], int]] = {}
    exec(compile("def generated(): return 1", "<made here>", "exec"), made)
    _, found = profile(made["generated"], HERE.parent)
    assert [(cost.function, cost.file) for cost in found.top_functions] == [("generated", "<made here>")]
