"""copy and triad: memory bandwidth, by the vectors of McCalpin's STREAM.

https://www.cs.virginia.edu/stream/ref.html counts the bytes that a kernel must move: each
vector once. Vectors are larger than the caches, so that is what the memory does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec, SingleDeviceSharding

from jaxpad.throughput.program import AXIS, Answer, Program, Step, built, differs
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._models import struct

_STREAM_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Copy(Program):
    """A float32 vector of `size` bytes, read once and written once with its sign turned.

    XLA could elide a plain copy; turning the sign moves the same bytes.
    """

    size: int

    name = "copy"
    unit = "GB/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return "fp32"

    @property
    def intensity(self) -> float:
        """A sign turned, for 4 bytes in and 4 out."""
        return 1 / 8

    @property
    def work(self) -> float:
        """GB of one call: read once, written once."""
        return 2 * self.size / 1e9

    def build(self, mesh: Mesh) -> Built:
        """A vector (size / 4,) in float32."""
        return Built(jax.jit(jnp.negative), (struct(mesh, (self.size // 4,), jnp.float32),))

    def wrong(self, answer: Answer) -> str:
        """Every element, exactly."""
        return differs(answer.result, -answer.operands[0], 0.0)


@dataclass(frozen=True)
class Triad(Program):
    """a = b + s c, float32 vectors of `size` bytes: two read, one written."""

    size: int

    name = "triad"
    unit = "GB/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return "fp32"

    @property
    def intensity(self) -> float:
        """A multiply-add, for 8 bytes in and 4 out."""
        return 2 / 12

    @property
    def work(self) -> float:
        """GB of one call: two vectors read, one written."""
        return 3 * self.size / 1e9

    def build(self, mesh: Mesh) -> Built:
        """Vectors b and c (size / 4,) and the scalar s, all float32."""
        vector, scalar = (struct(mesh, shape, jnp.float32) for shape in ((self.size // 4,), ()))
        return Built(jax.jit(lambda b, c, s: b + s * c), (vector, vector, scalar))

    def wrong(self, answer: Answer) -> str:
        """Every element, but for rounding."""
        b, c, s = answer.operands
        return differs(answer.result, b + s * c, self.bound(answer))

    def bound(self, answer: Answer) -> Any:
        """Two roundings here, one where the GPU fuses them."""
        b, c, s = answer.operands
        return 2 * _STREAM_EPSILON * (np.abs(b) + np.abs(s * c))


# host_to_device, device_to_host, device_to_device: copies over PCIe or NVLink.
#
# As nvbandwidth does (https://github.com/NVIDIA/nvbandwidth): pinned host memory, which the
# copy engine reads directly, large buffers, the median. Pinned memory is JAX's memory kind
# `pinned_host`; a device without it gets numpy's, which is pageable and slower.

PINNED = "pinned_host"


def pinned(device: Any) -> bool:
    """Whether JAX has pinned host memory for a device."""
    return PINNED in {memory.kind for memory in device.addressable_memories()}


@dataclass(frozen=True)
class _Transfer(Program):
    """A float32 vector of `size` bytes, copied."""

    size: int

    unit = "GB/s"

    @property
    def variant(self) -> str:
        """There is one of each."""
        return ""

    @property
    def work(self) -> float:
        """GB of one call, counted once."""
        return self.size / 1e9

    def build(self, mesh: Mesh) -> Built:
        """What is copied, (size / 4,): a copy between memories compiles no program."""
        return Built(jax.jit(lambda x: x), (struct(mesh, (self.size // 4,), jnp.float32),))

    def wrong(self, answer: Answer) -> str:
        """Every element, exactly."""
        return differs(answer.result, answer.operands[0], 0.0)

    def answer(self, mesh: Mesh) -> Answer:
        """What was sent, and what arrived."""
        sent = np.asarray(self.operands(mesh, 0)[0])
        return Answer((sent,), np.asarray(self.step(mesh)(0)))


@dataclass(frozen=True)
class HostToDevice(_Transfer):
    """From the host's memory to the device's."""

    name = "host_to_device"

    def step(self, mesh: Mesh) -> Step:
        """Sends the same host buffer again and again: no cache of the GPU holds the host's."""
        device = mesh.devices.flat[0]
        (vector,) = self.operands(mesh, 0)
        sent = _on_host(vector, device)
        there = SingleDeviceSharding(device)
        return lambda _: jax.device_put(sent, there)


@dataclass(frozen=True)
class DeviceToHost(_Transfer):
    """From the device's memory to the host's."""

    name = "device_to_host"

    def step(self, mesh: Mesh) -> Step:
        """Fetches the same device buffer again and again."""
        device = mesh.devices.flat[0]
        vector = jax.device_put(self.operands(mesh, 0)[0], SingleDeviceSharding(device))
        return lambda _: _on_host(vector, device)


@dataclass(frozen=True)
class DeviceToDevice(_Transfer):
    """From each device's memory to the next device's, the last one's to the first's.

    `ids` are JAX's ids of the devices, in that order.
    """

    ids: tuple[int, ...]

    name = "device_to_device"

    def step(self, mesh: Mesh) -> Step:
        """Sends the same device buffer again and again."""
        device = mesh.devices.flat[0]
        vector = jax.device_put(self.operands(mesh, 0)[0], SingleDeviceSharding(device))
        there = SingleDeviceSharding(self._next(device))
        return lambda _: jax.device_put(vector, there)

    def _next(self, device: Any) -> Any:
        wanted = self.ids[(self.ids.index(device.id) + 1) % len(self.ids)]
        return next(one for one in jax.devices(device.platform) if one.id == wanted)


def _on_host(vector: Any, device: Any) -> Any:
    if not pinned(device):
        return np.asarray(jnp.copy(vector))  # an array fetched twice is fetched once
    return jax.device_put(vector, SingleDeviceSharding(device, memory_kind=PINNED))


# all_reduce, all_gather, reduce_scatter, all_to_all, permute: as nccl-tests counts them.
#
# The bus bandwidth (busbw) is what a link would have to carry for a ring to take this long,
# so that it compares with the hardware whatever the number of devices:
# https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute")
_BUS_EPSILON = float(np.finfo(np.float32).eps)


def bus_factor(kind: str, devices: int) -> float:
    """Busbw over size / time: 2 (n-1) / n for all_reduce, 1 for permute, else (n-1) / n."""
    if kind == "permute":  # sendrecv: what is sent is what a link carries
        return 1.0
    return (2 if kind == "all_reduce" else 1) * (devices - 1) / devices


@dataclass(frozen=True)
class Collective(Program):
    """One collective of float32 over all `devices`, `size` bytes as nccl-tests count them.

    That is what one device puts in; of an all_gather, what it gets.
    """

    kind: str
    size: int
    devices: int

    unit = "GB/s"
    spans = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """The kind."""
        return self.kind

    @property
    def variant(self) -> str:
        """The size in words."""
        return words(self.size)

    @property
    def work(self) -> float:
        """GB on the bus for one call."""
        return self.size * bus_factor(self.kind, self.devices) / 1e9

    def build(self, mesh: Mesh) -> Built:
        """One array (devices, what one puts in / 4), a row for each device; so is the result.

        An all_reduce donates it: XLA's works in place, and would copy it first.
        """
        rows = PartitionSpec(AXIS)
        one = _ONE[self.kind]
        mapped = jax.shard_map(
            lambda x: one(x[0], self.devices)[None], mesh=mesh, in_specs=rows, out_specs=rows
        )
        shape = (self.devices, self._elements())
        donated = (0,) if self.kind == "all_reduce" else ()
        jitted = jax.jit(mapped, donate_argnums=donated)
        return Built(jitted, (struct(mesh, shape, jnp.float32, AXIS),))

    def step(self, mesh: Mesh) -> Step:
        """The same buffers again and again, as nccl-tests: what is timed is the links.

        An all_reduce goes on from its own result, which grows, and starts anew before it
        overflows; the copy that takes is one of dozens of calls.
        """
        jitted = built(self, mesh).jitted
        (first,) = self.operands(mesh, 0)
        if self.kind != "all_reduce":
            return lambda _: jitted(first)
        afresh = jax.jit(jnp.copy)
        last, held = int(100 / math.log2(self.devices)), [first]

        def call(number: int) -> Any:
            held[0] = jitted(afresh(first) if number % last == 0 else held[0])
            return held[0]

        return call

    def answer(self, mesh: Mesh) -> Answer:
        """Of a message of 64 MiB at most: the host holds what all devices got, twice."""
        return Program.answer(replace(self, size=min(self.size, 64 << 20)), mesh)

    def wrong(self, answer: Answer) -> str:
        """Every element on every device, but for the rounding of sums."""
        for device, (result, expected) in enumerate(
            zip(answer.result, self._expected(answer.operands[0]), strict=True)
        ):
            said = differs(result, expected, self.bound(answer))
            if said:
                return f"on device {device} of {self.devices}, {said}"
        return ""

    def bound(self, answer: Answer) -> Any:
        """A sum of as many terms as there are devices; other kinds only move."""
        if self.kind not in ("all_reduce", "reduce_scatter"):
            return 0.0
        return self.devices * _BUS_EPSILON * float(np.abs(answer.operands[0]).sum(axis=0).max())

    def _elements(self) -> int:
        return self.size // 4 // (self.devices if self.kind == "all_gather" else 1)

    def _expected(self, x: np.ndarray[Any, Any]) -> Any:
        if self.kind == "all_gather":
            return [x.reshape(-1)] * self.devices
        if self.kind == "permute":
            return np.roll(x, 1, axis=0)
        if self.kind == "all_to_all":
            parts = x.reshape(self.devices, self.devices, -1)
            return parts.swapaxes(0, 1).reshape(self.devices, -1)
        total = x.sum(axis=0)
        if self.kind == "all_reduce":
            return [total] * self.devices
        return total.reshape(self.devices, -1)


def words(size: int) -> str:
    """Bytes as people say them: 1 MiB, 64 MiB, 1 GiB."""
    return f"{size >> 30} GiB" if size % (1 << 30) == 0 else f"{size >> 20} MiB"


def _ring(x: jax.Array, devices: int) -> jax.Array:
    pairs = [(one, (one + 1) % devices) for one in range(devices)]
    turned: jax.Array = lax.ppermute(x, AXIS, pairs)
    return turned


_ONE: dict[str, Callable[[jax.Array, int], jax.Array]] = {
    "all_reduce": lambda x, _: lax.psum(x, AXIS),
    "all_gather": lambda x, _: lax.all_gather(x, AXIS, tiled=True),
    "reduce_scatter": lambda x, _: lax.psum_scatter(x, AXIS, tiled=True),
    "all_to_all": lambda x, _: lax.all_to_all(x, AXIS, 0, 0, tiled=True),
    "permute": _ring,
}


# Which dtypes a device has a unit for.

# Compute capability from which NVIDIA's tensor cores take it:
# https://docs.nvidia.com/cuda/cuda-c-programming-guide/ (arithmetic instructions)
_SINCE = {"bf16": (8, 0), "tf32": (8, 0), "fp8": (8, 9)}


def why_not(dtype: str, platform: str, capability: str) -> str:
    """Why a dtype is not timed on a device; empty where it is.

    `capability` is the compute capability of a GPU, such as "9.0". A CPU multiplies the
    narrow dtypes by way of float32, and has nothing like TF32.
    """
    if platform == "cpu":
        return "a CPU has no TF32" if dtype == "tf32" else ""
    least = _SINCE.get(dtype, (0, 0))
    if _parts(capability) >= least:
        return ""
    return (
        f"{dtype} needs compute capability {least[0]}.{least[1]}, this GPU has "
        f"{capability or 'one that JAX does not tell'}"
    )


def capability(device: Any) -> str:
    """The compute capability of a JAX device, empty where it has none."""
    return str(getattr(device, "compute_capability", ""))


def half(platform: str, capability: str) -> str:
    """The 16-bit dtype that one computes in on this device: bf16, on older GPUs fp16."""
    return "fp16" if why_not("bf16", platform, capability) else "bf16"


def _parts(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split(".") if part.isdigit())
