"""All that NVML and the kernel say about this machine's GPUs at one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._clocks import Clocks, Throttle, clocks, throttle
from jaxpad.nvml._device import Device, started
from jaxpad.nvml._driver import cuda_version
from jaxpad.nvml._identity import Identity, identity
from jaxpad.nvml._kernel import SYSFS, Kernel, kernel
from jaxpad.nvml._kernel_log import KMSG
from jaxpad.nvml._links import Fabric, NvLink, Pcie, fabric, nvlinks, pcie
from jaxpad.nvml._memory import (
    Ecc,
    Memory,
    RemappedRows,
    RetiredPages,
    ecc,
    memory,
    remapped_rows,
    retired_pages,
)
from jaxpad.nvml._power import Power, Temperature, power, temperature
from jaxpad.nvml._reading import Reading, absent, attempt
from jaxpad.nvml._uses import (
    Mig,
    Modes,
    Processes,
    Utilisation,
    mig,
    modes,
    processes,
    utilisation,
)


@dataclass(frozen=True)
class GpuState:
    """One GPU. `index` is its place in NVML's order, which the next boot may change."""

    index: int
    identity: Identity
    memory: Memory
    utilisation: Utilisation
    clocks: Clocks
    throttle: Throttle
    power: Power
    temperature: Temperature
    ecc: Ecc
    remapped_rows: RemappedRows
    retired_pages: RetiredPages
    pcie: Pcie
    nvlinks: Reading[tuple[NvLink, ...]]
    fabric: Fabric
    mig: Mig
    modes: Modes
    processes: Processes


@dataclass(frozen=True)
class Snapshot:
    """The machine. Where NVML does not start, every reading of it says why."""

    unix_s: float
    driver_version: Reading[str]
    nvml_version: Reading[str]
    cuda_version: Reading[str]
    gpu_count: Reading[int]
    gpus: tuple[GpuState, ...]
    kernel: Kernel

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Bus ids of NVIDIA GPUs that are on the PCI bus and not in NVML's list.

        Fallen off the bus, bound to another driver, or not given to this container.
        """
        listed = {gpu.identity.pci_bus_id.value for gpu in self.gpus}
        return tuple(
            gpu.pci_bus_id for gpu in self.kernel.gpus.value or () if gpu.pci_bus_id not in listed
        )


def snapshot(sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Snapshot:
    """Ask NVML and the kernel for everything; NVML is shut down again afterwards.

    Raises nothing: what cannot be read is absent with its reason. A driver that hangs,
    hangs the caller: see `ask`.
    """
    with started() as nvml:
        return _snapshot(nvml, kernel(sysfs, kmsg))


def unanswered(reason: str, sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Snapshot:
    """The snapshot of a machine whose NVML does not answer."""
    return _snapshot(absent(reason), kernel(sysfs, kmsg))


def _snapshot(nvml: Reading[Any], said: Kernel) -> Snapshot:
    def ask(call: str) -> Reading[Any]:
        return nvml.map(lambda module: getattr(module, call)())

    count = ask("nvmlDeviceGetCount")
    return Snapshot(
        unix_s=time.time(),
        driver_version=ask("nvmlSystemGetDriverVersion"),
        nvml_version=ask("nvmlSystemGetNVMLVersion"),
        cuda_version=cuda_version(nvml.value) if nvml.known else nvml,
        gpu_count=count,
        gpus=tuple(gpu(nvml.value, index) for index in range(count.value or 0)),
        kernel=said,
    )


def gpu(nvml: Any, index: int) -> GpuState:
    """Ask one GPU, by NVML's index, for everything."""
    device = Device(nvml, attempt(nvml.nvmlDeviceGetHandleByIndex, index))
    bulk = device.fields(fields.ALL)
    names, corrected = identity(device), ecc(device)
    return GpuState(
        index=index,
        identity=names,
        memory=memory(device),
        utilisation=utilisation(device),
        clocks=clocks(device),
        throttle=throttle(device, bulk),
        power=power(device, bulk),
        temperature=temperature(device, bulk),
        ecc=corrected,
        remapped_rows=remapped_rows(device, names.name.value or "", corrected),
        retired_pages=retired_pages(device),
        pcie=pcie(device),
        nvlinks=nvlinks(device, bulk),
        fabric=fabric(device),
        mig=mig(device),
        modes=modes(device),
        processes=processes(device),
    )
