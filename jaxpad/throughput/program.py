"""What every throughput program answers: what it is called, what it does, how it is called."""

from __future__ import annotations

import functools as ft
import itertools as it
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxpad.workloads import Program as Built

# Operands: normally distributed, and more of them than caches hold.
#
# Zeros, ones and small integers toggle fewer bits, so a GPU draws less power, clocks higher
# and flatters the rate: https://www.thonking.ai/p/strangely-matrix-multiplications

# Four times the largest L2 of configs/gpus (B300: 129 MiB); a CPU's share of the last level.
_BEYOND = {"gpu": 512 << 20, "cpu": 64 << 20}
_TILE = 4_000_037  # prime: a shift by a power of two does not go unnoticed


def beyond_caches(platform: str) -> int:
    """Bytes of operands that no cache of such a device holds."""
    return _BEYOND.get(platform, _BEYOND["gpu"])


def operand_size(tree: Any) -> int:
    """Bytes of a tree of arrays, abstract ones too."""
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)


def normal_operand(args: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """Arrays in place of abstract ones, N(0, 1), other ones for each seed; scalars near 1."""
    leaves, form = jax.tree.flatten(args)
    drawn = _drawn(tuple(leaves))(jax.random.key(seed))
    return jax.tree.unflatten(form, drawn)  # type: ignore[no-any-return]


@ft.lru_cache(maxsize=64)
def _drawn(leaves: tuple[jax.ShapeDtypeStruct, ...]) -> Any:
    """One program with one generator in it: several take longer to compile than to run."""
    counts = [_count(leaf) for leaf in leaves]
    ends = list(it.accumulate(counts))

    def draw(key: jax.Array) -> list[jax.Array]:
        flat = jax.random.normal(key, (ends[-1],), jnp.float32)
        parts = jnp.split(flat, ends[:-1])
        return [_shaped(leaf, part) for leaf, part in zip(leaves, parts, strict=True)]

    return jax.jit(draw, out_shardings=[leaf.sharding for leaf in leaves])


def _count(leaf: jax.ShapeDtypeStruct) -> int:
    """Numbers to draw: every element of a vector would take longer than the measurement."""
    size: int = math.prod(leaf.shape)
    return min(_TILE, size) if len(leaf.shape) == 1 else size


def _shaped(leaf: jax.ShapeDtypeStruct, numbers: jax.Array) -> jax.Array:
    if not leaf.shape:
        return (1 + jnp.tanh(numbers[0]) / 2).astype(leaf.dtype)
    return jnp.resize(numbers, leaf.shape).astype(leaf.dtype)


Step = Callable[[int], Any]  # dispatches the call of that number; returns arrays to wait for
AXIS = "all"  # the one axis of the mesh a program is built for


@dataclass(frozen=True)
class Answer:
    """What one device made of its operands, all in the host's memory."""

    operands: tuple[np.ndarray[Any, Any], ...]
    result: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Program(ABC):
    """One program that is timed.

    `build` makes the same jitted function and abstract arguments for devices that are there
    and for those `jaxpad.schedule.aot.topology` describes, so what is proven of the compiled
    program is proven of the one that is timed.
    """

    name: ClassVar[str]  # "gemm"
    unit: ClassVar[str]  # "TFLOP/s" or "GB/s"
    spans: ClassVar[bool] = False  # all devices do it as one, rather than each for itself

    @property
    @abstractmethod
    def variant(self) -> str:
        """What tells two of a name apart, such as `bf16`; empty where there is one."""

    @property
    @abstractmethod
    def work(self) -> float:
        """TFLOP or GB of one call, the unit times a second."""

    @property
    def intensity(self) -> float | None:
        """FLOP for each byte of the least memory traffic; None where that says nothing."""
        return None

    @abstractmethod
    def build(self, mesh: Mesh) -> Built:
        """The jitted function and its abstract arguments, on a mesh of the axis `all`."""

    def operands(self, mesh: Mesh, seed: int) -> tuple[Any, ...]:
        """Arguments for one call, normally distributed, on the mesh's devices."""
        return normal_operand(built(self, mesh).args, seed)

    def step(self, mesh: Mesh) -> Step:
        """Calls in turn on sets of operands that together are larger than the caches."""
        program = built(self, mesh)
        least = beyond_caches(mesh.devices.flat[0].platform)
        count = min(8, math.ceil(least / operand_size(program.args)))
        sets = [self.operands(mesh, seed) for seed in range(count)]
        return lambda call: program.jitted(*sets[call % count])

    def answer(self, mesh: Mesh) -> Answer:
        """One call's operands and result, from a step to those who judge it."""
        operands = self.operands(mesh, 0)
        kept = tuple(np.array(one) for one in operands)  # before a call that is given them
        return Answer(kept, np.asarray(built(self, mesh).jitted(*operands)))

    @abstractmethod
    def wrong(self, answer: Answer) -> str:
        """What is wrong with a finite result, in words; empty where it is right."""

    def bound(self, answer: Answer) -> Any:  # noqa: ARG002
        """How far a right result may be from the exact one; an array that broadcasts to it."""
        return 0.0


@ft.lru_cache(maxsize=64)
def built(program: Program, mesh: Mesh) -> Built:
    """`program.build(mesh)`, the same jitted function each time, so that it compiles once."""
    return program.build(mesh)


def alone(device: Any) -> Mesh:
    """The mesh of a program that runs on one device."""
    return Mesh(np.asarray([device], dtype=object), (AXIS,))


def as_one(devices: Iterable[Any]) -> Mesh:
    """The mesh of a program that all devices run as one."""
    return Mesh(np.asarray(list(devices), dtype=object), (AXIS,))


def spread(total: int, wanted: int = 8) -> np.ndarray[Any, Any]:
    """Up to `wanted` row numbers, evenly from the first to the last of `total`."""
    return np.unique(np.linspace(0, total - 1, wanted).astype(int))


def differs(result: Any, expected: Any, bound: Any) -> str:
    """Where the two are furthest beyond `bound`, in words; empty where they are nowhere."""
    result, expected = np.asarray(result), np.asarray(expected)
    beyond = np.abs(result - expected) - bound
    if not beyond.size or (beyond <= 0).all():
        return ""
    place = np.unravel_index(np.argmax(beyond), beyond.shape)
    where = ", ".join(str(int(index)) for index in place)
    return f"entry [{where}] is {result[place]:g}, expected {expected[place]:g}"
