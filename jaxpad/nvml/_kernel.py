"""What the kernel says about the GPUs, without NVML: Xid errors, ports, the PCI bus.

The roots are arguments, so that tests can lay out a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxpad import host
from jaxpad.nvml._kernel_log import KMSG, Xid, log, xids
from jaxpad.nvml._reading import Reading, attempt

SYSFS = Path("/sys")


@dataclass(frozen=True)
class Port:
    """One port of an InfiniBand or RoCE adapter, in sysfs's words."""

    adapter: str
    port: int
    state: Reading[str]  # "ACTIVE"
    physical_state: Reading[str]  # "LinkUp"
    gbit_per_s: Reading[float]
    link_layer: Reading[str]  # "InfiniBand" or "Ethernet"


@dataclass(frozen=True)
class BusGpu:
    """An NVIDIA display device that PCI enumeration found.

    `answers` is False where its configuration space reads as ones: it has fallen off the bus.
    """

    pci_bus_id: str
    answers: Reading[bool]


@dataclass(frozen=True)
class Kernel:
    """All of it."""

    xids: Reading[tuple[Xid, ...]]
    ports: Reading[tuple[Port, ...]]
    gpus: Reading[tuple[BusGpu, ...]]


def kernel(sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Kernel:
    """Read what may be read of the kernel's log and of sysfs."""
    return Kernel(
        xids=log(kmsg).map(xids),
        ports=attempt(_ports, sysfs / "class/infiniband"),
        gpus=attempt(_gpus, sysfs),
    )


def _ports(folder: Path) -> tuple[Port, ...]:
    if not folder.is_dir():
        return ()
    return tuple(_port(port) for port in sorted(folder.glob("*/ports/*")))


def _port(port: Path) -> Port:
    def text(name: str) -> Reading[str]:
        return attempt((port / name).read_text).map(str.strip)

    def word(name: str) -> Reading[str]:
        return text(name).map(lambda state: state.partition(": ")[2] or state)

    return Port(
        adapter=port.parent.parent.name,
        port=int(port.name),
        state=word("state"),
        physical_state=word("phys_state"),
        gbit_per_s=text("rate").map(lambda rate: float(rate.split()[0])),
        link_layer=text("link_layer"),
    )


def _gpus(sysfs: Path) -> tuple[BusGpu, ...]:
    devices = sysfs / "bus/pci/devices"
    if not devices.is_dir():
        raise FileNotFoundError(f"{devices} is not there")
    found = host.gpu_evidence(sysfs, dev=sysfs / "none").pci
    return tuple(BusGpu(bus, _answers(devices / bus / "config")) for bus in found)


def _answers(config: Path) -> Reading[bool]:
    return attempt(_vendor, config).map(lambda vendor: vendor != b"\xff\xff")


def _vendor(config: Path) -> bytes:
    with config.open("rb") as file:
        vendor = file.read(2)
    if len(vendor) < 2:
        raise ValueError(f"{config} is empty")
    return vendor
