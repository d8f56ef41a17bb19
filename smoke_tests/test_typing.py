"""jaxtyping: shapes and dtypes in annotations, checked by beartype when a function is called.

https://docs.kidger.site/jaxtyping/api/runtime-type-checking/
"""
# ruff: noqa: F722, F821  (an annotation's text is axis names, not Python)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Array, Float, Int, Key, TypeCheckError, jaxtyped


def ones(*shape: int) -> jax.Array:
    """Ones made by NumPy, which has nothing to compile."""
    return jnp.asarray(np.ones(shape, np.float32))


@jaxtyped(typechecker=beartype)
def matmul(a: Float[Array, "n k"], b: Float[Array, "k m"]) -> Float[Array, "n m"]:
    return a @ b


@jaxtyped(typechecker=beartype)
def take(x: Float[Array, "n"], i: Int[Array, ""]) -> Float[Array, ""]:
    return x[i]


def test_shapes_pass() -> None:
    """Arrays of the annotated ranks, sizes and dtypes go through unchanged."""
    product = matmul(ones(2, 3), ones(3, 4))
    assert product.tolist() == np.full((2, 4), 3.0).tolist()


def test_rank_fails() -> None:
    """A missing or an extra axis is an error."""
    with pytest.raises(TypeCheckError, match="parameter 'a'"):
        matmul(ones(3), ones(3, 4))
    with pytest.raises(TypeCheckError, match="parameter 'b'"):
        matmul(ones(2, 3), ones(1, 3, 4))


def test_size_fails() -> None:
    """An axis name means one size in all arguments: `k` cannot be 3 and 2."""
    with pytest.raises(TypeCheckError, match="parameter 'b'"):
        matmul(ones(2, 3), ones(2, 4))


def test_dtype_fails() -> None:
    """An annotation names a kind of dtype, and others are errors."""
    x = jnp.arange(3.0)
    assert take(x, jnp.array(2)).item() == 2.0
    assert take(x.astype(jnp.bfloat16), jnp.array(2)).item() == 2.0  # Float is any float
    with pytest.raises(TypeCheckError, match="parameter 'i'"):
        take(x, jnp.array(2.0))
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        take(x.astype(int), jnp.array(2))


def test_numpy_fails() -> None:
    """A NumPy array is not a `jax.Array`, though JAX would take it."""
    with pytest.raises(TypeCheckError, match="parameter 'a'"):
        matmul(np.ones((2, 3), np.float32), ones(3, 4))  # type: ignore[arg-type]  # the wrong way


def test_return_fails() -> None:
    """The return value is held to its annotation too."""

    @jaxtyped(typechecker=beartype)
    def drop_last(x: Float[Array, "n"], keep: bool) -> Float[Array, "n-1"]:
        return x if keep else x[:-1]

    assert drop_last(ones(3), keep=False).shape == (2,)
    with pytest.raises(TypeCheckError, match="return value"):
        drop_last(ones(3), keep=True)


def test_names_need_jaxtyped() -> None:
    """beartype alone checks each argument by itself; `jaxtyped` ties the names together."""

    def add(a: Float[Array, "n"], b: Float[Array, "n"]) -> tuple[int, ...]:
        return a.shape + b.shape

    two, three = ones(2), ones(3)
    assert beartype(add)(two, three) == (2, 3)
    with pytest.raises(TypeCheckError, match="parameter 'b'"):
        jaxtyped(add, typechecker=beartype)(two, three)


def test_batch_axes() -> None:
    """`*batch` binds any number of axes, and `#n` allows a size of one."""

    @jaxtyped(typechecker=beartype)
    def scale(
        x: Float[Array, "*batch n"], by: Float[Array, "*batch #n"]
    ) -> Float[Array, "*batch n"]:
        return x * by

    assert scale(ones(2, 3, 4), ones(2, 3, 1)).shape == (2, 3, 4)
    with pytest.raises(TypeCheckError, match="parameter 'by'"):
        scale(ones(2, 3, 4), ones(2, 1, 4))


def test_under_jit() -> None:
    """Under jit the check runs while tracing, before anything is compiled."""
    jitted = jax.jit(matmul)
    assert jitted(ones(2, 3), ones(3, 4)).shape == (2, 4)
    with pytest.raises(TypeCheckError, match="parameter 'b'"):
        jitted(ones(2, 3), ones(2, 4))
    with pytest.raises(TypeCheckError, match="parameter 'a'"):
        jitted.lower(ones(2, 3).astype(int), ones(3, 4))


def test_under_vmap() -> None:
    """Under `vmap` the mapped axis is gone: annotate what one call sees."""
    batched = jax.vmap(matmul)
    assert batched(ones(5, 2, 3), ones(5, 3, 4)).shape == (5, 2, 4)
    with pytest.raises(TypeCheckError, match="parameter 'a'"):
        batched(ones(2, 3), ones(2, 4))


def test_inside_function() -> None:
    """Inside a function `isinstance` checks against the sizes bound so far."""

    @jaxtyped(typechecker=beartype)
    def tail(x: Float[Array, "n"], start: int) -> Array:
        y = x[start:]
        assert isinstance(y, Float[Array, "n"]), "size changed"  # type: ignore[arg-type]
        return y

    assert tail(ones(3), 0).shape == (3,)
    with pytest.raises(AssertionError, match="size changed"):
        tail(ones(3), 1)


def test_keys() -> None:
    """A random key has a type of its own, and so has a row of keys."""

    @jaxtyped(typechecker=beartype)
    def draw(key: Key[Array, ""]) -> Float[Array, ""]:
        return jax.random.uniform(key)

    key = jax.random.key(0)
    assert draw(key).item() == jax.random.uniform(key).item()
    with pytest.raises(TypeCheckError, match="parameter 'key'"):
        draw(jax.random.PRNGKey(0))  # old style: two uint32
    with pytest.raises(TypeCheckError, match="parameter 'key'"):
        draw(jax.random.split(key))
