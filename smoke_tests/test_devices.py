"""Devices: which there are, and that work spread over eight of them gives the right numbers.

The eight are virtual devices of one CPU, so that meshes and collectives can be
proven on any machine.

https://docs.jax.dev/en/latest/201/sharding.html
https://docs.jax.dev/en/latest/201/shard-map.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from jaxpad import checks
from jaxpad.machine.devices import GPU_PLATFORMS
from jaxpad.machine.facts import Facts

N = 8
jax.config.update("jax_num_cpu_devices", N)

WHOLE = P()  # every device holds all of it
ROWS = P("i")  # the first axis is cut into N parts
COLUMNS = P(None, "i")

# --- The devices of this machine ---


def test_platform_expected(facts: Facts) -> None:
    """JAX computes where this machine leads one to expect: no silent fallback to the CPU."""
    platform = jax.devices()[0].platform
    found = "gpu" if platform in GPU_PLATFORMS else platform
    if found == facts.expected.platform:
        return
    where = f"{facts.expected.platform} was expected ({facts.expected.why}) and JAX is on {found}"
    if facts.expected.platform == "gpu":
        cause = facts.fallback()
        raise checks.Failed(f"{where}: {cause.reason}", cause.remedy)
    raise checks.Failed(where, "say --platform gpu if that is what you want")


def test_kind_uniform(facts: Facts, measure: Callable[..., None]) -> None:
    """All devices are of one kind, and on a GPU it is the kind that the driver names."""
    kinds = {device.device_kind for device in jax.devices()}
    measure("device kind", ", ".join(sorted(kinds)))
    assert len(kinds) == 1, f"devices of {len(kinds)} kinds in one machine: {sorted(kinds)}"
    assert not facts.gpu or not facts.driver.names or kinds <= set(facts.driver.names)


def test_count_complete(facts: Facts, measure: Callable[..., None]) -> None:
    """JAX has every device it was given: the GPUs that are visible, or the CPU devices set."""
    measure("devices", len(jax.devices()))
    assert len(jax.devices("cpu")) == N
    visible = _visible_gpus(facts)
    assert not facts.gpu or visible is None or len(jax.devices()) == visible


def _visible_gpus(facts: Facts) -> int | None:
    """How many GPUs CUDA_VISIBLE_DEVICES leaves of those NVML counts; None if neither says."""
    chosen = facts.asked_environ.get("CUDA_VISIBLE_DEVICES")
    return len(chosen.split(",")) if chosen else len(facts.driver.names) or None


def test_memory_limit(facts: Facts, measure: Callable[..., None]) -> None:
    """A GPU's allocator has a limit, counts what is allocated, and stays within the limit.

    https://docs.jax.dev/en/latest/gpu_memory_allocation.html
    """
    if facts.expected.platform != "gpu":
        checks.not_applicable(f"no GPU is expected: {facts.expected.why}")
    before = jax.devices()[0].memory_stats() or {}
    if not facts.gpu or "bytes_limit" not in before:
        raise checks.Inconclusive("no GPU client tells its memory limit")
    measure("memory limit", before["bytes_limit"] / 2**30, "GiB")
    block = jnp.ones((16, 1 << 20), jnp.float32).block_until_ready()
    after = jax.devices()[0].memory_stats()
    assert before["bytes_in_use"] + block.nbytes <= after["bytes_in_use"] <= after["bytes_limit"]


# --- Eight virtual devices ---


def ring() -> Mesh:
    """Eight CPU devices on one axis, `i`, also where the default platform is a GPU."""
    return Mesh(np.array(jax.devices("cpu")[:N]), ("i",))


def spread(x: np.ndarray, spec: P) -> jax.Array:
    """`x` laid out over the ring."""
    laid_out: jax.Array = jax.device_put(x, NamedSharding(ring(), spec))
    return laid_out


def on_each(f: Callable[..., Any], x: np.ndarray, out: P = ROWS) -> list[np.ndarray]:
    """What each device of the ring holds after `f` ran there, on that device's row of `x`."""
    mapped = jax.jit(jax.shard_map(f, mesh=ring(), in_specs=ROWS, out_specs=out))
    held = {s.device: np.asarray(s.data) for s in mapped(spread(x, ROWS)).addressable_shards}
    return [held[device] for device in ring().devices]


def rows(*shape: int) -> np.ndarray:
    """N rows of different small integers, which float32 adds up exactly."""
    return np.arange(N * np.prod(shape), dtype=np.float32).reshape(N, *shape)


def test_shards_placed() -> None:
    """A sharded array is cut evenly: each device holds its part, or it is refused."""
    x = rows(2)
    shards = spread(x, ROWS).addressable_shards
    assert [shard.device for shard in shards] == list(ring().devices)
    for r, shard in enumerate(shards):
        np.testing.assert_array_equal(shard.data, x[r : r + 1])
    with pytest.raises(ValueError, match="divi"):
        spread(x[:6], ROWS)


def test_axis_of_mesh() -> None:
    """A layout can only name an axis that its mesh has."""
    assert spread(rows(2), ROWS).sharding.shard_shape((N, 2)) == (1, 2)
    with pytest.raises(ValueError, match="not found in mesh"):
        spread(rows(2), P("j"))


def test_devices_do_not_mix() -> None:
    """Arrays on different devices do not meet unless one is moved."""
    first, second = (jax.device_put(np.ones(2, np.float32), d) for d in ring().devices[:2])
    with pytest.raises(ValueError, match="incompatible devices"):
        first + second
    assert (first + jax.device_put(second, first.sharding)).tolist() == [2.0, 2.0]


def test_matmul_by_rows() -> None:
    """A matrix product with rows spread over the devices is the single-device product."""
    a, b = rows(2, 4).reshape(16, 4), rows(3)[:4]
    one = jnp.matmul(*jax.device_put((a, b), ring().devices[0]))
    eight = jax.jit(jnp.matmul)(spread(a, ROWS), spread(b, WHOLE))
    assert (len(one.devices()), len(eight.devices())) == (1, N)
    np.testing.assert_array_equal(eight, one)
    np.testing.assert_array_equal(one, a @ b)


def test_matmul_by_terms() -> None:
    """With the summed axis spread, the compiler adds the partial sums of the devices."""
    a, b = rows(3).T, rows(2)
    multiply = jax.jit(jnp.matmul, out_shardings=NamedSharding(ring(), WHOLE))
    product = multiply(spread(a, COLUMNS), spread(b, ROWS))
    for shard in product.addressable_shards:
        np.testing.assert_array_equal(shard.data, a @ b)
    # Without that sum a device would know only its own term.
    assert not np.array_equal(a[:, :1] @ b[:1], a @ b)


def test_gradient_of_batch() -> None:
    """A gradient over a spread batch is the single-device gradient, the same on each device."""

    def loss(w: jax.Array, batch: jax.Array) -> jax.Array:
        return jnp.sum((batch @ w) ** 2)

    batch, w = rows(2), np.array([1.0, -2.0], np.float32)
    gradient = jax.jit(jax.grad(loss))(spread(w, WHOLE), spread(batch, ROWS))
    assert len(gradient.addressable_shards) == N
    for shard in gradient.addressable_shards:
        np.testing.assert_allclose(shard.data, 2 * batch.T @ (batch @ w), rtol=1e-6)


def test_psum() -> None:
    """`psum` leaves the sum of all devices on every device."""
    x = rows(3)
    held = on_each(partial(lax.psum, axis_name="i"), x, out=WHOLE)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x.sum(0, keepdims=True))
    # Without the sum the devices differ, and may not claim to hold one value.
    with pytest.raises(ValueError, match="out_specs which require replication"):
        on_each(lambda row: row * 2, x, out=WHOLE)


def test_psum_of_group() -> None:
    """On a mesh of two axes `psum` over one adds up within each group of the other."""
    mesh = Mesh(np.array(jax.devices("cpu")[:N]).reshape(2, 4), ("group", "member"))
    spec = P(("group", "member"))
    f = jax.shard_map(
        partial(lax.psum, axis_name="member"),
        mesh=mesh,
        in_specs=spec,
        out_specs=P("group"),
    )
    x = rows(3)
    shards = jax.jit(f)(jax.device_put(x, NamedSharding(mesh, spec))).addressable_shards
    held = {shard.device: shard.data for shard in shards}
    for r, device in enumerate(mesh.devices.flat):
        group = x[:4] if r < 4 else x[4:]
        np.testing.assert_array_equal(held[device], group.sum(0, keepdims=True))


def test_all_gather() -> None:
    """`all_gather` leaves every device's row on every device, in the order of the mesh."""
    x = rows(3)
    held = on_each(partial(lax.all_gather, axis_name="i", tiled=True), x)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x)
    with pytest.raises(NameError, match="unbound axis name"):
        on_each(partial(lax.all_gather, axis_name="j", tiled=True), x)


def test_reduce_scatter() -> None:
    """`psum_scatter` adds the rows up, and leaves device r the r-th part of the sum."""
    reduce_scatter = partial(lax.psum_scatter, axis_name="i", scatter_dimension=1, tiled=True)
    x = rows(2 * N)
    held = on_each(reduce_scatter, x)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x.sum(0, keepdims=True)[:, 2 * r : 2 * r + 2])
    with pytest.raises(ValueError, match="must be divisible by shard_count"):
        on_each(reduce_scatter, rows(N + 1))


def test_ppermute() -> None:
    """`ppermute` sends each device's row to the next; two rows cannot go to one place."""
    x = rows(3)
    ring_shift = [(r, (r + 1) % N) for r in range(N)]
    held = on_each(partial(lax.ppermute, axis_name="i", perm=ring_shift), x)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x[[r - 1]])
    with pytest.raises(ValueError, match="must be unique"):
        on_each(partial(lax.ppermute, axis_name="i", perm=[(0, 2), (1, 2)]), x)


def test_ppermute_partial() -> None:
    """A device that is sent nothing holds zeros, not what it had."""
    x = rows(3) + 1
    held = on_each(partial(lax.ppermute, axis_name="i", perm=[(0, 5)]), x)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x[:1] if r == 5 else np.zeros((1, 3)))


def test_all_to_all() -> None:
    """`all_to_all` cuts each row in N, and leaves device r the r-th piece of every row."""
    exchange = partial(lax.all_to_all, axis_name="i", split_axis=1, concat_axis=0, tiled=True)
    x = rows(N, 2)
    held = on_each(exchange, x)
    for r in range(N):
        np.testing.assert_array_equal(held[r], x[:, r : r + 1])
    with pytest.raises(ValueError, match="has to be divisible"):
        on_each(exchange, rows(N + 1, 2))


def test_axis_index() -> None:
    """Each device knows its place on an axis, inside `shard_map` and nowhere else."""
    held = on_each(lambda row: jnp.full_like(row, lax.axis_index("i")), rows(1))
    assert [int(place.item()) for place in held] == list(range(N))
    with pytest.raises(NameError, match="unbound axis name"):
        jax.jit(lambda: lax.axis_index("i"))()
