"""jit: traced once for each shape, lowered to StableHLO, compiled for a device, cached.

https://docs.jax.dev/en/latest/201/jit.html
https://docs.jax.dev/en/latest/jax.stages.html
https://docs.jax.dev/en/latest/101/errors.html
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpad import checks

BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"

# Compiles `x * factor` for each factor given, and counts what the persistent cache said.
CACHE_USER = """
import collections, json, pathlib, sys
import jax, numpy as np

events = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **_: events.update([name.rsplit("/")[-1]]))
x = np.arange(4, dtype=np.float32)
products = [jax.jit(lambda x: x * factor)(x).tolist() for factor in map(float, sys.argv[2:])]
answer = [events["cache_hits"], events["cache_misses"], products]
pathlib.Path(sys.argv[1]).write_text(json.dumps(answer))
"""


def run_cache_user(folder: Path, deadline: checks.Deadline, *factors: str) -> list[object]:
    """Hits, misses and results of a new process that caches compilations in `folder`/cache."""
    ours = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # This process may already hold most of a GPU's memory.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    # Through a file: XLA may be told to print to stdout too.
    answer = folder / "answer.json"
    command = [sys.executable, "-c", CACHE_USER, str(answer), *factors]
    try:
        child = subprocess.run(
            command,
            env=os.environ | ours,
            capture_output=True,
            text=True,
            timeout=deadline.left(),
        )
    except subprocess.TimeoutExpired as error:
        raise checks.late("a process that compiles", checks.CHILD_S) from error
    assert child.returncode == 0, child.stderr
    told: list[object] = json.loads(answer.read_text(encoding="utf-8"))
    return told


@contextmanager
def compilations() -> Iterator[list[float]]:
    """Seconds of each request to the compiler, or to its cache, while this is open."""
    seconds: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == BACKEND_COMPILE:
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


# First in the file: on a GPU in exclusive mode the children need it before this process does.
def test_cache_second_process(tmp_path: Path) -> None:
    """A second process takes from the persistent cache what a first one compiled.

    https://docs.jax.dev/en/latest/persistent_compilation_cache.html
    """
    deadline = checks.Deadline()
    doubled, tripled = [0.0, 2.0, 4.0, 6.0], [0.0, 3.0, 6.0, 9.0]
    assert run_cache_user(tmp_path, deadline, "2") == [0, 1, [doubled]]
    assert any((tmp_path / "cache").iterdir()), "the first process left nothing in the cache"
    # One hit for the program that is known, one miss for the one that is new.
    assert run_cache_user(tmp_path, deadline, "2", "3") == [1, 1, [doubled, tripled]]


def test_lowering_stablehlo() -> None:
    """Lowering gives StableHLO, with the shapes and the function's name in it."""

    def project(a: jax.Array, b: jax.Array) -> jax.Array:
        return a @ b

    lowered = jax.jit(project).lower(np.ones((2, 3), np.float32), np.ones((3, 4), np.float32))
    text = lowered.as_text()
    assert "@jit_project" in text
    assert "stablehlo.dot_general" in text
    assert "tensor<2x4xf32>" in text
    assert str(lowered.compiler_ir("stablehlo")).strip() == text.strip()
    with pytest.raises(ValueError, match="unknown dialect"):
        lowered.compiler_ir("no-such-dialect")


def test_compile_platform() -> None:
    """Compiling gives an executable for the default device's platform, which runs there."""
    device = jax.devices()[0]
    compiled = jax.jit(jnp.sin).lower(np.zeros(4, np.float32)).compile()
    result = compiled(jnp.zeros(4, jnp.float32))
    assert result.devices() == {device}
    assert result.sharding.device_set == compiled.output_shardings.device_set
    assert {d.platform for d in compiled.output_shardings.device_set} == {device.platform}
    assert (compiled.as_text() or "").startswith("HloModule jit_sin")


def test_compiled_is_fixed() -> None:
    """An executable takes the shapes it was compiled for, and no others."""
    compiled = jax.jit(jnp.sin).lower(jnp.zeros(4)).compile()
    assert compiled(jnp.zeros(4)).shape == (4,)
    with pytest.raises(TypeError, match="compiled with"):
        compiled(jnp.zeros(5))


def test_shape_from_mask() -> None:
    """A result's shape cannot depend on values: a boolean mask under jit is an error."""
    x = jnp.arange(4.0)
    assert x[x > 1].tolist() == [2.0, 3.0]  # outside jit the values are known
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        jax.jit(lambda x: x[x > 1])(x)
    # The three-argument `where` keeps the shape, and so needs no size.
    assert jax.jit(lambda x: jnp.where(x > 1, x, 0))(x).tolist() == [0.0, 0.0, 2.0, 3.0]


def test_shape_from_size() -> None:
    """`jnp.where(mask)` works under jit once `size=` says how many to expect."""
    x = jnp.arange(4.0)
    with pytest.raises(jax.errors.ConcretizationTypeError, match="size argument"):
        jax.jit(lambda x: jnp.where(x > 1)[0])(x)
    (found,) = jax.jit(lambda x: jnp.where(x > 1, size=3, fill_value=-1))(x)
    assert found.tolist() == [2, 3, -1]


def test_shape_from_argument() -> None:
    """A traced number cannot be a shape; a static one can."""
    assert jax.jit(jnp.zeros, static_argnums=0)(3).shape == (3,)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences of concrete values"):
        jax.jit(lambda n: jnp.zeros(n))(3)


def test_compile_value() -> None:
    """A new value does not recompile."""
    f = jax.jit(lambda x: x * 2)
    x, y = jnp.zeros(3), jnp.ones(3)
    with compilations() as first:
        f(x)
    with compilations() as second:
        f(y)
    assert (len(first), len(second)) == (1, 0)


def test_compile_shape() -> None:
    """A new shape recompiles, once."""
    f = jax.jit(lambda x: x * 2)
    x, y = jnp.zeros(3), jnp.zeros(4)
    f(x)
    with compilations() as compiled:
        f(y)
        f(y)
        f(x)
    assert len(compiled) == 1


def test_compile_dtype() -> None:
    """A new dtype recompiles, and so does a Python scalar in an array's place."""
    f = jax.jit(lambda x: x * 2)
    x, y = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32)
    with compilations() as compiled:
        f(x)
        f(y)
        f(0.0)  # float32 too, but weakly typed
        f(1.0)
    assert len(compiled) == 3


def test_compile_static() -> None:
    """A new static argument recompiles; the same value as a traced one does not."""
    x = jnp.ones(3)
    static = jax.jit(lambda x, n: x * n, static_argnums=1)
    traced = jax.jit(lambda x, n: x * n)
    with compilations() as for_static:
        results = [static(x, n).tolist() for n in (2, 3, 2)]
    with compilations() as for_traced:
        assert [traced(x, n).tolist() for n in (2, 3, 2)] == results
    assert (len(for_static), len(for_traced)) == (2, 1)


def test_compile_new_lambda() -> None:
    """A function made anew in a loop is compiled anew: define it once, outside."""
    x = jnp.ones(3)

    def double(x: jax.Array) -> jax.Array:
        return x * 2

    with compilations() as anew:
        for _ in range(3):
            jax.jit(lambda x: x * 2)(x)
    with compilations() as once:
        for _ in range(3):
            jax.jit(double)(x)
    assert (len(anew), len(once)) == (3, 1)


def test_trace_runs_once() -> None:
    """Python code in a jitted function runs while tracing, not at each call."""
    calls = []

    @jax.jit
    def f(x: jax.Array) -> jax.Array:
        calls.append(x.shape)  # the wrong way to count calls
        return x * 2

    assert [f(jnp.full(2, n)).tolist() for n in (1, 2, 3)] == [[2, 2], [4, 4], [6, 6]]
    assert calls == [(2,)]
