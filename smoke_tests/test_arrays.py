"""Arrays: they never change, a donated one is gone, and random numbers come from keys.

https://docs.jax.dev/en/latest/_autosummary/jax.numpy.ndarray.at.html
https://docs.jax.dev/en/latest/201/jit.html#jax-201-buffer-donation
https://docs.jax.dev/en/latest/jax.random.html#prng-keys
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def increment(x: jax.Array) -> jax.Array:
    return x + 1


def test_item_assignment() -> None:
    """An array cannot be changed in place."""
    x = jnp.zeros(3)
    with pytest.raises(TypeError, match="immutable"):
        x[0] = 1.0
    assert x.tolist() == [0.0, 0.0, 0.0]


def test_at_set_copies() -> None:
    """`.at[].set` returns a new array and leaves the original as it was."""
    x = jnp.zeros(3)
    y = x.at[0].set(1.0)
    assert y.tolist() == [1.0, 0.0, 0.0]
    assert x.tolist() == [0.0, 0.0, 0.0]


def test_augmented_rebinds() -> None:
    """`x += 1` makes a new array; whoever holds the old one sees no change."""
    ours = ours_before = jnp.zeros(3)
    theirs = theirs_before = np.zeros(3)
    ours += 1
    theirs += 1
    assert ours is not ours_before
    assert ours_before.tolist() == [0.0, 0.0, 0.0]
    # NumPy's array did change under its other name: this habit does not carry over.
    assert theirs is theirs_before


def test_at_add_repeats() -> None:
    """`.at[].add` counts an index that comes twice twice, as `x[i] += 1` does not."""
    index = np.array([0, 0, 2])
    ours = jax.jit(lambda x: x.at[index].add(1.0))(np.zeros(3))
    theirs = np.zeros(3)
    theirs[index] += 1
    assert ours.tolist() == [2.0, 0.0, 1.0]
    assert theirs.tolist() == [1.0, 0.0, 1.0]


def test_index_out_of_range() -> None:
    """An index out of range raises nothing: reads clamp, writes are dropped.

    A device cannot raise from the middle of a program. Ask for `mode="fill"` to see it.
    """
    x = np.arange(3.0)
    with pytest.raises(IndexError):
        x[10]
    read, filled, written = jax.jit(
        lambda x: (x[10], x.at[10].get(mode="fill", fill_value=-1), x.at[10].set(9.0))
    )(x)
    assert (read.item(), filled.item()) == (2.0, -1.0)
    assert written.tolist() == [0.0, 1.0, 2.0]


def test_donation_frees() -> None:
    """A donated array is gone; one that was not donated stays."""
    kept, donated = jnp.zeros(8), jnp.zeros(8)
    jax.jit(increment)(kept)
    jax.jit(increment, donate_argnums=0)(donated)
    assert not kept.is_deleted()
    assert donated.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        donated + 1


def test_donation_aliases() -> None:
    """The result of a donating call lives in the donated buffer."""
    x, y = jnp.zeros(8), jnp.zeros(8)
    x_buffer, y_buffer = x.unsafe_buffer_pointer(), y.unsafe_buffer_pointer()
    donating = jax.jit(increment, donate_argnums=0)(x)
    copying = jax.jit(increment)(y)
    assert donating.unsafe_buffer_pointer() == x_buffer
    assert copying.unsafe_buffer_pointer() != y_buffer
    assert donating.tolist() == copying.tolist() == [1.0] * 8


def test_donation_memory() -> None:
    """The compiled program says how many bytes donation saves."""
    x = np.zeros(256, np.float32)
    donating = jax.jit(increment, donate_argnums=0).lower(x).compile().memory_analysis()
    copying = jax.jit(increment).lower(x).compile().memory_analysis()
    assert donating is not None
    assert copying is not None
    assert donating.alias_size_in_bytes == 256 * 4
    assert copying.alias_size_in_bytes == 0


def test_donation_unusable() -> None:
    """Donating a buffer that no result fits into is worth a warning."""
    with pytest.warns(UserWarning, match="donated buffers were not usable"):
        jax.jit(jnp.sum, donate_argnums=0)(jnp.zeros(8))


def test_random_needs_key() -> None:
    """There is no hidden generator: numbers come from a key, the same ones each time."""
    with pytest.raises(TypeError, match="key"):
        jax.random.uniform()  # type: ignore[call-arg]  # the wrong way
    first, again, other = (jax.random.uniform(jax.random.key(seed)).item() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_random_split() -> None:
    """Split a key for each draw: a key used twice gives the same numbers twice."""
    key = jax.random.key(0)
    reused = [jax.random.uniform(key).item() for _ in range(3)]
    split = [jax.random.uniform(k).item() for k in jax.random.split(key)]
    assert len(set(reused)) == 1
    assert len({*reused, *split}) == 3


def test_random_fold_in() -> None:
    """`fold_in` gives step n a key of its own, the same one whenever it is asked for."""
    key = jax.random.key(0)
    steps = [jax.random.uniform(jax.random.fold_in(key, step)).item() for step in (0, 1, 2, 2)]
    assert len(set(steps)) == 3
    assert steps[2] == steps[3]


def test_random_vmap() -> None:
    """A key drawn from under `vmap` and `jit` gives what it gives alone."""
    keys = jax.random.split(jax.random.key(0))
    together = jax.jit(jax.vmap(jax.random.uniform))(keys).tolist()
    assert together == [jax.random.uniform(key).item() for key in keys]
    assert together[0] != together[1]


def test_key_is_typed() -> None:
    """A key is no number: arithmetic on it is refused, unlike on an old-style one."""
    key, raw = jax.random.key(0), jax.random.PRNGKey(0)
    assert jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    assert raw.dtype == jnp.uint32
    with pytest.raises(TypeError, match="does not accept dtypes key"):
        key + 1
    assert (raw + 1).shape == raw.shape


def test_key_reuse_caught() -> None:
    """`jax.debug_key_reuse` turns a key used twice into an error."""
    one, two = jax.random.split(jax.random.key(0))
    with jax.debug_key_reuse(True):
        jax.random.uniform(one)
        jax.random.uniform(two)
        with pytest.raises(jax.errors.KeyReuseError):
            jax.random.uniform(one)
