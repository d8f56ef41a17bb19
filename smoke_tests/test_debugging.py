"""Debugging: values printed, inspected and checked from inside compiled code.

https://docs.jax.dev/en/latest/jax.debug.html
https://docs.jax.dev/en/latest/jax.experimental.checkify.html
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pexpect
import pytest
from jax import lax
from jax.experimental import checkify
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from pexpect import fdpexpect

from jaxpad import checks

jax.config.update("jax_num_cpu_devices", 8)

# The result is printed only if the program outlives the breakpoint.
PROGRAM = """
import jax, numpy as np

def inner(x):
    y = x * 2
    jax.debug.breakpoint()
    return y + 1

@jax.jit
def outer(x):
    shifted = x + 10
    return inner(shifted)

result = outer(np.arange(3, dtype=np.float32)).block_until_ready()
jax.effects_barrier()
print("RESULT", result.tolist())
"""


def open_terminal() -> tuple[int, int]:
    """Both ends of a pseudo-terminal; a bare chroot or sandbox may have none to give."""
    try:
        return pty.openpty()
    except OSError as error:
        raise checks.Inconclusive(str(error), "mount devpts on /dev/pts") from error


def drive_jdb(folder: Path, *commands: str) -> tuple[list[str], int]:
    """What PROGRAM printed after each command given to its debugger, and its exit status."""
    program = folder / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    ours, child_side = open_terminal()
    deadline = checks.Deadline()
    # Not pexpect.spawn: it forks, which a process that already runs JAX's threads must not do.
    child = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=child_side,
        stdout=child_side,
        stderr=child_side,
        # TERM: no escape codes. The other: this process may hold most of a GPU's memory.
        env=os.environ | {"TERM": "dumb", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )
    os.close(child_side)
    terminal = fdpexpect.fdspawn(ours, encoding="utf-8")
    terminal.logfile_read = seen = io.StringIO()
    answers = []
    try:
        for command in commands:
            terminal.expect_exact("(jdb) ", timeout=deadline.left())
            answers.append(str(terminal.before))
            terminal.sendline(command)
        terminal.expect(pexpect.EOF, timeout=deadline.left())
        answers.append(str(terminal.before))
        return answers[1:], child.wait(deadline.left())
    except (pexpect.TIMEOUT, subprocess.TimeoutExpired) as error:
        sys.stdout.write(seen.getvalue())  # to the check's output
        raise checks.late("the debugger", checks.CHILD_S) from error
    except pexpect.ExceptionPexpect as error:
        pytest.fail(f"{type(error).__name__} in this session of jdb:\n{seen.getvalue()}")
    finally:
        child.kill()
        child.wait()
        terminal.close()


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines printed so far, once the device has no more to print."""
    jax.effects_barrier()
    return capsys.readouterr().out.splitlines()


def over_cpus(*axes: str) -> NamedSharding:
    """A layout over eight CPU devices, also where the default platform is a GPU."""
    mesh = Mesh(np.array(jax.devices("cpu")[:8]), ("rows",))
    return NamedSharding(mesh, P(*axes))


def show(x: jax.Array) -> jax.Array:
    """Twice `x`, and a print of both."""
    jax.debug.print("x: {}", x, ordered=True)
    y = x * 2
    jax.debug.print("y: {}", y, ordered=True)
    return y


# First in the file: on a GPU in exclusive mode the children need it before this process does.
def test_breakpoint_continue(tmp_path: Path) -> None:
    """A breakpoint stops compiled code; look at values, go up a frame, continue.

    https://docs.jax.dev/en/latest/_autosummary/jax.debug.breakpoint.html
    """
    commands = ["p y", "p shifted", "up", "p shifted", "p y", "continue"]
    answers, status = drive_jdb(tmp_path, *commands)
    assert "Array([20., 22., 24.], dtype=float32)" in answers[0]
    assert "NameError" in answers[1]
    assert "return inner(shifted)" in answers[2]
    assert "Array([10., 11., 12.], dtype=float32)" in answers[3]
    assert "NameError" in answers[4]
    assert "RESULT [21.0, 23.0, 25.0]" in answers[5]
    assert status == 0


def test_breakpoint_quit(tmp_path: Path) -> None:
    """`quit` ends the program: SystemExit in the callback, an error where the result is due."""
    answers, status = drive_jdb(tmp_path, "quit")
    assert "SystemExit" in answers[0]
    assert "RESULT" not in answers[0]
    assert status != 0


def test_print_jit(capsys: pytest.CaptureFixture[str]) -> None:
    """Under jit `jax.debug.print` shows values at each call, `print` a tracer once."""

    @jax.jit
    def f(x: jax.Array) -> jax.Array:
        print("python:", x)  # noqa: T201  # the wrong way
        jax.debug.print("device: {}", x, ordered=True)
        return x

    f(jnp.array(1.0))
    f(jnp.array(2.0))
    lines = printed(capsys)
    assert [line for line in lines if "device" in line] == ["device: 1.0", "device: 2.0"]
    (python,) = [line for line in lines if "python" in line]
    assert "Tracer" in python


def test_print_ordered(capsys: pytest.CaptureFixture[str]) -> None:
    """With `ordered=True` prints come in the order of the program, call after call."""
    f = jax.jit(show)
    for n in (1, 2, 3):
        f(n)
    assert printed(capsys) == ["x: 1", "y: 2", "x: 2", "y: 4", "x: 3", "y: 6"]


def test_print_vmap(capsys: pytest.CaptureFixture[str]) -> None:
    """`vmap` runs each line for all rows; `lax.map` runs all lines for each row."""
    rows = jnp.array([1, 2])
    jax.vmap(show)(rows)
    assert printed(capsys) == ["x: 1", "x: 2", "y: 2", "y: 4"]
    lax.map(show, rows)
    assert printed(capsys) == ["x: 1", "y: 2", "x: 2", "y: 4"]


def test_print_scan(capsys: pytest.CaptureFixture[str]) -> None:
    """Under `scan` a print comes once an iteration, in order."""

    def step(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        jax.debug.print("{} + {}", carry, x, ordered=True)
        return carry + x, None

    jax.jit(lambda xs: lax.scan(step, jnp.array(0), xs))(jnp.array([1, 2, 3]))
    assert printed(capsys) == ["0 + 1", "1 + 2", "3 + 3"]


def test_print_grad(capsys: pytest.CaptureFixture[str]) -> None:
    """Under `grad` prints come on the forward pass only, with jit around it or not."""
    assert jax.grad(show)(3.0).item() == 2.0
    assert printed(capsys) == ["x: 3.0", "y: 6.0"]
    assert jax.jit(jax.grad(show))(3.0).item() == 2.0
    assert printed(capsys) == ["x: 3.0", "y: 6.0"]


def test_print_backward(capsys: pytest.CaptureFixture[str]) -> None:
    """To print on the backward pass, give a function a derivative that prints."""

    @jax.custom_vjp
    def probe(x: jax.Array) -> jax.Array:
        return x

    def backward(_: None, gradient: jax.Array) -> tuple[jax.Array]:
        jax.debug.print("gradient: {}", gradient, ordered=True)
        return (gradient,)

    probe.defvjp(lambda x: (x, None), backward)
    jax.grad(lambda x: show(probe(x)) ** 2)(3.0)
    assert printed(capsys) == ["x: 3.0", "y: 6.0", "gradient: 24.0"]


def test_callback() -> None:
    """`jax.debug.callback` hands values to Python, and nothing back; plain Python gets a tracer."""
    values: list[Any] = []
    tracers: list[Any] = []

    @jax.jit
    def f(x: jax.Array) -> jax.Array:
        tracers.append(x)
        assert jax.debug.callback(values.append, x, ordered=True) is None
        return x * 2

    f(jnp.array([1.0, 2.0]))
    f(jnp.array([3.0, 4.0]))
    jax.effects_barrier()
    assert [value.tolist() for value in values] == [[1.0, 2.0], [3.0, 4.0]]
    assert [isinstance(tracer, jax.core.Tracer) for tracer in tracers] == [True]


def test_debug_nans() -> None:
    """A NaN passes silently, unless `jax_debug_nans` makes it an error."""
    f = jax.jit(lambda x: jnp.log(x) * 2)
    bad = jnp.array([-1.0])
    assert np.isnan(f(bad)).all()
    with jax.debug_nans(True):
        assert f(jnp.array([1.0])).tolist() == [0.0]
        with pytest.raises(FloatingPointError, match="nan"):
            f(bad)


def test_checkify_check() -> None:
    """`checkify.check` is an assert for traced values; it needs `checkify.checkify` around."""

    def root(x: jax.Array) -> jax.Array:
        checkify.check(x >= 0, "want x >= 0, got {x}", x=x)
        return jnp.sqrt(x)

    checked = jax.jit(checkify.checkify(root))
    error, result = checked(4.0)
    error.throw()
    assert (error.get(), result.item()) == (None, 2.0)
    error, _ = checked(-4.0)
    with pytest.raises(checkify.JaxRuntimeError, match=r"want x >= 0, got -4\.0"):
        error.throw()
    with pytest.raises(ValueError, match="not functionalized"):
        jax.jit(root)(4.0)


def test_checkify_index() -> None:
    """An index out of range is silent, unless `checkify.index_checks` looks for it."""

    def pick(x: jax.Array, i: int) -> jax.Array:
        return x[i]

    x = jnp.arange(3.0)
    assert jax.jit(pick)(x, 7).item() == 2.0
    checked = jax.jit(checkify.checkify(pick, errors=checkify.index_checks))
    assert checked(x, 2)[0].get() is None
    with pytest.raises(checkify.JaxRuntimeError, match="index 7 is out of bounds"):
        checked(x, 7)[0].throw()


def test_checkify_nan() -> None:
    """`checkify.nan_checks` names the operation that made the first NaN, in a loop too."""

    def decay(x: jax.Array) -> Any:
        return lax.fori_loop(0, 3, lambda _, x: jnp.log(x), x)

    checked = jax.jit(checkify.checkify(decay, errors=checkify.nan_checks))
    assert np.isnan(jax.jit(decay)(2.0))
    assert checked(1e9)[0].get() is None
    with pytest.raises(checkify.JaxRuntimeError, match="nan generated by primitive: log"):
        checked(2.0)[0].throw()


def test_sharding_inspected() -> None:
    """`inspect_array_sharding` tells what the compiler chose inside jit; a tracer cannot."""
    chosen: list[Any] = []

    @jax.jit
    def f(x: jax.Array) -> jax.Array:
        y = x * 2
        jax.debug.inspect_array_sharding(y, callback=chosen.append)
        return y

    x = np.zeros((8, 2), np.float32)
    f(jax.device_put(x, over_cpus("rows")))
    f(jax.device_put(x, over_cpus()))
    split, whole = chosen
    assert split.shard_shape((8, 2)) == (1, 2)
    assert whole.shard_shape((8, 2)) == (8, 2)
    with pytest.raises(AttributeError, match="sharding"):
        jax.jit(lambda x: x.sharding)(x)


def test_sharding_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """`visualize_array_sharding` draws which device holds which part."""
    x = jax.device_put(np.zeros((8, 2), np.float32), over_cpus("rows"))
    jax.debug.visualize_array_sharding(x, use_color=False)
    rows = [line for line in printed(capsys) if "CPU" in line]
    assert [row.strip("│ ") for row in rows] == [f"CPU {i}" for i in range(8)]
