"""host_to_device, device_to_host, device_to_device: copies over PCIe or NVLink.

As nvbandwidth does (https://github.com/NVIDIA/nvbandwidth): pinned host memory, which the
copy engine reads directly, large buffers, the median. Pinned memory is JAX's memory kind
`pinned_host`; a device without it gets numpy's, which is pageable and slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from jaxpad.throughput._program import Answer, Program, Step, differs
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._train import struct

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
