"""Which GPU this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.nvml._device import Device
from jaxpad.nvml._reading import Reading, absent

# nvmlDeviceArchitecture_t; the names of configs/gpus.
ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}


@dataclass(frozen=True)
class Identity:
    """Names of one GPU; `uuid` and `pci_bus_id` tell it from all others, its index does not."""

    name: Reading[str]
    uuid: Reading[str]  # "GPU-…"
    serial: Reading[str]
    pci_bus_id: Reading[str]  # as sysfs writes it, "0000:3b:00.0"
    pci_device_id: Reading[str]  # device and vendor, "0x233010DE"
    architecture: Reading[str]
    compute_capability: Reading[str]  # "9.0"
    minor_number: Reading[int]  # of /dev/nvidia<minor>
    cores: Reading[int]
    memory_bus_bits: Reading[int]
    vbios: Reading[str]
    numa_node: Reading[int]  # the one that the GPU's own memory is, as on GH200


def identity(device: Device) -> Identity:
    """Ask for every name."""
    bus, product = _pci(device)
    return Identity(
        name=device.ask("nvmlDeviceGetName"),
        uuid=device.ask("nvmlDeviceGetUUID"),
        serial=device.ask("nvmlDeviceGetSerial"),
        pci_bus_id=bus,
        pci_device_id=product,
        architecture=_architecture(device),
        compute_capability=device.ask("nvmlDeviceGetCudaComputeCapability").map(
            lambda pair: f"{pair[0]}.{pair[1]}"
        ),
        minor_number=device.number("nvmlDeviceGetMinorNumber", high=10**4),
        cores=device.number("nvmlDeviceGetNumGpuCores", low=1, high=10**7),
        memory_bus_bits=device.number("nvmlDeviceGetMemoryBusWidth", low=1, high=10**6),
        vbios=device.ask("nvmlDeviceGetVbiosVersion"),
        numa_node=device.number("nvmlDeviceGetNumaNodeId", high=10**4),
    )


def _pci(device: Device) -> tuple[Reading[str], Reading[str]]:
    info = device.ask("nvmlDeviceGetPciInfo")
    return info.map(_bus_of), info.map(lambda found: f"0x{found.pciDeviceId:08X}")


def _bus_of(info: Any) -> str:
    return bus_id(info.busId)


def _architecture(device: Device) -> Reading[str]:
    found = device.ask("nvmlDeviceGetArchitecture")
    if found.value is None:
        return found
    name = ARCHITECTURES.get(found.value)
    return Reading(name) if name else absent(f"unknown: NVML's architecture {found.value}")


def bus_id(text: str | bytes) -> str:
    """A PCI bus id as sysfs writes it: `00000000:3B:00.0` and `0000:3b:00` are 0000:3b:00.0.

    Raises ValueError for text that is none.
    """
    words = text.decode() if isinstance(text, bytes) else text
    domain, bus, slot = words.strip().split(":")
    place, _, function = slot.partition(".")
    return f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(place, 16):02x}.{function or '0'}"
