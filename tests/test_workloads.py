"""Workloads by name, a user's own, what is said of a bad one, and the digest."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from helpers import HOME, environ
from jaxpad import workloads
from jaxpad.core.results import UsageError
from jaxpad.profiles import WORKLOADS

GOOD = """
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

def double(mesh):
    "Twice x.\\n\\nMore of it."
    x = jax.ShapeDtypeStruct((8,), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
    return jax.jit(lambda x: x + x), (x,)

def wide(mesh):
    assert mesh.axis_names == ("data", "model") and mesh.devices.shape == (1, 1)
    return double(mesh)

wide.devices, wide.axes = "1x1x1", {"data": 1, "model": 1}
"""
BAD = """
import jax
import jax.numpy as jnp
import numpy as np

x = jax.ShapeDtypeStruct((8,), jnp.float32)

def raises(mesh): return 1 / 0
def leaves(mesh): raise SystemExit("no GPU")
def nothing(mesh): pass
def plain(mesh): return (lambda x: x), (x,)
def bare(mesh): return jax.jit(lambda x: x), x
def concrete(mesh): return jax.jit(lambda x: x), (np.zeros(3),)
def untraceable(mesh): return jax.jit(lambda x: 1 if x.sum() > 0 else 2), (x,)
def mismatch(mesh): return jax.jit(lambda x, y: x), (x,)

number = 3
def many(mesh): pass
many.devices = "8"
def axes(mesh): pass
axes.devices, axes.axes = 8, {"data": 3}
def listed(mesh): pass
listed.axes = ["data"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which has own.py and bad.py; forgotten afterwards."""
    (tmp_path / "own.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in {"own", "bad", "broken", "needs", "torn"} & (set(sys.modules) - before):
        del sys.modules[name]


def program(reference: str) -> workloads.Program:
    """A workload's program on the first CPU device."""
    workload = workloads.load(reference)
    return workload.program(workload.mesh(jax.devices("cpu")[:1]))


def refusal(reference: str) -> str:
    """What is said of a workload that is loaded and asked for its program."""
    with pytest.raises(UsageError) as refused:
        program(reference)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_names() -> None:
    assert workloads.names() == WORKLOADS


def test_listing_imports_no_jax() -> None:
    script = (
        "import sys; from jaxpad import workloads; workloads.names(); print('jax' in sys.modules)"
    )
    argv = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(argv, env=environ(), capture_output=True, text=True, cwd=HOME)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", WORKLOADS)
def test_devices_fit_axes(name: str) -> None:
    workload = workloads.load(name)
    assert workload.count == math.prod(workload.axes.values())
    assert all(source.is_file() for source in workload.sources)
    assert workload.sources[0].stem == name.partition("-")[0]


def test_unknown_name() -> None:
    assert "did you mean fsdp" in refusal("fdsp")
    assert "your own is package.module:function" in refusal("x")


def test_wrong_number_of_devices() -> None:
    with pytest.raises(UsageError, match="2 devices for the workload fsdp, expected 8; give it a"):
        workloads.load("fsdp").mesh([None, None])


@pytest.mark.usefixtures("folder")
def test_own() -> None:
    workload = workloads.load("own:double")
    assert (workload.devices, dict(workload.axes)) == ("1x1x1", {"devices": 1})
    assert workload.description == "Twice x."
    assert program("own:double").jitted(jax.numpy.ones(8)).sum() == 16
    assert program("own:wide").args[0].shape == (8,)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("own:", "'own:' names no workload, expected package.module:function; write it"),
        ("a b:c", "'a b:c' names no workload"),
        ("absent:f", "there is no module absent; run this in the folder that holds it"),
        ("own.absent:f", "there is no module own.absent; run this"),
        ("own:absent", "own.py has no function absent; name one that it has"),
        ("bad:number", "bad.py has no function number; name one"),
        ("bad:raises", "calling it raises ZeroDivisionError at "),
        ("bad:leaves", "raises SystemExit at "),
        ("bad:nothing", "bad:nothing returns nothing, expected a jitted function and a tuple"),
        ("bad:plain", "returns a function first, expected a jitted function; wrap it in jax.jit"),
        ("bad:bare", "as its arguments, expected a tuple of them; write (x,) for one"),
        ("bad:concrete", "returns an array (3,) among its arguments, expected abstract ones"),
        ("bad:untraceable", "tracing it raises TracerBoolConversionError at "),
        ("bad:mismatch", "tracing it raises TypeError"),
        ("bad:many", "its devices are '8', expected a number above 0 or partitions x hosts"),
        ("bad:axes", "its axes {'data': 3} hold 3 devices and its devices are 1x1x8, which is 8"),
        ("bad:listed", "its axes are ['data'], expected names with sizes; write them like"),
    ],
)
def test_refused(reference: str, said: str) -> None:
    assert said in refusal(reference)


def test_line_is_the_users(folder: Path) -> None:
    assert f"ZeroDivisionError at {folder / 'bad.py'}:8: division by zero; " in refusal(
        "bad:raises"
    )
    assert f"at {folder / 'bad.py'}:14: " in refusal("bad:untraceable")


def test_broken_modules(folder: Path) -> None:
    (folder / "torn.py").write_text("def f(mesh:\n")
    (folder / "needs.py").write_text("import not_there_at_all\n")
    (folder / "broken.py").write_text("raise OSError('no disk.\\nmore')\n")
    assert f"SyntaxError at {folder / 'torn.py'}:1: " in refusal("torn:f")
    assert "needs imports not_there_at_all, which is not there; install it" in refusal("needs:f")
    assert f"OSError at {folder / 'broken.py'}:1: no disk; fix it there" in refusal("broken:f")


def digests() -> dict[str, str]:
    return {name: workloads.digest(workloads.load(name)) for name in WORKLOADS}


def test_digest_is_stable() -> None:
    script = "from jaxpad import workloads as w; print([w.digest(w.load(n)) for n in w.names()])"
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=environ(), capture_output=True, text=True, cwd=HOME)
    assert done.stdout.strip() == str(list(digests().values()))
    assert len(set(digests().values())) == len(WORKLOADS)


def test_digest_follows_source(folder: Path) -> None:
    def now() -> Any:
        return workloads.digest(workloads.load("own:double"))

    before = now()
    assert before != workloads.digest(workloads.load("own:wide"))
    (folder / "own.py").write_text(GOOD + "\n")
    assert now() != before
    (folder / "own.py").write_text(GOOD)
    assert now() == before


def test_digest_covers_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "digested"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "step.py").write_text(GOOD)
    (package / "other.py").write_text("x = 1\n")
    before = workloads.digest(workloads.load("digested.step:double"))
    (package / "other.py").write_text("x = 2\n")
    assert workloads.digest(workloads.load("digested.step:double")) != before
    for name in ("digested", "digested.step"):
        monkeypatch.delitem(sys.modules, name)
