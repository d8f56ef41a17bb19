"""Which device each CUDA ordinal is, from the CUDA driver: its UUID and its PCI bus id.

CUDA counts its devices in an order of its own (CUDA_DEVICE_ORDER) after
CUDA_VISIBLE_DEVICES, so an ordinal is no index of NVML's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxpad.nvml._ask import LIMIT_S, ask_module
from jaxpad.nvml._plain import from_plain
from jaxpad.nvml._reading import Reading


@dataclass(frozen=True)
class CudaDevice:
    """One ordinal, as JAX's `local_hardware_id` counts.

    `uuid` has no prefix: it is a GPU's, or within a MIG slice the slice's own (drivers
    from 515; older ones give the whole GPU's).
    """

    ordinal: int
    uuid: Reading[str]
    pci_bus_id: Reading[str]


@dataclass(frozen=True)
class CudaDevices:
    """What the CUDA driver shows to a process with this environment."""

    devices: Reading[tuple[CudaDevice, ...]]


def cuda_devices(
    environ: Mapping[str, str] | None = None, limit_s: float = LIMIT_S
) -> Reading[tuple[CudaDevice, ...]]:
    """The devices that CUDA counts under `environ`, asked in a child within `limit_s` seconds.

    Raises nothing: where CUDA does not start, the reading says why.
    """
    told = ask_module(("jaxpad.nvml._cuda",), limit_s, environ)
    found = told.map(lambda plain: from_plain(CudaDevices, plain))
    return found.value.devices if found.value else Reading(None, found.reason)
