"""`profile.explain` where there is nothing to explain: one sentence, 2 for usage, 1 for a fact."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import environ
from jaxpad import effects, gpus, profiles, workloads
from jaxpad.effects import Effort, NoProgramError, Question

MINE = """
import jax
import jax.numpy as jnp

def struct(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)  # no sharding: on all devices

def untraceable(mesh):
    return jax.jit(lambda x: 1 if x.sum() > 0 else 2), (struct(8),)

def nowhere(mesh):
    return jax.jit(lambda: jnp.zeros(8)), ()

def large(mesh):
    return jax.jit(lambda x: x @ x.T), (struct(1 << 17, 1 << 17),)

def huge(mesh):
    return jax.jit(lambda x: jnp.sort(x @ x.T)), (struct(1 << 40, 1 << 20),)

def slow(mesh):
    def step(x):
        for _ in range(4000):
            x = jnp.sin(x @ x)
        return x
    return jax.jit(step), (struct(64, 64),)
"""
FLAG = '[[flag]]\nname = "{}"\nvalue = "{}"\nwhy = "a test"\nsource = "https://x.org"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user is: own workloads, a profile with an unknown flag, targets that are none."""
    found = tmp_path_factory.mktemp("mine")
    (found / "mine.py").write_text(MINE)
    (found / "odd.toml").write_text('description = "x"\n' + FLAG.format("xla_gpu_no_such", "1"))
    text = (gpus.FOLDER / "l4.toml").read_text()
    figure = "core_count = 58"
    (found / "worded.toml").write_text(text.replace(figure, 'core_count = "many"'))
    (found / "beyond.toml").write_text(text.replace(figure, f"core_count = {1 << 40}"))
    return found


def explain(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ("--profile", "--gpu", "--workload", "--against")
    given = [word for pair in zip(options, words, strict=False) for word in pair]
    return subprocess.run(
        [sys.executable, "-m", "jaxpad", "profile.explain", *given],
        env=environ(XDG_CACHE_HOME=str(folder / "cache")),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nope", "l4", "dense"), 2, "no profile is called 'nope'"),
        (("base", "l44", "dense"), 2, "no GPU is called 'l44'"),
        (("base", "l4", "nope"), 2, "no workload is called 'nope'"),
        (("base", "l4"), 2, "--workload is missing"),
        (("base", "./worded.toml", "dense"), 2, "core_count is a string, expected a whole"),
        (("base", "./beyond.toml", "dense"), 2, "[target]: XLA refuses it ("),
        (("base", "l4", "mine:untraceable"), 2, "tracing it raises TracerBoolConversionError"),
        (("base", "l4", "mine:nowhere"), 2, "a function of no arguments is not compiled for l4"),
        (("base", "l4", "mine:large"), 1, "is too large for l4: with no flags it needs 137.4 GB"),
        (("base", "l4", "mine:huge"), 1, "does not compile for l4 with no flags"),
        (("base", "l4", "dense", "./odd.toml"), 1, "does not know xla_gpu_no_such"),
    ],
)
def test_one_sentence(folder: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = explain(folder, *words)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaxpad: ")
    assert said in line
    assert not done.stdout


def test_unknown_flag(folder: Path) -> None:
    done = explain(folder, "./odd.toml", "l4", "dense")
    assert done.returncode == 1, done.stderr
    assert "alone:    fatal: jaxlib" in done.stdout


def test_slow_compile_ends_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One time limit in all, however many flags the profile has."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    profile = profiles.load("peers/maxtext-a3-1vm")
    question = Question(profile, gpus.load("h100-sxm"), workloads.load("mine:slow"))
    begun = time.monotonic()
    with pytest.raises(NoProgramError, match=r"mine:slow does not compile .* within 8 s"):
        effects.explain(question, Effort(limit=8))
    assert len(effects.cells([question])) > 8
    assert time.monotonic() - begun < 24


def test_own_without_sharding_is_on_the_gpu(folder: Path) -> None:
    """And not on the CPU, which is where JAX puts what says nothing."""
    (folder / "cublas.toml").write_text(
        'description = "x"\n' + FLAG.format("xla_gpu_enable_triton_gemm", "false")
    )
    (folder / "plain.py").write_text(
        f"{MINE}\ndef step(mesh): return jax.jit(lambda x: x @ x), (struct(1024, 1024),)\n"
    )
    done = explain(folder, "./cublas.toml", "a100-sxm-80", "plain:step")
    assert done.returncode == 0, done.stderr
    assert "alone:    changes: cuBLAS" in done.stdout
