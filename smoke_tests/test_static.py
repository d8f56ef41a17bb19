"""Static and traced: what Python may look at under jit, and what only the device knows.

A traced value has a shape and a dtype and no number. Python's `if`, `while` and
`range` want a number now; jax.lax and jax.numpy say the same thing to the compiler.

https://docs.jax.dev/en/latest/101/errors.html
https://docs.jax.dev/en/latest/_autosummary/jax.jit.html
https://docs.jax.dev/en/latest/jax.lax.html#control-flow-operators
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

SCALE = 2.0


def repeat(x: Any, times: int) -> Any:
    """`x` doubled `times` times, by a Python loop."""
    for _ in range(times):
        x = x * 2
    return x


def test_static_argnums() -> None:
    """A Python loop needs its length while tracing: the argument must be static."""
    x = jnp.array([1.0, 1.0])
    assert jax.jit(repeat, static_argnums=1)(x, 3).tolist() == [8.0, 8.0]
    with pytest.raises(jax.errors.TracerIntegerConversionError):
        jax.jit(repeat)(x, 3)


def test_static_argnames() -> None:
    """What is not an array, such as a string, is named static or refused."""

    def apply(x: jax.Array, mode: str) -> jax.Array:
        return x * 2 if mode == "double" else x

    named = jax.jit(apply, static_argnames="mode")
    assert named(jnp.array([1.0, 1.0]), mode="double").tolist() == [2.0, 2.0]
    assert named(jnp.array([1.0, 1.0]), mode="keep").tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="static_argnames"):
        jax.jit(apply)(jnp.array([1.0, 1.0]), mode="double")


def test_static_hashable() -> None:
    """A static argument is a key in jit's cache: a tuple will do, a list will not."""
    padded = jax.jit(lambda x, widths: jnp.pad(x, widths), static_argnums=1)
    assert padded(jnp.ones(1), (1, 2)).tolist() == [0.0, 1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="Non-hashable static arguments"):
        padded(jnp.ones(1), [1, 2])


def test_static_unknown_name() -> None:
    """A static name that the function does not have is an error, not a no-op."""
    with pytest.raises(ValueError, match="invalid argnames"):
        jax.jit(repeat, static_argnames="time")


def test_if_traced() -> None:
    """`if` on a traced value raises; `lax.cond` and `jnp.where` do not."""

    def python_abs(x: Any) -> Any:
        return x if x > 0 else -x

    def lax_abs(x: jax.Array) -> Any:
        return lax.cond(x > 0, lambda x: x, lambda x: -x, x)

    def where_abs(x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x, -x)

    assert python_abs(-3.0) == 3.0  # without jit the number is there to look at
    assert jax.jit(lax_abs)(-3.0).item() == jax.jit(where_abs)(-3.0).item() == 3.0
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(python_abs)(-3.0)


def test_if_shape() -> None:
    """`if` on a shape or a dtype is fine: both are known while tracing."""

    @jax.jit
    def last_axis_sum(x: jax.Array) -> jax.Array:
        return x.sum(-1) if x.ndim > 1 else x

    assert last_axis_sum(jnp.ones((2, 3))).tolist() == [3.0, 3.0]
    assert last_axis_sum(jnp.array([1.0, 1.0])).tolist() == [1.0, 1.0]


def test_cond_types() -> None:
    """Both branches of `lax.cond` give the same type: the device has room for one."""
    same = jax.jit(lambda p: lax.cond(p, lambda: 1.0, lambda: 0.0))
    assert (same(True).item(), same(False).item()) == (1.0, 0.0)
    with pytest.raises(TypeError, match="equal output types"):
        jax.jit(lambda p: lax.cond(p, lambda: 1, lambda: 0.0))(True)


def test_while_traced() -> None:
    """`while` on a traced value raises; `lax.while_loop` does not."""

    def python_power(x: Any) -> Any:
        while x < 100:
            x = x * x
        return x

    def lax_power(x: jax.Array) -> jax.Array:
        return lax.while_loop(lambda x: x < 100, lambda x: x * x, x)

    assert jax.jit(lax_power)(3).item() == python_power(3) == 6561
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(python_power)(3)


def test_for_traced() -> None:
    """`range` of a traced value raises; `lax.fori_loop` does not."""
    loop = jax.jit(lambda x, n: lax.fori_loop(0, n, lambda _, x: x * 2, x))
    assert loop(1.5, 3).item() == repeat(1.5, 3) == 12.0
    with pytest.raises(jax.errors.TracerIntegerConversionError):
        jax.jit(repeat)(1.5, 3)


def test_scan_is_a_loop() -> None:
    """`lax.scan` carries a value along an array, and keeps its type fixed."""
    x = jnp.array([1.0, 2.0, 3.0])
    last, sums = jax.jit(lambda x: lax.scan(lambda c, v: (c + v, c + v), 0.0, x))(x)
    assert last.item() == 6.0
    assert sums.tolist() == np.cumsum([1.0, 2.0, 3.0]).tolist()
    with pytest.raises(TypeError, match="carry"):
        lax.scan(lambda c, v: (c + v, None), jnp.zeros(1), jnp.ones((3, 2)))


def test_grad_of_loops() -> None:
    """Reverse mode needs a loop's length while tracing: scan has it, while_loop has not."""

    def by_while(x: float) -> Any:
        return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1]

    def by_scan(x: float) -> Any:
        return lax.scan(lambda c, _: (c * x, None), 1.0, length=3)[0]

    assert jax.jit(by_while)(2.0).item() == 8.0
    cube, slope = jax.jit(jax.value_and_grad(by_scan))(2.0)
    assert (cube.item(), slope.item()) == (8.0, 12.0)
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.grad(by_while)(2.0)


def test_where_runs_both() -> None:
    """`jnp.where` computes both sides: keep the bad input out, or its gradient is NaN.

    https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where
    """

    def unsafe(x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, jnp.sqrt(x), 0.0)

    def safe(x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)

    value, slope = jax.jit(jax.value_and_grad(unsafe))(0.0)
    assert (value.item(), np.isnan(slope)) == (0.0, True)
    value, slope = jax.jit(jax.value_and_grad(safe))(0.0)
    assert (value.item(), slope.item()) == (0.0, 0.0)


def test_shape_arithmetic() -> None:
    """NumPy on a shape stays static; `jax.numpy` on it is traced, and is no shape."""
    x = jnp.ones((2, 3))
    assert jax.jit(lambda x: x.reshape(np.prod(x.shape)))(x).shape == (6,)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences of concrete values"):
        jax.jit(lambda x: x.reshape(jnp.prod(jnp.array(x.shape))))(x)


def test_numpy_on_traced() -> None:
    """A NumPy function wants the numbers, which a traced array has not."""
    x = jnp.zeros(2)
    assert np.sin(x).tolist() == jax.jit(jnp.sin)(x).tolist() == [0.0, 0.0]
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(lambda x: np.sin(x))(x)


def test_float_of_traced() -> None:
    """`float()` wants the number too; `.astype` says it to the compiler."""
    assert jax.jit(lambda x: x.astype(float))(3).item() == 3.0
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(lambda x: float(x))(3)


def test_slice_size_static() -> None:
    """A slice may start at a traced index, but its size is static."""
    x = jnp.arange(5)
    sliced = jax.jit(lambda x, start: lax.dynamic_slice(x, (start,), (2,)))
    assert sliced(x, 3).tolist() == [3, 4]
    with pytest.raises(IndexError, match="static"):
        jax.jit(lambda x, start: x[start : start + 2])(x, 3)


def test_global_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A global is read while tracing, and never again: pass what changes as an argument."""
    by_global = jax.jit(lambda x: x * SCALE)
    by_argument = jax.jit(lambda x, scale: x * scale)
    x = jnp.ones(())
    assert by_global(x).item() == by_argument(x, SCALE).item() == 2.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert by_argument(x, SCALE).item() == 5.0
    assert by_global(x).item() == 2.0  # silently the old value


def test_leak_used() -> None:
    """A traced value that outlives its function is caught when it is used."""
    leaked: list[jax.Array] = []

    @jax.jit
    def leaks(x: jax.Array) -> jax.Array:
        leaked.append(x)
        return x * 2

    assert leaks(jnp.array([1.0, 1.0])).tolist() == [2.0, 2.0]  # the call itself goes well
    with pytest.raises(jax.errors.UnexpectedTracerError, match="escape"):
        leaked[0] + 1


def test_leak_checked() -> None:
    """`jax.checking_leaks` catches the leak where it happens."""
    leaked: list[jax.Array] = []

    def leaks(x: jax.Array) -> jax.Array:
        leaked.append(x)
        return x * 2

    with jax.checking_leaks():
        assert jax.jit(lambda x: x * 2)(jnp.array([1.0, 1.0])).tolist() == [2.0, 2.0]
        with pytest.raises(Exception, match="Leaked trace"):
            jax.jit(leaks)(jnp.array([1.0, 1.0]))
