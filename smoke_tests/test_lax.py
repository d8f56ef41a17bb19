"""jax.numpy is NumPy's API and promotes; jax.lax is XLA's and takes nothing implicitly.

https://docs.jax.dev/en/latest/jax.lax.html
https://docs.jax.dev/en/latest/101/rank_promotion_warning.html
https://docs.jax.dev/en/latest/jep/9407-type-promotion.html
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

# On Ampere and later, a float32 convolution may run in TF32, which keeps 10 bits.
EXACT = lax.Precision.HIGHEST

SIGNAL = np.array([1, 2, 0, -3, 5, 4, -1], np.float32)
KERNEL = np.array([2, -1, 3], np.float32)


def convolve_lax(kernel: np.ndarray) -> np.ndarray:
    """SIGNAL slid under `kernel` as XLA sees it: batch and feature axes of one each."""
    signal, kernel_3d = jnp.asarray(SIGNAL[None, None]), jnp.asarray(kernel[None, None])
    slid = lax.conv_general_dilated(signal, kernel_3d, (1,), [(2, 2)], precision=EXACT)
    return np.asarray(slid).ravel()


def test_dtypes_promote() -> None:
    """`jnp.add` promotes unequal dtypes; `lax.add` wants the cast written out."""
    i, f = jnp.array([0, 1, 2], jnp.int32), jnp.array([1, 1, 1], jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        promoted = jnp.add(i, f)
    assert promoted.dtype == jnp.float32
    with pytest.raises(TypeError, match="same dtypes"):
        lax.add(i, f)
    assert lax.add(lax.convert_element_type(i, jnp.float32), f).tolist() == promoted.tolist()


def test_ranks_promote() -> None:
    """`jnp.add` broadcasts unequal ranks; `lax.add` wants the broadcast written out."""
    row, table = jnp.array([0.0, 1.0, 2.0]), jnp.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    with jax.numpy_rank_promotion("allow"):
        promoted = jnp.add(row, table)
    with pytest.raises(TypeError, match="same number of dimensions"):
        lax.add(row, table)
    assert lax.add(lax.broadcast(row, (2,)), table).tolist() == promoted.tolist()


def test_lists_refused() -> None:
    """A Python list is no array: converting it silently would hide its cost."""
    assert np.sum([1, 2]) == 3
    with pytest.raises(TypeError, match="requires ndarray or scalar"):
        jnp.sum([1, 2])  # type: ignore[arg-type]  # the wrong way is also a type error
    assert jnp.sum(jnp.array([1, 2])).item() == 3


def test_scalars_are_weak() -> None:
    """A Python scalar takes the array's dtype; a NumPy scalar has one of its own."""
    x = jnp.array([1, 2], jnp.bfloat16)
    assert (x * 2.0).dtype == jnp.bfloat16
    with jax.numpy_dtype_promotion("standard"):
        assert (x * np.float32(2)).dtype == jnp.float32


def test_strict_dtypes() -> None:
    """Under strict promotion two dtypes do not mix; standard promotion lets them."""
    i, f = jnp.array([0, 1, 2], jnp.int32), jnp.array([1, 1, 1], jnp.float32)
    with jax.numpy_dtype_promotion("strict"):
        with pytest.raises(jax.dtypes.TypePromotionError, match="strict"):
            i + f
        assert (i.astype(jnp.float32) + f).tolist() == [1.0, 2.0, 3.0]
        assert (f * 2).dtype == jnp.float32  # a Python scalar still adapts
    with jax.numpy_dtype_promotion("standard"):
        assert (i + f).tolist() == [1.0, 2.0, 3.0]


def test_strict_ranks() -> None:
    """Under `raise`, ranks do not mix: a row and a column never make a table by accident."""
    row, column = jnp.array([0.0, 1.0, 2.0]), jnp.array([[1.0], [1.0], [1.0]])
    with jax.numpy_rank_promotion("raise"):
        with pytest.raises(ValueError, match="rank_promotion"):
            row - column
        assert (row[:, None] - column).shape == (3, 1)
    with jax.numpy_rank_promotion("allow"):
        assert (row - column).shape == (3, 3)


def test_convolution_agrees() -> None:
    """A convolution in `jnp`, in `lax` and in NumPy gives the same numbers."""
    expected = np.convolve(SIGNAL, KERNEL)
    in_jnp = jnp.convolve(jnp.asarray(SIGNAL), jnp.asarray(KERNEL), precision=EXACT)
    np.testing.assert_allclose(in_jnp, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(convolve_lax(KERNEL[::-1]), expected, rtol=1e-5, atol=1e-5)


def test_convolution_flips() -> None:
    """XLA's convolution does not flip the kernel: unflipped, it is a correlation."""
    unflipped = convolve_lax(KERNEL)
    assert not np.allclose(unflipped, np.convolve(SIGNAL, KERNEL), atol=0.5)
    correlation = np.correlate(SIGNAL, KERNEL, mode="full")
    np.testing.assert_allclose(unflipped, correlation, rtol=1e-5, atol=1e-5)


def test_convolution_layout() -> None:
    """The layout is named: channels last gives what channels first gives, transposed."""
    image = np.arange(2 * 3 * 5 * 5, dtype=np.float32).reshape(2, 3, 5, 5) % 7
    kernel = np.arange(4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3) % 5
    nchw, oihw = jnp.asarray(image), jnp.asarray(kernel)
    nhwc, hwio = jnp.asarray(image.transpose(0, 2, 3, 1)), jnp.asarray(kernel.transpose(2, 3, 1, 0))
    layout = ("NHWC", "HWIO", "NHWC")
    first = lax.conv_general_dilated(nchw, oihw, (1, 1), "SAME", precision=EXACT)
    last = lax.conv_general_dilated(
        nhwc, hwio, (1, 1), "SAME", dimension_numbers=layout, precision=EXACT
    )
    np.testing.assert_allclose(np.asarray(last).transpose(0, 3, 1, 2), first, rtol=1e-5, atol=1e-4)
    with pytest.raises(ValueError, match="feature dimension size"):
        lax.conv_general_dilated(nhwc, oihw, (1, 1), "SAME")


def test_convolution_dtypes() -> None:
    """A `lax` convolution promotes nothing either."""
    signal, kernel = jnp.array([[[1, 2]]], jnp.float32), jnp.array([[[1]]], jnp.bfloat16)
    with pytest.raises(TypeError, match="same dtypes"):
        lax.conv_general_dilated(signal, kernel, (1,), "VALID")
